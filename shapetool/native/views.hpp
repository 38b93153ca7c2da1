// Images of a scene: which face each pixel's ray meets first, and what is known of the point there.
#pragma once
#include "scene.hpp"

namespace shapetool {

// One camera, in the units of the mesh; u and v in pixels from the upper left corner. As rows of an array of doubles.
struct View {
    double origin[3][3], direction[3][3];  // of the ray through (u, v): [0] + u [1] + v [2]; a direction has depth 1
    double project[3][4];                  // of a point: (u, v, depth), or (u, v, 1) times the depth for a pinhole
    double rotation[3][3];                 // camera to world
};
constexpr size_t kViewNumbers = sizeof(View) / sizeof(double);

struct Canvas {
    int height, width;
    bool orthographic;
    int samples = 1;                // rays a pixel and axis, at the middles of its samples^2 parts
    const int32_t *slot = nullptr;  // of each pixel of each view: the number of its first part / samples^2, -1 if not wanted
};

// What is written for every ray, by view, row and column (by slot, then row and column of the part, if there are slots). A
// null is left out. A ray that hits nothing gets face -1 and zeros.
struct Images {
    int32_t *face = nullptr;
    float *depth = nullptr, *ray_length = nullptr;
    float *normal = nullptr, *camera_normal = nullptr;  // of the face, turned to the camera
    float *coordinates = nullptr;
    float *weights = nullptr;  // of the three corners
    float *light = nullptr;    // cosine between the way to the camera and the normal, of corner_normals if there are any
};

// Where a point lands; of a pinhole only if it is far enough before it.
struct Projected {
    double u, v, depth, unused;
};

// Some rows of pixels of one view, and the arrays that drawing them takes.
struct ViewRows {
    const View *view;
    const Canvas *canvas;
    const int32_t *slot;  // of this view, or null
    int32_t first;        // the first slot of these rows
    int begin, end;
    Projected *vertices;
    double *nearest;  // by part: infinite
    int32_t *face;    // by part: -1
    const double *part_u, *part_v;  // of each part, from the corner of its pixel
    const float *corner_normals;
    const Images *images;
    size_t base;  // the first ray of these rows among those of all views
};

// Parts of a pixel are tested by fours.
static inline size_t room_of(const Canvas &c) { return c.slot ? (size_t(c.samples) * size_t(c.samples) + 3) / 4 * 4 : 1; }

// corner_normals: 9 a face, or null. Faces are the same as those of query_rays, wherever the candidates came from: triangles
// are projected, and where one may cover a ray the double-precision test of rays.inc decides.
void draw_views(const Scene &, const View *views, size_t N, const Canvas &, const float *corner_normals, int threads,
                const Images &);

// 9 a face: normals of the corners, weighted by the angles of the faces there, as far as they are connected through edges
// whose two faces differ by an angle of at least this cosine.
void smooth_corners(const Scene &, double least_cosine, int threads, float *normals);

}  // namespace shapetool
