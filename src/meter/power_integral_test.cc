#include "meter/power_integral.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <random>
#include <vector>

namespace polythrottle {
namespace {

constexpr double kSpacing = 0.05;

Clock::TimePoint at(double seconds) { return Clock::TimePoint(Seconds(seconds)); }

/// What a window between two readings says of itself (see window.cc).
struct Stretch {
  double joules = 0.0;
  double error = 0.0;  ///< 1 standard deviation
};

/// `before` intervals, then a window over `intervals` more: its ends are readings. `lot` moves the others, each within its interval, as
/// Window does.
Stretch window_over(PowerIntegral& integral, const std::function<double(double)>& watts, int before, int intervals,
                    std::mt19937_64* lot = nullptr) {
  std::uniform_real_distribution<double> uniform(-1.0, 0.0);
  const auto add = [&](int i) {
    const bool end = i == before || i == before + intervals;
    const double time = (i + (lot != nullptr && !end ? uniform(*lot) : 0.0)) * kSpacing;
    integral.add(at(time), Watts(watts(time)));
  };
  for (int i = 0; i <= before; ++i) add(i);
  const MeterSample opening = integral.sample();
  add(before + 1);
  const MeterSample second = integral.sample();
  for (int i = before + 2; i <= before + intervals; ++i) add(i);
  const MeterSample closing = integral.sample();
  return {(closing.energy - opening.energy).si(),
          std::hypot(second.edge.si(), closing.edge.si(), std::sqrt(closing.sampling_variance - second.sampling_variance))};
}

TEST(PowerIntegral, AConstantIsExactButForItsLastDigit) {
  PowerIntegral integral({.step = Watts(0.12)});
  const auto seen = window_over(
      integral, [](double) { return 5.0; }, 40, 20);
  EXPECT_NEAR(seen.joules, 5.0, 1e-12);
  const double floor = 0.12 / std::sqrt(12.0);
  EXPECT_NEAR(seen.error, floor * kSpacing * std::sqrt(19.5), 1e-12);
}

TEST(PowerIntegral, ARampIsExactAndItsSlopeIsNoScatter) {
  PowerIntegral integral({});
  const auto seen = window_over(
      integral, [](double time) { return 2.0 * time; }, 40, 20);
  EXPECT_NEAR(seen.joules, 5.0, 1e-9);
  EXPECT_LT(integral.scatter().si(), 1e-6);
  EXPECT_LT(seen.error, 0.01 * seen.joules);
}

TEST(PowerIntegral, OneStepIsMissedByAPartOfItsInterval) {
  PowerIntegral integral({});
  const auto seen = window_over(
      integral, [](double time) { return time < 49.5 * kSpacing ? 2.0 : 10.0; }, 40, 20);
  EXPECT_NEAR(seen.error, 8.0 * kSpacing / std::sqrt(12.0), 1e-9);
}

/// Share of windows whose energy lies within 1.96 of their own standard deviations.
struct Coverage {
  double share = 0.0;
  double error = 0.0;  ///< RMS stated
};
template <class Signal, class Truth>
Coverage covered(int windows, int intervals, PowerSensor sensor, Signal signal, Truth truth) {
  std::mt19937_64 random(7);
  int inside = 0;
  double squares = 0.0;
  for (int w = 0; w < windows; ++w) {
    PowerIntegral integral(sensor);
    const auto power = signal(random);
    const auto seen = window_over(integral, power, 40, intervals, &random);
    const double off = seen.joules - truth(power, 40 * kSpacing, (40 + intervals) * kSpacing);
    if (std::abs(off) <= 1.96 * seen.error) ++inside;
    squares += seen.error * seen.error;
  }
  return {static_cast<double>(inside) / windows, std::sqrt(squares / windows)};
}

TEST(PowerIntegral, WhiteNoiseIsCoveredAtEveryLength) {
  for (const int intervals : {1, 2, 5, 20, 200}) {
    const auto seen = covered(
        1000, intervals, {},
        [](std::mt19937_64& random) {
          return [&random, noise = std::normal_distribution<double>(5.0, 0.5)](double) mutable { return noise(random); };
        },
        [](const auto&, double from, double to) { return 5.0 * (to - from); });
    EXPECT_GT(seen.share, 0.90) << intervals;
    EXPECT_LT(seen.share, 0.985) << intervals;
    EXPECT_NEAR(seen.error, 0.5 * kSpacing * std::sqrt(intervals - 0.5), 0.1 * seen.error) << intervals;
  }
}

/// Batches at 20 W with gaps at 4 W, each length scattered by a tenth.
class Batches {
 public:
  Batches(std::mt19937_64& random, double batch, double gap) {
    std::uniform_real_distribution<double> scatter(0.9, 1.1), phase(0.0, 1.0);
    double end = -0.1 - phase(random) * (batch + gap), joules = 0.0;
    for (bool busy = true; end < 25.0; busy = !busy) {
      const double length = (busy ? batch : gap) * scatter(random);
      pieces_.push_back({end, joules, busy ? 20.0 : 4.0});
      joules += pieces_.back().watts * length;
      end += length;
    }
  }
  double operator()(double time) const { return at(time).watts; }
  double joules(double time) const { return at(time).joules + at(time).watts * (time - at(time).from); }

