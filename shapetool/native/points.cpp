#include "points.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "curves.hpp"
#include "parallel.hpp"
#include "scene.hpp"

namespace shapetool {
namespace {

constexpr int kBits = 10;  // an axis
constexpr size_t kTogether = 1 << 12;  // queries that a thread takes at a time
constexpr float kFar = std::numeric_limits<float>::infinity();

}  // namespace

PointTree::PointTree(const double *points, size_t count, int threads) : count_(count) {
    std::vector<uint32_t> order = curve_order(points, count, Curve::hilbert, kBits, threads);
    double reach = 0;
    for (int k = 0; k < 3; ++k) {
        double low = points[k], high = low;
        for (size_t i = 1; i < count; ++i) low = std::min(low, points[3 * i + k]), high = std::max(high, points[3 * i + k]);
        view_.origin[k] = low / 2 + high / 2;
        reach = std::max(reach, high / 2 - low / 2);
    }
    view_.scale = reach > 1e-300 ? 1 / reach : 1;
    size_t leaves = (count + 7) / 8;
    leaves_.assign(24 * leaves, std::numeric_limits<float>::max()), ids_.assign(8 * leaves, -1), points_.resize(24 * leaves);
    boxes_.emplace_back(48 * ((leaves + 7) / 8), kFar);
    for (size_t leaf = 0; leaf < leaves; ++leaf) {
        float *box = &boxes_[0][48 * (leaf / 8) + leaf % 8];
        for (int k = 0; k < 3; ++k) box[8 * (k + 3)] = -kFar;
        for (size_t i = 8 * leaf; i < std::min(count, 8 * leaf + 8); ++i) {
            ids_[i] = int32_t(order[i]);
            for (size_t k = 0; k < 3; ++k) {
                points_[3 * i + k] = points[3 * size_t(order[i]) + k];
                float x = float((points_[3 * i + k] - view_.origin[k]) * view_.scale);
                leaves_[24 * leaf + 8 * k + i % 8] = x;
                box[8 * k] = std::min(box[8 * k], x), box[8 * (k + 3)] = std::max(box[8 * (k + 3)], x);
            }
        }
    }
    counts_.push_back(int64_t(leaves));
    while (counts_.back() > 8) {
        size_t below = size_t(counts_.back()), nodes = (below + 7) / 8;
        boxes_.emplace_back(48 * ((nodes + 7) / 8), kFar);
        const std::vector<float> &children = boxes_[boxes_.size() - 2];
        for (size_t node = 0; node < nodes; ++node) {
            float *box = &boxes_.back()[48 * (node / 8) + node % 8];
            for (size_t k = 0; k < 3; ++k) {
                box[8 * (k + 3)] = -kFar;
                for (size_t c = 0; c < std::min<size_t>(8, below - 8 * node); ++c) {
                    box[8 * k] = std::min(box[8 * k], children[48 * node + 8 * k + c]);
                    box[8 * (k + 3)] = std::max(box[8 * (k + 3)], children[48 * node + 8 * (k + 3) + c]);
                }
            }
        }
        counts_.push_back(int64_t(nodes));
    }
    for (const std::vector<float> &level : boxes_) levels_.push_back(level.data());
    view_.leaves = leaves_.data(), view_.ids = ids_.data(), view_.points = points_.data();
    view_.boxes = levels_.data(), view_.counts = counts_.data(), view_.levels = int(levels_.size());
}

void PointTree::nearest(const double *queries, size_t count, int wanted, int threads, double *squared, int64_t *index) const {
    std::vector<uint32_t> order = curve_order(queries, count, Curve::hilbert, kBits, threads);
    std::vector<double> sorted(3 * count);
    parallel_for(threads, count, kTogether, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i)
            for (size_t k = 0; k < 3; ++k) sorted[3 * i + k] = queries[3 * size_t(order[i]) + k];
        functions().nearest_points(view_, sorted.data(), begin, end, wanted, order.data(), squared, index);
    });
}

void PointTree::nearest(const PointTree &queries, int wanted, int threads, double *squared, int64_t *index) const {
    const auto *order = reinterpret_cast<const uint32_t *>(queries.ids_.data());  // none below 0 before the last
    parallel_for(threads, queries.count_, kTogether, [&](size_t begin, size_t end, int) {
        functions().nearest_points(view_, queries.points_.data(), begin, end, wanted, order, squared, index);
    });
}

}  // namespace shapetool
