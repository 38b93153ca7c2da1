// The closest point of one triangle in double precision: what decides and what is returned.
#pragma once
#include "scene.hpp"
#include "vec.hpp"

namespace shapetool {
namespace {

inline double longest_edge_sq(Vec a, Vec b, Vec c) {
    double e0 = norm_sq(b - a), e1 = norm_sq(c - b), e2 = norm_sq(a - c);
    double m = e0 > e1 ? e0 : e1;
    return m > e2 ? m : e2;
}

// Too thin for its normal to mean anything; its three edges then stand for it (error below kDegenerate edge lengths).
inline bool is_degenerate(Vec n, double edge_sq) { return norm_sq(n) <= kDegenerate * kDegenerate * edge_sq * edge_sq; }

inline void closest_on_edge(Vec p, Vec a, Vec b, int edge, Closest &best) {
    Vec e = b - a;
    double ee = norm_sq(e), t = ee > 0 ? dot(p - a, e) / ee : 0;
    int feature = 1 + edge;
    constexpr double tolerance = 1e-12;  // this close to an end the vertex decides the sign
    if (t <= tolerance) {
        feature = 4 + edge;
        if (t < 0) t = 0;
    } else if (t >= 1 - tolerance) {
        feature = 4 + (edge + 1) % 3;
        if (t > 1) t = 1;
    }
    Vec c = t == 1 ? b : a + e * t;
    double d = norm_sq(p - c);
    if (d < best.distance_sq) {
        best.distance_sq = d;
        best.feature = feature;
        store(best.point, c);
    }
}

// Only edges that p lies beyond can hold the closest point, so most of the work is skipped.
inline void closest_on_triangle(const double *triangle, Vec p, int32_t face, Closest &out) {
    Vec a = load(triangle), b = load(triangle + 3), c = load(triangle + 6);
    Vec ab = b - a, bc = c - b, ca = a - c, n = cross(ab, bc);
    Closest best;
    best.distance_sq = INFINITY;
    best.face = face;
    bool thin = is_degenerate(n, longest_edge_sq(a, b, c));
    Vec pa = p - a;
    bool beyond_ab = thin || dot(cross(n, ab), pa) < 0;
    bool beyond_bc = thin || dot(cross(n, bc), p - b) < 0;
    bool beyond_ca = thin || dot(cross(n, ca), p - c) < 0;
    if (!(beyond_ab || beyond_bc || beyond_ca)) {
        double h = dot(pa, n), nn = norm_sq(n);
        best.distance_sq = h * h / nn;
        best.feature = 0;
        store(best.point, p - n * (h / nn));
    } else {
        if (beyond_ab) closest_on_edge(p, a, b, 0, best);
        if (beyond_bc) closest_on_edge(p, b, c, 1, best);
        if (beyond_ca) closest_on_edge(p, c, a, 2, best);
    }
    if (best.distance_sq < out.distance_sq || (best.distance_sq == out.distance_sq && face < out.face)) out = best;
}

// Solid angle over 4 pi of a triangle seen from p (van Oosterom and Strackee, 1983).
inline double winding_of_triangle(const double *triangle, Vec p) {
    Vec a = load(triangle) - p, b = load(triangle + 3) - p, c = load(triangle + 6) - p;
    double la = norm(a), lb = norm(b), lc = norm(c);
    double det = dot(a, cross(b, c));
    double den = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb;
    if (det == 0 && den <= 0) return 0;  // p lies on the triangle: the principal value
    return std::atan2(det, den) * (1 / (2 * M_PI));
}

}  // namespace
}  // namespace shapetool
