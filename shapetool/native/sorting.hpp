// Sorting by small numbers.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace shapetool {

// Sorts the keys and returns the order that did: a radix sort, stable, by all threads.
inline std::vector<uint32_t> sorting_order(std::vector<uint32_t> &keys, int bits, int threads) {
    size_t P = keys.size();
    std::vector<uint32_t> order(P), order2(P), keys2(P);
    size_t grain = std::max<size_t>(1, (P + size_t(threads) - 1) / size_t(std::max(1, threads)));
    size_t blocks = (P + grain - 1) / grain;
    constexpr int kDigit = 11;
    constexpr size_t kRadix = size_t(1) << kDigit;
    for (size_t i = 0; i < P; ++i) order[i] = uint32_t(i);
    std::vector<uint32_t> counts(blocks * kRadix);
    for (int shift = 0; shift < bits; shift += kDigit) {
        std::fill(counts.begin(), counts.end(), 0);
        parallel_for(threads, P, grain, [&](size_t begin, size_t end, int) {
            uint32_t *c = &counts[begin / grain * kRadix];
            for (size_t i = begin; i < end; ++i) ++c[(keys[i] >> shift) & (kRadix - 1)];
        });
        uint32_t total = 0;
        for (size_t d = 0; d < kRadix; ++d)
            for (size_t b = 0; b < blocks; ++b) {
                uint32_t n = counts[b * kRadix + d];
                counts[b * kRadix + d] = total;
                total += n;
            }
        parallel_for(threads, P, grain, [&](size_t begin, size_t end, int) {
            uint32_t *c = &counts[begin / grain * kRadix];
            for (size_t i = begin; i < end; ++i) {
                uint32_t at = c[(keys[i] >> shift) & (kRadix - 1)]++;
                keys2[at] = keys[i], order2[at] = order[i];
            }
        });
        keys.swap(keys2), order.swap(order2);
    }
    return order;
}

}  // namespace shapetool
