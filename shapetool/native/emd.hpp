// Optimal transport between two point clouds: what moves where, and prices that prove how little it can cost.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pulse.hpp"

namespace shapetool {

// Columns are read in blocks of this many, each with its bounding box.
constexpr size_t kColumnBlock = 64;

struct Plan {
    std::vector<int64_t> rows, columns, amounts;  // in order of rows
    std::vector<double> u, v;  // v_j: price of each column; u_i = min_j(cost_ij - v_j) over all columns
};

struct Effort {
    double rtol;  // how far above what the prices prove the plan may cost, as a share of it; 0: nothing but rounding
    int threads;
    Pulse &pulse;
};

// Moves supply[i] units from each a[i] to the b[j], which take demand[j]; both sum to the same. The cost of a unit is the distance,
// or its square. The same plan for any number of threads and any instruction set. Throws Stopped.
Plan transport(const double *a, const int64_t *supply, size_t N, const double *b, const int64_t *demand, size_t M, bool squared,
               const Effort &effort);

}  // namespace shapetool