 private:
  struct Piece {
    double from, joules, watts;
  };
  const Piece& at(double time) const {
    return *std::prev(std::upper_bound(pieces_.begin(), pieces_.end(), time, [](double t, const Piece& piece) { return t < piece.from; }));
  }
  std::vector<Piece> pieces_;
};

/// Faster than the readings, nearly in step with them, and slower. (Two readings alone, a period of the load apart, can know nothing of
/// it.)
TEST(PowerIntegral, BatchesAreCovered) {
  for (const double batch : {0.007, 0.037, 0.23, 0.71}) {
    for (const int intervals : {5, 40, 400}) {
      const auto seen = covered(
          500, intervals, {.step = Watts(0.05)}, [batch](std::mt19937_64& random) { return Batches(random, batch, 0.4 * batch); },
          [](const Batches& load, double from, double to) { return load.joules(to) - load.joules(from); });
      // Not 95 % of each: what a window of one step can be off by is uniformly distributed and so never beyond 1.73 standard deviations.
      EXPECT_GT(seen.share, 0.92) << batch << " s, " << intervals;
      EXPECT_LE(seen.error, 16.0 * kSpacing * std::sqrt(intervals)) << batch << " s, " << intervals;
    }
  }
}

TEST(PowerIntegral, ForgetsABusyStretch) {
  PowerIntegral integral({.step = Watts(0.01)});
  std::mt19937_64 random(1);
  std::normal_distribution<double> noise(10.0, 2.0);
  for (int i = 0; i < 100; ++i) integral.add(at(i * kSpacing), Watts(noise(random)));
  EXPECT_NEAR(integral.scatter().si(), 2.0, 0.8);
  for (int i = 100; i < 300; ++i) integral.add(at(i * kSpacing), Watts(3.0));
  EXPECT_LT(integral.scatter().si(), 0.3);
}

TEST(PowerIntegral, TakesTheLastPowerForTheTimeThatAReadingIsOld) {
  // Told 10 ms late: 2 W until 1 s, then 10 W; the window ends at 2 s.
  PowerIntegral integral({.step = {}, .refresh = Seconds(0.01), .age = Seconds(0.01)});
  for (int i = 0; i <= 40; ++i) integral.add(at(i * kSpacing), Watts(i * kSpacing - 0.01 < 1.0 ? 2.0 : 10.0));
  // The step is seen at 1.05 s; its trapezoid puts it at 1.025 s, its age at 1.015 s.
  EXPECT_NEAR(integral.energy().si(), 2.0 * 1.015 + 10.0 * 0.985, 1e-9);
}

TEST(PowerIntegral, NeverGoesBack) {
  PowerIntegral integral({.step = {}, .refresh = Seconds(0.1), .age = Seconds(0.1)});
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> watts(-1.0, 50.0), spacing(0.0, 0.3);
  double time = 0.0;
  MeterSample last = integral.sample();
  for (int i = 0; i < 1000; ++i) {
    integral.add(at(time += spacing(random)), Watts(watts(random)));
    const MeterSample now = integral.sample();
    ASSERT_GE(now.energy.si(), last.energy.si());
    ASSERT_GE(now.sampling_variance, last.sampling_variance);
    ASSERT_GE(now.edge.si(), 0.0);
    last = now;
  }
}

}  // namespace
}  // namespace polythrottle
