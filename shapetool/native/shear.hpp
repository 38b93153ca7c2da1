// The test that decides whether a ray hits a triangle, in double precision; see rays.inc. Compiled without fused
// multiply-add, wherever it is included.
#pragma once
#include "vec.hpp"

namespace shapetool {
namespace {

struct Shear {
    int kx = 0, ky = 0, kz = -1;
    double sx = 0, sy = 0, sz = 0;
    Vec origin{};
    Shear() = default;
    explicit Shear(Vec o, Vec d) : origin(o) {
        double a[3] = {std::fabs(d.x), std::fabs(d.y), std::fabs(d.z)};
        kz = a[0] > a[1] ? (a[0] > a[2] ? 0 : 2) : (a[1] > a[2] ? 1 : 2);
        kx = (kz + 1) % 3, ky = (kz + 2) % 3;
        const double *dd = &d.x;
        if (dd[kz] < 0) { int k = kx; kx = ky; ky = k; }
        sx = dd[kx] / dd[kz], sy = dd[ky] / dd[kz], sz = 1 / dd[kz];
    }
};

// The side of the ray on which an edge passes; a tie is broken as if the ray were moved by (e, e^2) for a tiny e, so that a
// ray through an edge or a vertex of a closed surface crosses it as often as a ray beside it.
inline int side(double ax, double ay, double bx, double by, double value, bool break_ties) {
    if (value != 0 || !break_ties) return value > 0 ? 1 : value < 0 ? -1 : 0;
    if (ay != by) return by > ay ? 1 : -1;
    if (ax != bx) return ax > bx ? 1 : -1;
    return 0;
}

// t of the crossing, or NaN. With `once`, edges belong to one of their two triangles only. `weights`: of the three corners.
inline double ray_triangle(const double *triangle, const Shear &r, bool once, double *weights = nullptr) {
    const double *o = &r.origin.x;
    double x[3], y[3], z[3];
    for (int i = 0; i < 3; ++i) {
        const double *v = triangle + 3 * i;
        double dz = v[r.kz] - o[r.kz];
        x[i] = (v[r.kx] - o[r.kx]) - r.sx * dz;
        y[i] = (v[r.ky] - o[r.ky]) - r.sy * dz;
        z[i] = r.sz * dz;
    }
    double u = x[2] * y[1] - y[2] * x[1], v = x[0] * y[2] - y[0] * x[2], w = x[1] * y[0] - y[1] * x[0];
    int su = side(x[1], y[1], x[2], y[2], u, once), sv = side(x[2], y[2], x[0], y[0], v, once),
        sw = side(x[0], y[0], x[1], y[1], w, once);
    if (once ? !(su == sv && sv == sw && su != 0) : ((su < 0 || sv < 0 || sw < 0) && (su > 0 || sv > 0 || sw > 0)))
        return NAN;
    double det = u + v + w;
    if (det == 0) return NAN;
    if (weights) weights[0] = u / det, weights[1] = v / det, weights[2] = w / det;
    return (u * z[0] + v * z[1] + w * z[2]) / det;
}

}  // namespace
}  // namespace shapetool
