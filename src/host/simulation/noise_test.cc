#include "host/simulation/noise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

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
    noise.meet(1);
    EXPECT_EQ(noise.latency_factor(), 1.0);
    EXPECT_EQ(noise.power_factor(), 1.0);
  }
}

TEST(Noise, FactorsAreAroundOne) {
  double latency = 0.0, power = 0.0;
  constexpr int kVisits = 4000;
  for (int i = 0; i < kVisits; ++i) {
    Noise noise(static_cast<std::uint64_t>(i), true);
    noise.meet(1);
    const double factor = noise.latency_factor();
    EXPECT_GT(factor, 0.3);
    EXPECT_LT(factor, 6.0);
    latency += factor / kVisits;
    power += noise.power_factor() / kVisits;
  }
  EXPECT_NEAR(latency, 1.0, 0.01);
  EXPECT_NEAR(power, 1.0, 0.01);
}

/// Coefficient of variation of the latencies that follow; the three largest may be outliers.
double scatter(Noise& noise) {
  std::vector<double> factors;
  for (int i = 0; i < 400; ++i) factors.push_back(noise.latency_factor());
  std::sort(factors.begin(), factors.end());
  return (factors[300] - factors[100]) / 1.349 / factors[200];
}

TEST(Noise, ASettingScattersTheSameHoweverOftenItIsMet) {
  Noise one(7, true), two(7, true);
  std::map<std::uint64_t, double> first;
  for (std::uint64_t setting = 1; setting <= 12; ++setting) {
    one.meet(setting);
    first[setting] = scatter(one);
  }
  two.visit();  // of something else
  for (std::uint64_t setting = 12; setting >= 1; --setting) {
    for (Noise* noise : {&one, &two}) {
      noise->meet(setting);
      EXPECT_NEAR(scatter(*noise) / first[setting], 1.0, 0.3) << setting;
    }
  }
  // They are not all alike: quiet ones and noisy ones.
  const auto [quiet, noisy] = std::minmax_element(first.begin(), first.end(), [](auto& a, auto& b) { return a.second < b.second; });
  EXPECT_GT(noisy->second, 3.0 * quiet->second);
}

TEST(Noise, AVisitEndsWhenClocksAreWritten) {
  Noise noise(3, true), other(3, true);
  noise.meet(1);
  const double one = noise.power_factor();
  noise.meet(2);
  EXPECT_NE(noise.power_factor(), one);
  noise.meet(1);
  EXPECT_EQ(noise.power_factor(), one);
  noise.visit();
  EXPECT_EQ(noise.power_factor(), one);  // nothing has begun yet
  noise.meet(1);
  const double again = noise.power_factor();
  EXPECT_NE(again, one);
  // The second visit of a setting is the same whatever lay between.
  for (const std::uint64_t setting : {5U, 1U, 6U}) {
    other.meet(setting);
    other.visit();
  }
  other.meet(1);
  EXPECT_EQ(other.power_factor(), again);
}

TEST(Noise, AHashIsTheSameEverywhere) {
  EXPECT_EQ(hash_of(""), 0xcbf29ce484222325ULL);  // test vectors of the FNV reference code
  EXPECT_EQ(hash_of("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(hash_of("foobar"), 0x85944171f73967e8ULL);
}

}  // namespace
}  // namespace polythrottle::simulation
