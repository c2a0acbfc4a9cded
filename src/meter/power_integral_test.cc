#include "meter/power_integral.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace polythrottle {
namespace {

constexpr double kSpacing = 0.05;

Clock::TimePoint at(double seconds) { return Clock::TimePoint(Seconds(seconds)); }

/// What a window between two readings says of itself (see window.cc).
struct Stretch {
  double joules = 0.0;
  double error = 0.0;  ///< 1 standard deviation
};

/// `before` readings, then a window over `intervals` more.
Stretch window_over(PowerIntegral& integral, const std::function<double(int)>& watts, int before, int intervals) {
  for (int i = 0; i <= before; ++i) integral.add(at(i * kSpacing), Watts(watts(i)));
  const MeterSample opening = integral.sample();
  integral.add(at((before + 1) * kSpacing), Watts(watts(before + 1)));
  const MeterSample second = integral.sample();
  for (int i = before + 2; i <= before + intervals; ++i) integral.add(at(i * kSpacing), Watts(watts(i)));
  const MeterSample closing = integral.sample();
  return {(closing.energy - opening.energy).si(),
          std::hypot(second.edge.si(), closing.edge.si(), std::sqrt(closing.sampling_variance - second.sampling_variance))};
}

TEST(PowerIntegral, AConstantIsExactButForItsLastDigit) {
  PowerIntegral integral({.step = Watts(0.12)});
  const auto seen = window_over(integral, [](int) { return 5.0; }, 40, 20);
  EXPECT_NEAR(seen.joules, 5.0, 1e-12);
  const double floor = 0.12 / std::sqrt(12.0);
  EXPECT_NEAR(seen.error, floor * kSpacing * std::sqrt(19.5), 1e-12);
}

TEST(PowerIntegral, ARampIsExactAndItsSlopeIsNoScatter) {
  PowerIntegral integral({});
  const auto seen = window_over(integral, [](int i) { return 0.1 * i; }, 40, 20);
  EXPECT_NEAR(seen.joules, 5.0, 1e-9);
  EXPECT_LT(integral.scatter().si(), 1e-6);
  EXPECT_LT(seen.error, 0.01 * seen.joules);
}

TEST(PowerIntegral, OneStepIsMissedByAPartOfItsInterval) {
  PowerIntegral integral({});
  const auto seen = window_over(integral, [](int i) { return i < 50 ? 2.0 : 10.0; }, 40, 20);
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
    const auto seen = window_over(integral, power, 40, intervals);
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
          return [&random, noise = std::normal_distribution<double>(5.0, 0.5)](int) mutable { return noise(random); };
        },
        [](const auto&, double from, double to) { return 5.0 * (to - from); });
    EXPECT_GT(seen.share, 0.90) << intervals;
    EXPECT_LT(seen.share, 0.985) << intervals;
    EXPECT_NEAR(seen.error, 0.5 * kSpacing * std::sqrt(intervals - 0.5), 0.1 * seen.error) << intervals;
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
