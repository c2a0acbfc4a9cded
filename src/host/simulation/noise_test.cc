#include "host/simulation/noise.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle::simulation {
namespace {

TEST(Noise, ChanceIsTheSameEverywhere) {
  // The 10,000th output of a default-seeded mt19937_64 is prescribed by the C++ standard ([rand.predef]).
  Chance chance(5489);
  std::uint64_t last = 0;
  for (int i = 0; i < 10000; ++i) last = chance.bits();
  EXPECT_EQ(last, 9981545732273789042ULL);
}

TEST(Noise, NormalIsNormal) {
  Chance chance(1);
  double sum = 0.0, squares = 0.0;
  int beyond = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = chance.normal();
    sum += value;
    squares += value * value;
    if (std::abs(value) > 1.959964) ++beyond;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.015);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.02);
  EXPECT_NEAR(beyond / static_cast<double>(kDraws), 0.05, 0.005);
}

TEST(Noise, OffMeansNone) {
  Noise noise(1, false);
  for (int i = 0; i < 100; ++i) {
    noise.visit();
    EXPECT_EQ(noise.latency_factor(), 1.0);
    EXPECT_EQ(noise.power_factor(), 1.0);
  }
}

TEST(Noise, FactorsAreAroundOne) {
  double latency = 0.0, power = 0.0;
  constexpr int kVisits = 4000;
  for (int i = 0; i < kVisits; ++i) {
    Noise noise(static_cast<std::uint64_t>(i), true);
    const double factor = noise.latency_factor();
    EXPECT_GT(factor, 0.3);
    EXPECT_LT(factor, 6.0);
    latency += factor / kVisits;
    power += noise.power_factor() / kVisits;
  }
  EXPECT_NEAR(latency, 1.0, 0.01);
  EXPECT_NEAR(power, 1.0, 0.01);
}

}  // namespace
}  // namespace polythrottle::simulation
