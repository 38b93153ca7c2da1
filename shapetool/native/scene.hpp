// What the kernel keeps of one mesh, and the table of functions that exist once for each instruction set.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "points.hpp"

namespace shapetool {

constexpr int kWide = 8;              // children of a node, triangles of a leaf, queries of a packet
constexpr int kCrowd = 512;          // queries that are settled together
constexpr double kTouch = 2e-15;      // two triangles nearer than this share of their size meet
constexpr double kDegenerate = 1e-8;  // |cross of two edges| below this share of the longest edge squared: a segment

// An array aligned for vector loads.
template <class T>
class Aligned {
  public:
    Aligned() = default;
    explicit Aligned(size_t n) { resize(n); }
    void resize(size_t n) {
        size_ = n;
        data_.reset(n ? static_cast<T *>(::operator new[](n * sizeof(T), std::align_val_t(64))) : nullptr);
    }
    T *data() { return data_.get(); }
    const T *data() const { return data_.get(); }
    size_t size() const { return size_; }
    T &operator[](size_t i) { return data_.get()[i]; }
    const T &operator[](size_t i) const { return data_.get()[i]; }

  private:
    struct Free {
        void operator()(T *p) const { ::operator delete[](p, std::align_val_t(64)); }
    };
    std::unique_ptr<T, Free> data_;
    size_t size_ = 0;
};

// Boxes of up to eight children, in the f32 frame of the scene. child >= 0: a node; child < 0: leaf ~child.
struct alignas(64) Node {
    float lo[3][kWide], hi[3][kWide];
    int32_t child[kWide];
    int32_t count;
    int32_t unused[7];
    const float *row(int i) const { return reinterpret_cast<const float *>(this) + i * kWide; }  // lo x y z, hi x y z
};

// Eight triangles, each in a frame of its own: origin at the start of its longest edge, x along it, the third vertex at
// (cx, cy). A projection into this frame divides by nothing, so it stays well-conditioned on slivers.
struct alignas(64) FrameLeaf {
    float origin[3][kWide], x[3][kWide], y[3][kWide], z[3][kWide];
    float length[kWide], cx[kWide], cy[kWide], inv_bc[kWide], inv_ca[kWide];
    int32_t face[kWide];
};

// The same eight triangles as vertices.
struct alignas(64) VertexLeaf {
    float v[3][3][kWide];  // [corner][axis][lane]
    int32_t face[kWide];
    int32_t id[3][kWide];
};

// And once more as their distinct vertices: what neighbours share is computed once.
struct alignas(64) FanLeaf {
    float distinct[3 * kWide][3];
    uint8_t corner[kWide][4];  // of a triangle: where its vertices stand in `distinct`
    int32_t distinct_count, count;
};

// Far fields of a node's children for the winding number: dipole n and first moment q (symmetric: xx yy zz xy xz yz) about
// c, a point that no part of the child is farther from than radius. An empty child has radius infinity.
struct alignas(64) NodeMoments {
    float c[3][kWide], radius[kWide], n[3][kWide], q[6][kWide], trace[kWide];
};
// The second moments, for estimates that have to be better: their cubic form (xxx yyy zzz xxy xxz yyx yyz zzx zzy xyz), the
// vector that their traces add up to, and the area, which bounds what is left out.
struct alignas(64) NodeSecondMoments {
    float cubic[10][kWide], trace[3][kWide], area[kWide];
};

// Eight edges of the boundary of the surface: what is left when the edges of all faces are added, each with its direction;
// `times` says how often it is left. Filled up with edges that count nothing, far away.
struct alignas(64) BoundaryEdges {
    float start[3][kWide], end[3][kWide], length[kWide], inv_sq[kWide], times[kWide];  // inv_sq: of the length
};

struct Topology {
    int64_t open_edges = 0;         // edges with one face
    int64_t nonmanifold_edges = 0;  // edges with more than two faces
    int64_t misoriented_edges = 0;  // edges whose two faces run along them the same way
    int64_t nonmanifold_vertices = 0;
    int64_t degenerate_faces = 0;
    int64_t folded_edges = 0;  // two faces lying back to back
    int64_t components = 0;    // pieces connected through edges
    int64_t intersecting_pairs = -1;  // -1: not looked for
    bool closed = false, oriented = false;
    double volume = 0, area = 0;
};

struct Scene {
    // In units of 2^-exponent: scaling by a power of two is exact, and keeps squares of any finite mesh in range.
    int exponent = 0;
    size_t vertex_count = 0, face_count = 0;
    Aligned<double> vertices;    // 3 V
    std::vector<int32_t> faces;  // 3 F
    Aligned<double> triangles;   // 9 F
    double low[3], high[3];      // the box of the vertices in use
    double centre[3] = {0, 0, 0}, to_f32 = 1;  // f32 frame: (p - centre) * to_f32, mesh within [-1, 1]

