// The network simplex for transport whose columns take several units.
#pragma once
#include "emd.hpp"

namespace shapetool {

// As `transport`, for any amounts. The plan and its prices belong to one tree, so no tie has to be paid for by a search.
Plan simplex(const double *a, const int64_t *supply, size_t N, const double *b, const int64_t *demand, size_t M, bool squared,
             const Effort &effort);

}  // namespace shapetool
