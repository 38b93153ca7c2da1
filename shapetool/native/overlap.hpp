// Do two triangles meet anywhere but at a shared vertex? Separating axes in double precision; in doubt the answer is yes.
// They must be further apart than `slack` times their size; kTouch only rules rounding out.
#pragma once
#include "vec.hpp"

namespace shapetool {
namespace {

struct Interval {
    double lo, hi;
};

inline Interval project(const Vec *v, int n, Vec axis) {
    Interval r{dot(v[0], axis), 0};
    r.hi = r.lo;
    for (int i = 1; i < n; ++i) {
        double d = dot(v[i], axis);
        r.lo = d < r.lo ? d : r.lo, r.hi = d > r.hi ? d : r.hi;
    }
    return r;
}

inline double extent(const Vec *v, int n) {
    double m = 0;
    for (int i = 0; i < n; ++i) m = std::fmax(m, std::fmax(std::fabs(v[i].x), std::fmax(std::fabs(v[i].y), std::fabs(v[i].z))));
    return m;
}

// a, b: corners, already relative to a point near both, so that rounding is small beside them.
inline bool triangles_overlap(const Vec *a, const Vec *b, double slack) {
    double size = std::fmax(extent(a, 3), extent(b, 3));
    auto apart = [&](Vec axis) {
        double tolerance = slack * size * norm(axis);
        Interval p = project(a, 3, axis), q = project(b, 3, axis);
        return p.lo - q.hi > tolerance || q.lo - p.hi > tolerance;
    };
    Vec ea[3] = {a[1] - a[0], a[2] - a[1], a[0] - a[2]}, eb[3] = {b[1] - b[0], b[2] - b[1], b[0] - b[2]};
    Vec na = cross(ea[0], ea[1]), nb = cross(eb[0], eb[1]);
    if (apart(na) || apart(nb)) return false;
    for (auto &x : ea)
        for (auto &y : eb)
            if (apart(cross(x, y))) return false;
    for (int i = 0; i < 3; ++i)
        if (apart(cross(na, ea[i])) || apart(cross(nb, eb[i]))) return false;
    return true;
}

struct Fan {  // a triangle seen from one of its corners: the two others
    Vec v[2];
    Vec normal() const { return cross(v[0], v[1]); }
    // v[i] without its part along the unit vector u, at unit length
    Vec across(int i, Vec u) const {
        Vec r = v[i] - u * dot(v[i], u);
        double n = norm(r);
        return n > 0 ? r * (1 / n) : r;
    }
};

// Whether the plane through the shared corner with this normal has `a` above and `b` below it. Both may have one edge in the
// plane, if these edges part there.
inline bool parted_by(const Fan &a, const Fan &b, Vec axis, double size, double slack) {
    double tolerance = slack * size * norm(axis);
    if (!(tolerance > 0)) return false;
    int flat_a = -1, flat_b = -1, flats_a = 0, flats_b = 0;
    for (int i = 0; i < 2; ++i) {
        double p = dot(a.v[i], axis), q = dot(b.v[i], axis);
        if (p < -tolerance || q > tolerance) return false;
        if (p <= tolerance) flat_a = i, ++flats_a;
        if (q >= -tolerance) flat_b = i, ++flats_b;
    }
    if (!flats_a || !flats_b) return true;
    if (flats_a + flats_b > 2) return false;
    Vec p = a.v[flat_a], q = b.v[flat_b];
    double angle = 500 * slack;
    return dot(p, q) <= 0 || norm_sq(cross(p, q)) > angle * angle * norm_sq(p) * norm_sq(q);
}

// Two triangles that share one corner, relative to it: apart when a plane parts them.
inline bool fans_overlap(const Fan &a, const Fan &b, double slack) {
    double size = std::fmax(extent(a.v, 2), extent(b.v, 2));
    auto parted = [&](Vec axis) { return parted_by(a, b, axis, size, slack) || parted_by(a, b, axis * -1, size, slack); };
    Vec na = a.normal(), nb = b.normal();
    if (parted(na) || parted(nb)) return false;
    for (int i = 0; i < 2; ++i)
        if (parted(cross(na, a.v[i])) || parted(cross(nb, b.v[i]))) return false;
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 2; ++j) {
            if (parted(cross(a.v[i], b.v[j]))) return false;
            Vec along = a.v[i] * (1 / norm(a.v[i]));  // edges in one line: a plane between the two others
            if (parted(a.across(1 - i, along) - b.across(1 - j, along))) return false;
        }
    return true;
}

}  // namespace
}  // namespace shapetool