    Aligned<Node> nodes;
    std::vector<int32_t> leaf_faces;  // kWide per leaf, -1 where empty
    size_t leaf_count = 0;

    std::once_flag tree_once, frames_once, vertices_once, moments_once, topology_once, normals_once, intersections_once,
        front_once, boundary_once, orientation_once;
    Aligned<FrameLeaf> frames;
    Aligned<VertexLeaf> vertex_leaves;
    Aligned<FanLeaf> fan_leaves;
    Aligned<NodeMoments> moments;
    Aligned<NodeSecondMoments> second_moments;
    int orientation = 0;  // see build.hpp
    Topology topology;
    std::vector<int32_t> neighbour;    // 3 F: the face across edge (i, i+1), or -1
    std::vector<int32_t> component;    // F
    std::vector<int32_t> boundary;     // 3 per edge with a boundary: start, end, how often
    Aligned<BoundaryEdges> boundary_edges;
    std::vector<double> face_normals;  // 3 F, unit; zero for degenerate faces
    std::vector<double> vertex_normals;  // 3 V, angle weighted
    std::vector<int32_t> front_winding;  // per component: the winding number in front of its faces
    bool front_known = false;
};

// Closest point of one query. feature: 0 face, 1..3 edge (i, i+1), 4..6 vertex i.
struct Closest {
    double distance_sq;
    double point[3];
    int32_t face;
    int32_t feature;
};

struct Hit {
    double t;
    int32_t face;
};

// How to estimate winding numbers in f32, and how far from one half the outcome must be to decide.
struct Estimate {
    float opening, spread, doubt;
};

namespace {
// The same with what rounding adds: of the query and the vertices, which matters near the surface, and of the terms of the
// solid angles, magnified by `noise`.
inline float doubt_of(const Estimate &e, float noise, float distance) { return e.doubt + 1e-6f / distance + 1e-7f * noise; }
}  // namespace

enum class RayMode { first, any };

// What a thread keeps of the rays it traces together (rays.inc).
constexpr uint32_t kRayBlock = 1 << 16;    // rays taken at a time and sorted by heading
constexpr uint32_t kRayStream = 1 << 12;   // rays of one heading traced together: what nodes and rays fill of the caches
constexpr uint32_t kRayEntries = 1 << 17;  // room for the lists of rays that wait for a node
struct RaySlabs {
    float inverse[3], minus[3];  // plane * inverse + minus is the t at which a plane is met
    float t_max, unused;
};
struct RayAim {
    float p[3], sx, sy;  // origin, and the f32 twin of Shear
    float unused[3];
};
struct RayTruth {
    double origin[3], direction[3], t_entry;
    Hit best;
};
struct RayTask {
    int32_t child;              // as in Node
    uint32_t begin, count, top;  // the entries of its rays, and where free ones begin
};
struct alignas(64) RaySpace {
    RaySlabs slabs[kRayStream];
    RayAim aim[kRayStream];
    RayTruth truth[kRayStream];
    double length[kRayStream], inverse_length[kRayStream];
    RayTask task[1024];
    uint64_t entry[kRayEntries];  // a ray in the upper half, in the lower the bits of the t where it meets the box
    uint32_t order[kRayBlock];
    uint8_t heading[kRayBlock];
};

// Points sorted by the cell of a grid across the box of a mesh, and how often the surface lies above each (columns.inc).
struct Columns {
    struct Rows {
        uint16_t first, last;
    };
    int axis[3];  // across the grid, across its rows, and along the lines: a right-handed frame
    double low[2], size[2], per[2], extent[2];  // where cells begin, how large they are, how many a unit, of all of them
    double unit;             // what points are multiplied with to be in units of 2^-exponent
    double close;            // this near to the surface a point is doubtful in any case
    double least[3], most[3];  // the box and what is close to it
    int32_t rows, cols;
    const uint32_t *start;    // of each cell; a row has cols + 1 of them, the last one for its end
    const Rows *face_rows;    // which rows each face meets
    const double *points[3];  // along the axes; behind each row is room for three more, so that threads keep apart
    int64_t *winding;         // signed crossings above each point
    uint8_t *doubtful;        // close to the surface, or rounding might decide

