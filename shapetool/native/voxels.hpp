// Which cells of a cubic lattice meet a triangle.
#pragma once
#include <cstddef>
#include <cstdint>

namespace shapetool {

// Sets cells[i][j][k] to 1 where the closed cube of cell (i, j, k), whose low corner is low + (i, j, k) * size, meets one of the
// triangles (nine doubles each); n cells along each axis.
void surface_cells(const double *triangles, size_t count, const double low[3], double size, int n, int threads, uint8_t *cells);

}  // namespace shapetool
