#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "host/host.h"

namespace polythrottle {
namespace {

using Steady = std::chrono::steady_clock;  // CLOCK_MONOTONIC

Seconds read_clock(clockid_t which) {
  timespec time{};
  ::clock_gettime(which, &time);
  return Seconds(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9);
}

/// Calls on the grid start + k x period, so that the lateness of one call does not move the next; calls missed by a slow `fn` are left out.
class ThreadTicker : public Ticker {
 public:
  ThreadTicker(Seconds period, std::function<void()> fn)
      : period_(std::max(std::chrono::duration_cast<Steady::duration>(period), Steady::duration(std::chrono::microseconds(1)))),
        fn_(std::move(fn)),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

 private:
  void run(const std::stop_token& stop) {
    const auto start = Steady::now();
    Steady::rep step = 1;
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto when = start + step * period_;
      // The predicate is never true: this returns when the time has come or a stop is asked for.
      wake_.wait_until(lock, stop, when, [] { return false; });
      if (stop.stop_requested()) return;
      fn_();
      step = std::max(step, (Steady::now() - start) / period_) + 1;
    }
  }

  const Steady::duration period_;
  const std::function<void()> fn_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: it stops before the rest goes
};

class RealClock : public Clock {
 public:
  TimePoint now() const override { return TimePoint(Steady::now()); }
  double wall_seconds() const override { return read_clock(CLOCK_REALTIME).count(); }
  Seconds process_cpu() const override { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

  void sleep_until(TimePoint when) override {
    const double seconds = when.time_since_epoch().count();
    if (!(seconds > 0.0)) return;
    timespec until{};
    until.tv_sec = static_cast<time_t>(seconds);
    until.tv_nsec = std::lround(std::floor((seconds - static_cast<double>(until.tv_sec)) * 1e9));
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
  }

  std::unique_ptr<Ticker> every(Seconds period, std::function<void()> fn) override {
    return std::make_unique<ThreadTicker>(period, std::move(fn));
  }
};

}  // namespace

std::unique_ptr<Clock> real_clock() { return std::make_unique<RealClock>(); }

}  // namespace polythrottle