    // The column or row of what is so far from the first; never falls where that grows.
    int32_t cell(int a, double from_low) const {
        double place = from_low * per[a], last = (a == 0 ? cols : rows) - 1;
        place = place > 0 ? place : 0;
        return int32_t(place < last ? place : last);
    }
};

struct ViewRows;  // views.hpp

// One table for each instruction set; queries and origins are in units of 2^-exponent, neighbours in the array near each
// other in space.
struct Functions {
    const char *name;
    void (*closest)(const Scene &, const double *queries, size_t begin, size_t end, Closest *out);
    // The same, bit for bit, of clusters of `size` queries each, which must lie near each other.
    void (*cluster_closest)(const Scene &, const double *queries, size_t begin, size_t end, size_t size, Closest *out);
    // Winding numbers of packets by f32 far fields. A child is far when its centre is `opening` of its radii away; from
    // `spread` packet radii on, the packet shares one value and gradient. `noise`: see doubt_of.
    void (*winding)(const Scene &, const double *queries, size_t begin, size_t end, float opening, float spread, float *out,
                    float *noise);
    // Signs of neighbouring queries with known distances, as far as the winding number at a few of them tells: -1 inside, 1
    // outside, 0 not told. At most kCrowd queries; the second estimate is for those near one half.
    void (*settle)(const Scene &, const double *queries, const double *distances, size_t count, const Estimate *two, int8_t *signs);
    // What one of them says of others, for tests of its bound.
    void (*told)(const Scene &, const double *from, const double *queries, size_t count, float *change, float *doubt);
    // The winding number of one query in f64: far children to second order, near triangles exactly. *doubt gets what the far
    // ones may be off together.
    double (*careful)(const Scene &, const double *query, double opening, double *doubt);
    double (*exact)(const Scene &, const double *query);
    // Up to kRayBlock rays in the units of the mesh; t may be null. RayMode::any finds some face that is hit.
    void (*first_hits)(const Scene &, const double *origins, const double *directions, size_t count, RayMode, RaySpace &,
                       double *t, int64_t *faces);
    void (*count_hits)(const Scene &, const double *origins, const double *directions, size_t begin, size_t end, int64_t *out);
    // Every crossing of ray i to out[start[i]] and on, as many as count_hits found; in no order.
    void (*all_hits)(const Scene &, const double *origins, const double *directions, size_t begin, size_t end,
                     const int64_t *start, Hit *out);
    // The number of the cell of each point, or that of cells for points outside.
    void (*column_keys)(const Columns &, const double *points, size_t begin, size_t end, uint32_t *keys);
    // Adds up crossings for the points of some rows.
    void (*cross_rows)(const Scene &, const Columns &, int32_t row_begin, int32_t row_end);
    // Counts pairs until `stop_after`; writes them behind each other to the last argument, unless it is null.
    int64_t (*intersections)(const Scene &, size_t leaf_begin, size_t leaf_end, double slack, int64_t stop_after,
                             std::vector<int64_t> *);
    // What a block of columns costs one point at their prices; see emd.inc.
    double (*block_costs)(const double *x, const double *y, const double *z, const double *v, const double *point, bool squared,
                          double *costs, double *highest);
    // The `wanted` nearest of each of the queries begin to end; those of query i become row rows[i] of `squared` and `index`.
    void (*nearest_points)(const TreeView &, const double *queries, size_t begin, size_t end, int wanted, const uint32_t *rows,
                           double *squared, int64_t *index);
    void (*draw_rows)(const Scene &, const ViewRows &);
};

const Functions &functions();              // the best the machine can run
const Functions *functions_named(const char *name);  // nullptr if unknown or not supported here

}  // namespace shapetool
