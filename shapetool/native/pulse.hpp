// A long call asks now and then whether it is still wanted.
#pragma once
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <utility>

namespace shapetool {

struct Stopped : std::exception {
    const char *what() const noexcept override { return "stopped by the caller"; }
};

class Pulse {
  public:
    explicit Pulse(std::function<bool()> asked) : asked_(std::move(asked)) {}

    // On the thread that made the call only: throws Stopped once the caller wants no more.
    void operator()() {
        if (++calls_ % kEach == 0 && stopped(0)) throw Stopped();
    }

    // Whether to leave a loop of several threads, of which thread 0 asks. Whoever joins them calls `finish`.
    bool stopped(int thread) {
        if (thread == 0 && !stop_) {
            auto now = std::chrono::steady_clock::now();
            if (now - last_ > std::chrono::milliseconds(50)) {
                stop_ = asked_();
                last_ = std::chrono::steady_clock::now();
            }
        }
        return stop_;
    }

    void finish() const {
        if (stop_) throw Stopped();
    }

  private:
    static constexpr unsigned kEach = 32;  // the clock costs as much as a short step
    std::function<bool()> asked_;
    unsigned calls_ = 0;
    std::atomic<bool> stop_{false};
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace shapetool
