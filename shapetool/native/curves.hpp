// Points in an order in which neighbours are mostly neighbours in space.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shapetool {

enum class Curve { morton, hilbert };  // the second is the better one, and costs as much as it saves a mere distance

// The order of the points along a curve through the box around them, of 2^bits cells on its longest side; at most 10 bits.
std::vector<uint32_t> curve_order(const double *points, size_t P, Curve curve, int bits, int threads);

}  // namespace shapetool
