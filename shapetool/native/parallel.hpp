// Threads for one call: started, joined and forgotten, so that a process may fork before and after.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace shapetool {

inline int thread_count(int wanted) {
    int cores = int(std::thread::hardware_concurrency());
    if (wanted <= 0) return std::max(1, cores);
    return wanted;
}

// Calls body(begin, end, thread) for blocks of `grain` items until all n are done; thread < threads.
template <class Body>
void parallel_for(int threads, size_t n, size_t grain, const Body &body) {
    if (n == 0) return;
    grain = std::max<size_t>(1, grain);
    size_t blocks = (n + grain - 1) / grain;
    threads = int(std::min<size_t>(size_t(std::max(1, threads)), blocks));
    std::atomic<size_t> next{0};
    auto work = [&](int thread) {
        for (;;) {
            size_t block = next.fetch_add(1, std::memory_order_relaxed);
            if (block >= blocks) return;
            body(block * grain, std::min(n, (block + 1) * grain), thread);
        }
    };
    std::vector<std::thread> others;
    others.reserve(size_t(threads - 1));
    for (int t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
    for (auto &thread : others) thread.join();
}

}  // namespace shapetool
