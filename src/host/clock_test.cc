#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "host/host.h"

namespace polythrottle {
namespace {

TEST(RealClock, SleepsUntilTheTimeAndNotBefore) {
  const auto clock = real_clock();
  const auto start = clock->now();
  clock->sleep_until(start + Seconds(0.005));
  EXPECT_GE((clock->now() - start).count(), 0.00499);
  clock->sleep_until(start);  // past: at once
  EXPECT_GT(clock->wall_seconds(), 1.6e9);
}

TEST(RealClock, CountsTheCpuTimeOfAllThreads) {
  const auto clock = real_clock();
  const Seconds before = clock->process_cpu();
  std::thread([&] {
    const Seconds start = clock->process_cpu();
    while (clock->process_cpu() - start < Seconds(0.01)) {
    }
  }).join();
  EXPECT_GE((clock->process_cpu() - before).count(), 0.01);
}

TEST(RealTicker, CallsAndStopsWhenDestroyed) {
  const auto clock = real_clock();
  std::atomic<int> calls{0};
  auto ticker = clock->every(Seconds(0.001), [&] { ++calls; });
  const auto deadline = clock->now() + Seconds(10);
  while (calls < 5 && clock->now() < deadline) clock->sleep_until(clock->now() + Seconds(0.001));
  EXPECT_GE(calls, 5);
  ticker.reset();
  const int after = calls;
  clock->sleep_until(clock->now() + Seconds(0.005));
  EXPECT_EQ(calls, after);
}

TEST(RealTicker, StopsAtOnceHoweverLongThePeriod) {
  const auto clock = real_clock();
  const auto start = clock->now();
  clock->every(Seconds(3600), [] {}).reset();
  EXPECT_LT((clock->now() - start).count(), 5.0);
}

TEST(RealTicker, StaysOnItsGridAndLeavesOutWhatASlowCallMissed) {
  const auto clock = real_clock();
  const double period = 0.01;
  const auto start = clock->now();
  std::vector<double> times;
  std::atomic<bool> enough{false};
  {
    const auto ticker = clock->every(Seconds(period), [&] {
      if (enough) return;
      times.push_back((clock->now() - start).count());
      if (times.size() == 1) clock->sleep_until(clock->now() + Seconds(2.5 * period));
      if (times.size() == 4) enough = true;
    });
    while (!enough && clock->now() - start < Seconds(20)) clock->sleep_until(clock->now() + Seconds(0.002));
  }
  ASSERT_EQ(times.size(), 4u);
  EXPECT_GE(times[1] - times[0], 2.5 * period);
  // Never before its place on the grid, whatever the load of this machine: 1, then 4 at the earliest, 5, 6.
  for (std::size_t i = 1; i < times.size(); ++i) EXPECT_GE(times[i], period * static_cast<double>(i + 3) - 1e-4) << i;
}

}  // namespace
}  // namespace polythrottle
