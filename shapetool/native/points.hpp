// The nearest of many points to any others: boxes of eight boxes over points along a Hilbert curve.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shapetool {

constexpr int kMostNeighbours = 16;

// What the inner loop reads. Singles are in the tree's own frame, (p - origin) * scale, where its points are at most 1.
struct TreeView {
    const float *leaves;        // of each eight points: x, y, z of all
    const int32_t *ids;         // of each eight; -1 where there is none
    const double *points;       // as given, in the order of `ids`
    const float *const *boxes;  // of each level from the leaves up: lows and highs of each eight, by axis
    const int64_t *counts;      // how many nodes each level has
    int levels;
    double origin[3], scale;
};

class PointTree {
  public:
    PointTree(const double *points, size_t count, int threads);
    size_t size() const { return count_; }
    // The `wanted` nearest of each query, at most kMostNeighbours and size(): squared distances and indices, rising; of those at the
    // same distance the lower index.
    void nearest(const double *queries, size_t count, int wanted, int threads, double *squared, int64_t *index) const;
    // The same of the points of another tree, which are in a good order already.
    void nearest(const PointTree &queries, int wanted, int threads, double *squared, int64_t *index) const;

  private:
    size_t count_;
    std::vector<float> leaves_;
    std::vector<int32_t> ids_;
    std::vector<double> points_;
    std::vector<std::vector<float>> boxes_;
    std::vector<const float *> levels_;
    std::vector<int64_t> counts_;
    TreeView view_;
};

}  // namespace shapetool
