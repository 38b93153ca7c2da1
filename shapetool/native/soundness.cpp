#include "soundness.hpp"

#include <algorithm>

#include "vec.hpp"

namespace shapetool {
namespace {

// Between these no product below leaves the normal range of a double.
constexpr double kSmallest = 1e-60, kLargest = 1e60;

// A volume above this share of area times extent stays above zero however 1e8 terms of it are rounded and summed.
constexpr double kClearVolume = 1e-5;
constexpr size_t kMostFaces = 100000000;

double widest(Vec a) { return std::max(std::max(std::fabs(a.x), std::fabs(a.y)), std::fabs(a.z)); }

}  // namespace

bool clearly_has_area(const double *vertices, const int64_t *faces, size_t count, double share) {
    for (size_t f = 0; f < count; ++f) {
        Vec a = load(vertices + 3 * faces[3 * f]), b = load(vertices + 3 * faces[3 * f + 1]);
        Vec c = load(vertices + 3 * faces[3 * f + 2]);
        double edge = std::max(widest(b - a), widest(c - a)), reach = std::max(std::max(widest(a), widest(b)), widest(c));
        if (!(edge >= kSmallest && reach <= kLargest)) return false;
        // The slow look takes the next power of two above the edge, at most twice the edge.
        double least = 3 * share * reach * edge;
        if (!(norm_sq(cross(b - a, c - a)) > least * least)) return false;
    }
    return true;
}

bool clearly_outward(const double *vertices, const int64_t *faces, size_t count) {
    if (count == 0 || count > kMostFaces) return false;
    Vec origin = load(vertices + 3 * faces[0]), weighted{0, 0, 0}, total{0, 0, 0};
    double area = 0, volume = 0, extent = 0;
    for (size_t f = 0; f < count; ++f) {
        Vec p[3];
        for (int i = 0; i < 3; ++i) {
            p[i] = load(vertices + 3 * faces[3 * f + i]) - origin;
            extent = std::max(extent, widest(p[i]));
        }
        Vec twice = cross(p[1] - p[0], p[2] - p[0]);
        double size = norm(twice);
        area += size;
        weighted = weighted + (p[0] + p[1] + p[2]) * size;
        total = total + twice;
        volume += dot(p[0], cross(p[1], p[2]));
    }
    if (!(area > 0 && extent >= kSmallest && extent <= kLargest)) return false;
    // Six volumes about the origin, moved to the middle, against twice the area.
    return volume - dot(weighted * (1 / (3 * area)), total) > 6 * kClearVolume * area * extent;
}

}  // namespace shapetool
