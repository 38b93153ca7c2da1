// One cloud as what the other may buy: its points along a curve, in blocks with boxes, each at a price.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "curves.hpp"
#include "emd.hpp"
#include "scene.hpp"

namespace shapetool {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline std::vector<uint32_t> in_order(const double *points, size_t n) { return curve_order(points, n, Curve::hilbert, 10, 1); }

// The columns along a curve, in blocks, with their prices.
class Offers {
  public:
    Offers(const double *b, size_t M, bool squared) : count(M), order(in_order(b, M)), squared_(squared) {
        blocks = (M + kColumnBlock - 1) / kColumnBlock;
        for (int a = 0; a < 3; ++a) {
            axis_[a].assign(blocks * kColumnBlock, 0.0);
            low_[a].assign(blocks, kInfinity), high_[a].assign(blocks, -kInfinity);
            for (size_t j = 0; j < M; ++j) {
                double x = axis_[a][j] = b[3 * size_t(order[j]) + size_t(a)];
                double &low = low_[a][j / kColumnBlock], &high = high_[a][j / kColumnBlock];
                low = std::min(low, x), high = std::max(high, x);
            }
        }
        v.assign(blocks * kColumnBlock, -kInfinity);  // what fills the last block is infinitely dear
        std::fill_n(v.begin(), M, 0.0);
        highest.assign(blocks, 0.0);
    }

    double cost(const double *point, int32_t j) const {
        double dx = axis_[0][size_t(j)] - point[0], dy = axis_[1][size_t(j)] - point[1], dz = axis_[2][size_t(j)] - point[2];
        double sq = dx * dx + dy * dy + dz * dz;
        return squared_ ? sq : std::sqrt(sq);
    }

    // No column of the block costs less. Each operation rounds monotonically, so this holds to the last bit.
    double bound(const double *point, size_t block) const {
        double sq[3];
        for (int a = 0; a < 3; ++a) {
            double gap = std::max({low_[a][block] - point[a], point[a] - high_[a][block], 0.0});
            sq[a] = gap * gap;
        }
        double sum = sq[0] + sq[1] + sq[2];
        return (squared_ ? sum : std::sqrt(sum)) - highest[block];
    }

    double costs(const double *point, size_t block, double *values, double *most) const {
        size_t at = block * kColumnBlock;
        return functions().block_costs(&axis_[0][at], &axis_[1][at], &axis_[2][at], &v[at], point, squared_, values, most);
    }

    // The least cost over all columns.
    double least(const double *point) const {
        double values[kColumnBlock], most, least = kInfinity;
        size_t first = nearest_block(point);
        least = costs(point, first, values, &most);
        for (size_t block = 0; block < blocks; ++block)
            if (block != first && bound(point, block) < least) least = std::min(least, costs(point, block, values, &most));
        return least;
    }

    size_t nearest_block(const double *point) const {
        size_t first = 0;
        double low = kInfinity;
        for (size_t block = 0; block < blocks; ++block) {
            double here = bound(point, block);
            if (here < low) low = here, first = block;
        }
        return first;
    }

    using Entry = std::pair<double, int32_t>;

    // Up to `wanted` columns of those that cost at most `limit`, the cheapest, in no order. With `refresh`, the highest prices met are
    // written down.
    void cheapest(const double *point, size_t wanted, double limit, std::vector<Entry> &found, double *refresh = nullptr) const {
        double values[kColumnBlock], most;
        found.clear();
        auto shorten = [&] {
            std::nth_element(found.begin(), found.begin() + std::ptrdiff_t(wanted), found.end());
            found.resize(wanted);
        };
        auto take = [&](size_t block) {
            double low = costs(point, block, values, &most);
            if (refresh) refresh[block] = most;
            if (!(low <= limit)) return;
            size_t end = std::min(kColumnBlock, count - block * kColumnBlock);
            for (size_t k = 0; k < end; ++k)
                if (values[k] <= limit) found.push_back({values[k], int32_t(block * kColumnBlock + k)});
            if (found.size() >= wanted + kColumnBlock) {
                shorten();
                limit = std::max_element(found.begin(), found.end())->first;
            }
        };
        size_t first = nearest_block(point);
        take(first);
        for (size_t block = 0; block < blocks; ++block)
            if (block != first && bound(point, block) <= limit) take(block);
        if (found.size() > wanted) shorten();
    }

    // The highest price of each block, as the prices are now.
    void refresh() {
        for (size_t block = 0; block < blocks; ++block) {
            auto from = v.begin() + std::ptrdiff_t(block * kColumnBlock);
            highest[block] = *std::max_element(from, from + std::ptrdiff_t(kColumnBlock));
        }
    }

    size_t count, blocks;
    std::vector<uint32_t> order;
    std::vector<double> v;
    std::vector<double> highest;  // at least the highest price of each block

  private:
    bool squared_;
    std::vector<double> axis_[3], low_[3], high_[3];
};

}  // namespace shapetool
