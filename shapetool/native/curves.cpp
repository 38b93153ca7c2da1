#include "curves.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "sorting.hpp"

namespace shapetool {
namespace {

constexpr size_t kCells = 1024;   // that a thread takes at a time
constexpr size_t kFew = 1 << 14;  // points that one thread sorts before others have started

uint32_t spread(uint32_t x) {  // 10 bits to every third bit
    x &= 0x3ff;
    x = (x | x << 16) & 0x030000ff;
    x = (x | x << 8) & 0x0300f00f;
    x = (x | x << 4) & 0x030c30c3;
    return (x | x << 2) & 0x09249249;
}

// Cells (x, y, z) of `bits` bits each, in place, into what is interleaved to their places along a Hilbert curve (Skilling
// 2004, "Programming the Hilbert curve", without its branches). Neighbours along it are neighbours in space, so a packet of
// consecutive queries stays small; along a Morton curve every eighth step is a jump.
void to_hilbert(uint32_t *__restrict x, uint32_t *__restrict y, uint32_t *__restrict z, size_t n, int bits) {
    for (int bit = bits - 1; bit > 0; --bit) {
        uint32_t below = (1u << bit) - 1;
        auto mask_of = [bit](uint32_t word) { return 0u - (word >> bit & 1u); };
        for (size_t i = 0; i < n; ++i) {
            uint32_t first = x[i] ^ (below & mask_of(x[i]));
            uint32_t set = mask_of(y[i]), swap = (first ^ y[i]) & below & ~set;
            first ^= swap ^ (below & set), y[i] ^= swap;
            set = mask_of(z[i]), swap = (first ^ z[i]) & below & ~set;
            x[i] = first ^ swap ^ (below & set), z[i] ^= swap;
        }
    }
    for (size_t i = 0; i < n; ++i) {
        y[i] ^= x[i], z[i] ^= y[i];
        uint32_t turn = z[i] >> 1;  // the parity of all bits above
        turn ^= turn >> 1, turn ^= turn >> 2, turn ^= turn >> 4, turn ^= turn >> 8;
        x[i] ^= turn, y[i] ^= turn, z[i] ^= turn;
    }
}

}  // namespace

std::vector<uint32_t> curve_order(const double *points, size_t P, Curve curve, int bits, int threads) {
    std::vector<uint32_t> keys(P);
    if (P < 32) return sorting_order(keys, 0, 1);
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY}, half = 0;
    for (size_t i = 0; i < P; ++i)
        for (size_t a = 0; a < 3; ++a) low[a] = std::min(low[a], points[3 * i + a]), high[a] = std::max(high[a], points[3 * i + a]);
    for (size_t a = 0; a < 3; ++a) half = std::max(half, high[a] / 2 - low[a] / 2);  // the whole may be beyond all numbers
    double by = half > 0 ? double(1 << bits) * 0.999999 / 2 / half : 0, last = double((1 << bits) - 1);
    if (!std::isfinite(by)) by = 0;
    parallel_for(threads, P, kCells, [&](size_t begin, size_t end, int) {
        uint32_t cell[3][kCells];
        for (size_t i = begin; i < end; ++i)
            for (size_t a = 0; a < 3; ++a) {
                double at = (points[3 * i + a] - low[a]) * by;
                cell[a][i - begin] = uint32_t(at >= 0 ? std::min(at, last) : 0);  // and 0 where it is no number
            }
        if (curve == Curve::hilbert) to_hilbert(cell[0], cell[1], cell[2], end - begin, bits);
        for (size_t i = begin; i < end; ++i)
            keys[i] = spread(cell[0][i - begin]) << 2 | spread(cell[1][i - begin]) << 1 | spread(cell[2][i - begin]);
    });
    return sorting_order(keys, 3 * bits, P < kFew ? 1 : threads);
}

}  // namespace shapetool
