// Quick answers about a mesh that needs no repair. They err to the side of no, so that a slow look decides every doubt.
#pragma once
#include <cstddef>
#include <cstdint>

namespace shapetool {

// Whether the height of every face is clearly above `share` of the largest coordinate of its corners.
bool clearly_has_area(const double *vertices, const int64_t *faces, size_t count, double share);

// Whether the volume about the middle of the surface is clearly above zero.
bool clearly_outward(const double *vertices, const int64_t *faces, size_t count);

}  // namespace shapetool
