// Batches of queries: sorted along a curve, spread over threads, put back in the order they came.
#pragma once
#include "scene.hpp"

namespace shapetool {

enum class Winding { rough, better, fast, exact };  // two of f32 packets; f64 far fields; every triangle
enum class Sign { unsigned_, pseudonormal, winding, parity };

// points: P x 3 in the mesh's own units. Any output may be null.
void query_closest(Scene &, const double *points, size_t P, int threads, double *distances, int64_t *faces, double *closest);
void query_signed(Scene &, const double *points, size_t P, Sign, int threads, double *distances);
// At the nodes (axes[0][i], axes[1][j], axes[2][k]); k runs fastest in `distances`. The same bits as query_signed.
void query_lattice(Scene &, const double *const *axes, const size_t *counts, Sign, int threads, double *distances);
void query_winding(Scene &, const double *points, size_t P, Winding, int threads, double *out);
// The change of the winding number on the way from the first point to each, as the boundary tells it, and a bound on its
// error where no triangle is met on the way.
void query_winding_change(Scene &, const double *points, size_t P, int threads, float *change, float *doubt);
void query_rays(Scene &, const double *origins, const double *directions, size_t R, RayMode, int threads, double *t,
                int64_t *faces);
// Every crossing, in order along each ray; start has R + 1 entries. An edge counts for one of its triangles only.
void query_all_hits(Scene &, const double *origins, const double *directions, size_t R, int threads,
                    std::vector<int64_t> &start, std::vector<double> &t, std::vector<int64_t> &faces);

// Whether the winding number exceeds one half, 1 or 0, of a mesh with this orientation, which is not 0 (build.hpp); -1 where
// rounding might decide: on the surface, or about as near to it as numbers are to one another. No tree is needed.
void query_inside(Scene &, const double *points, size_t P, int orientation, int threads, int8_t *inside);

// Closed, oriented, manifold, nowhere folded or meeting itself: the pseudonormal then gives the winding number exactly.
bool pseudonormals_hold(Scene &, int threads);

}  // namespace shapetool
