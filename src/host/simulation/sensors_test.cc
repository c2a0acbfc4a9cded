#include "host/simulation/sensors.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle::simulation {
namespace {

constexpr double kCycle = 6.6e-3;

Ina3221 chip(int samples = 1, bool noise = false) {
  return {{{"A", 19.2, 0.005}, {"B", 5.0, 0.010}, {"C", 5.0, 0.010}}, samples, 1, noise};
}

double watts(Ina3221& monitor, std::size_t channel) {
  const auto now = monitor.registers(channel);
  return static_cast<double>(now.millivolts * now.milliamperes) * 1e-6;
}

TEST(Ina3221, ShowsTheMeanOfTheLastFinishedCycle) {
  Ina3221 monitor = chip();
  // Half a cycle at 4 W and half at 8 W, then much less.
  monitor.integrate(Seconds(0), Seconds(kCycle / 2), {4.0, 1.0, 0.0});
  monitor.integrate(Seconds(kCycle / 2), Seconds(kCycle), {8.0, 1.0, 0.0});
  monitor.integrate(Seconds(kCycle), Seconds(1.9 * kCycle), {0.5, 1.0, 0.0});
  EXPECT_NEAR(watts(monitor, 0), 6.0, 0.1);
  monitor.integrate(Seconds(1.9 * kCycle), Seconds(2.1 * kCycle), {0.5, 1.0, 0.0});
  EXPECT_NEAR(watts(monitor, 0), 0.5, 0.1);
  EXPECT_NEAR(watts(monitor, 1), 1.0, 0.02);
  EXPECT_EQ(watts(monitor, 2), 0.0);
}

TEST(Ina3221, AveragingTakesLongerAndForgetsNothing) {
  Ina3221 monitor = chip(64);
  EXPECT_NEAR(monitor.cycle().count(), 0.4224, 1e-9);
  double at = 0.0;
  for (int i = 0; i < 1000; ++i, at += 1e-3) monitor.integrate(Seconds(at), Seconds(at + 1e-3), {i % 2 == 0 ? 2.0 : 6.0, 0.0, 0.0});
  EXPECT_NEAR(watts(monitor, 0), 4.0, 0.1);
  monitor.set_samples(100);
  EXPECT_EQ(monitor.samples(), 64);  // rounded down to one that the chip knows
  monitor.set_samples(0);
  EXPECT_EQ(monitor.samples(), 1);
}

TEST(Ina3221, CountsInStepsOfItsConverters) {
  Ina3221 monitor = chip();
  for (double power = 0.0; power < 20.0; power += 0.37) {
    monitor.integrate(Seconds(power), Seconds(power + 0.37), {power, power / 4, 0.0});
    const auto a = monitor.registers(0), b = monitor.registers(1);
    EXPECT_EQ(a.millivolts % 8, 0);
    EXPECT_EQ(a.milliamperes % 8, 0);  // 40 uV over 5 mOhm
    EXPECT_EQ(b.milliamperes % 4, 0);  // 40 uV over 10 mOhm
    EXPECT_NEAR(watts(monitor, 0), power, 0.5 * 8e-3 * 19.2 + 0.5 * 8e-3 * power / 19.0 + 1e-3);
  }
}

TEST(Ina3221, NoiseIsAShuntAGainAnOffsetAndHalfAStep) {
  double large = 0.0, large_squares = 0.0, small_squares = 0.0;
  constexpr int kChips = 1000;
  constexpr double kStep = 8e-3 * 19.2;  // W
  for (std::uint64_t seed = 0; seed < kChips; ++seed) {
    Ina3221 monitor({{"A", 19.2, 0.005}, {"B", 19.2, 0.005}, {"C", 5.0, 0.010}}, 1, seed, true);
    monitor.integrate(Seconds(0), Seconds(1), {160.0, 4.0, 0.0});
    const double of_large = watts(monitor, 0) / 160.0 - 1.0, of_small = watts(monitor, 1) - 4.0;
    large += of_large;
    large_squares += of_large * of_large;
    small_squares += of_small * of_small;
  }
  // Much power: gain and shunt, hypot(0.5 %, 0.125 %), and a step in a thousand; little power: offset of a step, scatter of a half,
  // rounding.
  EXPECT_NEAR(large / kChips, 0.0, 0.001);
  EXPECT_NEAR(std::sqrt(large_squares / kChips), 0.0053, 0.0004);
  EXPECT_NEAR(std::sqrt(small_squares / kChips), std::sqrt(1.0 + 0.25 + 1.0 / 12.0) * kStep, 0.1 * kStep);
}

}  // namespace
}  // namespace polythrottle::simulation
