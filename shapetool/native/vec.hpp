// Three doubles. Everything here has internal linkage: the file is compiled once for each instruction set.
#pragma once
#include <cmath>

namespace shapetool {
namespace {

struct Vec {
    double x, y, z;
};

inline Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec operator*(Vec a, double s) { return {a.x * s, a.y * s, a.z * s}; }
inline double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec cross(Vec a, Vec b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
inline double norm_sq(Vec a) { return dot(a, a); }
inline double norm(Vec a) { return std::sqrt(dot(a, a)); }
inline Vec load(const double *p) { return {p[0], p[1], p[2]}; }
inline void store(double *p, Vec a) { p[0] = a.x, p[1] = a.y, p[2] = a.z; }

}  // namespace
}  // namespace shapetool
