#include "points.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "parallel.hpp"
#include "scene.hpp"
#include "sorting.hpp"

namespace shapetool {
namespace {

constexpr int kBits = 10;             // an axis
constexpr size_t kFew = 1 << 14;      // points that one thread sorts before others have started
constexpr float kFar = std::numeric_limits<float>::infinity();

uint32_t spread(uint32_t x) {
    x = (x | x << 16) & 0x030000ff;
    x = (x | x << 8) & 0x0300f00f;
    x = (x | x << 4) & 0x030c30c3;
    return (x | x << 2) & 0x09249249;
}

// The order along a Morton curve in the box of the points.
std::vector<uint32_t> along(const double *points, size_t count, int threads) {
    double low[3], high[3], size = 0;
    for (int k = 0; k < 3; ++k) low[k] = std::numeric_limits<double>::infinity(), high[k] = -low[k];
    for (size_t i = 0; i < count; ++i)
        for (int k = 0; k < 3; ++k) low[k] = std::min(low[k], points[3 * i + k]), high[k] = std::max(high[k], points[3 * i + k]);
    for (int k = 0; k < 3; ++k) size = std::max(size, high[k] / 2 - low[k] / 2);
    double cells = size > 0 ? double(1 << kBits) / 2 / size : 0;
    std::vector<uint32_t> keys(count);
    parallel_for(threads, count, 1 << 14, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i) {
            uint32_t key = 0;
            for (int k = 0; k < 3; ++k) {
                double cell = (points[3 * i + k] - low[k]) * cells;
                key |= spread(uint32_t(cell >= 0 ? std::min(cell, double((1 << kBits) - 1)) : 0)) << k;
            }
            keys[i] = key;
        }
    });
    return sorting_order(keys, 3 * kBits, count < kFew ? 1 : threads);
}

}  // namespace

PointTree::PointTree(const double *points, size_t count, int threads) : count_(count) {
    std::vector<uint32_t> order = along(points, count, threads);
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
    std::vector<uint32_t> order = along(queries, count, threads);
    parallel_for(threads, count, 1 << 12, [&](size_t begin, size_t end, int) {
        functions().nearest_points(view_, queries, order.data(), begin, end, wanted, squared, index);
    });
}

}  // namespace shapetool
