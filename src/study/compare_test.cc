#include "study/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace polythrottle {
namespace {

using Sources = std::vector<std::string>;
const Sources kNone;
constexpr int kTimes = 2000;  ///< measurements; then a share of 95 % is known to half a percent

std::vector<RunValue> readings(const std::vector<double>& values, double own = 0.0) {
  std::vector<RunValue> out;
  for (const double v : values) out.push_back({v, own, {}});
  return out;
}

TEST(MeanOfRuns, IsStudentsInterval) {
  const auto mean = mean_of_runs(readings({10.0, 11.0, 12.0}), kNone);
  EXPECT_EQ(mean.estimate.value, 11.0);
  EXPECT_NEAR(*mean.estimate.std_error, 1.0 / std::sqrt(3.0), 1e-12);
  EXPECT_NEAR(mean.interval->low, 11.0 - 4.303 / std::sqrt(3.0), 1e-3);
  EXPECT_NEAR(mean.interval->high, 11.0 + 4.303 / std::sqrt(3.0), 1e-3);
  EXPECT_EQ(mean.lowest, 10.0);
  EXPECT_EQ(mean.highest, 12.0);
  EXPECT_TRUE(mean.scatter_known);
}

TEST(MeanOfRuns, OfOneRunHasTheMetersErrorOnly) {
  const auto one = mean_of_runs(std::vector<RunValue>{{10.0, 0.3, {0.4}}}, {"gain"});
  EXPECT_FALSE(one.scatter_known);
  EXPECT_EQ(*one.estimate.std_error, 0.3);
  EXPECT_NEAR(one.interval->high, 10.0 + 1.959964 * 0.5, 1e-5);
  // A clock has no error; what another run would have taken is unknown, which is not zero.
  const auto time = mean_of_runs(readings({2.0}), kNone);
  EXPECT_FALSE(time.interval);
  EXPECT_FALSE(time.estimate.std_error);
}

TEST(MeanOfRuns, IdenticalReadingsOfACoarseCounterAreNotExact) {
  const auto mean = mean_of_runs(readings({10.0, 10.0, 10.0, 10.0}, 0.5), kNone);
  EXPECT_NEAR(*mean.estimate.std_error, 0.25, 1e-12);
  EXPECT_NEAR(mean.interval->high, 10.0 + 1.959964 * 0.25, 1e-5);
}

TEST(MeanOfRuns, ASharedErrorDoesNotAverageOut) {
  std::vector<RunValue> many(1000, RunValue{10.0, 0.01, {0.5}});
  const auto mean = mean_of_runs(many, {"gain"});
  EXPECT_NEAR(mean.interval->high, 10.0 + 1.96 * 0.5, 1e-3);
  ASSERT_EQ(mean.estimate.shared.size(), 1u);
  EXPECT_NEAR(mean.estimate.shared[0].relative, 0.05, 1e-12);
}

/// A meter and a program whose truth is known.
struct World {
  double truth = 10.0;
  double scatter = 0.1;  ///< between runs
  double own = 0.0;      ///< of a reading
  double gain = 0.0;     ///< relative, shared
  double drift = 0.0;    ///< relative, from one run to the next
  double second = 0.0;   ///< relative: what the second of a pair draws more
};

double covered(const World& world, std::size_t runs, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  int hits = 0;
  for (int i = 0; i < kTimes; ++i) {
    const double gain = world.gain * normal(random);
    std::vector<RunValue> seen;
    for (std::size_t r = 0; r < runs; ++r) {
      const double value = (world.truth + world.scatter * normal(random)) * (1.0 + gain) + world.own * normal(random);
      seen.push_back({value, world.own, {world.gain * value}});
    }
    const auto mean = mean_of_runs(seen, {"gain"});
    if (mean.interval->low <= world.truth && world.truth <= mean.interval->high) ++hits;
  }
  return static_cast<double>(hits) / kTimes;
}

TEST(MeanOfRuns, ItsIntervalHoldsTheTruthAsOftenAsItSays) {
  for (const std::size_t runs : {2, 3, 5, 10, 30}) {
    SCOPED_TRACE(runs);
    for (const World& world : {World{.scatter = 0.1}, World{.scatter = 0.3, .own = 0.1}, World{.scatter = 0.1, .gain = 0.05},
                               World{.scatter = 1.0, .gain = 0.02}, World{.scatter = 0.5, .gain = 0.05}}) {
      const double share = covered(world, runs, 7 + runs);
      // Two or three runs under a shared error that is as large as their scatter: wider than need be, never narrower.
      const double most = runs < 4 && world.gain > 0.0 ? 0.99 : 0.97;
      EXPECT_GE(share, 0.93) << world.scatter << " " << world.own << " " << world.gain;
      EXPECT_LE(share, most) << world.scatter << " " << world.own << " " << world.gain;
    }
  }
}

TEST(MeanOfRuns, WhereTheMetersOwnErrorIsAllItIsALittleCautious) {
  for (const std::size_t runs : {1, 2, 3, 5, 10, 30}) {
    const double share = covered({.scatter = 0.0, .own = 0.2}, runs, 11);
    EXPECT_GE(share, 0.94) << runs;
    EXPECT_LE(share, 0.995) << runs;
  }
}

double covered_ratio(const World& world, double truth, std::size_t pairs, std::uint64_t seed, bool interleaved = true) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  int hits = 0;
  for (int i = 0; i < kTimes; ++i) {
    const double gain = world.gain * normal(random);
    int turn = 0;
    const auto read = [&](double joules, bool second) {
      const double level = 1.0 + world.drift * turn++ + (second ? world.second : 0.0);
      const double value =
          (joules * level * (1.0 + world.scatter / world.truth * normal(random))) * (1.0 + gain) + world.own * normal(random);
      return RunValue{value, world.own, {world.gain * value}};
    };
    std::vector<RunPair> seen(pairs);
    if (interleaved) {
      for (std::size_t p = 0; p < pairs; ++p) {
        seen[p].b_first = p % 2 == 1;
        if (seen[p].b_first) seen[p].b = read(world.truth * truth, false);
        seen[p].a = read(world.truth, seen[p].b_first);
        if (!seen[p].b_first) seen[p].b = read(world.truth * truth, true);
      }
    } else {
      for (auto& pair : seen) pair.a = read(world.truth, false);
      for (auto& pair : seen) pair.b = read(world.truth * truth, false);
    }
    const auto ratio = ratio_of_runs(seen, {"gain"});
    if (ratio->interval->low <= truth && truth <= ratio->interval->high) ++hits;
  }
  return static_cast<double>(hits) / kTimes;
}

TEST(RatioOfRuns, ItsIntervalHoldsTheTruthAsOftenAsItSays) {
  for (const std::size_t pairs : {2, 4, 5, 6, 10, 30}) {
    for (const World& world : {World{.scatter = 0.1}, World{.scatter = 0.3, .own = 0.1}, World{.scatter = 0.1, .gain = 0.1}}) {
      const double share = covered_ratio(world, 0.9, pairs, 3 + pairs);
      EXPECT_GE(share, 0.93);
      EXPECT_LE(share, 0.97);
    }
  }
}

TEST(RatioOfRuns, DriftAndOrderDoNotSpoilIt) {
  for (const std::size_t pairs : {4, 5, 6, 10}) {
    for (const World& world : {World{.scatter = 0.1, .drift = 0.01}, World{.scatter = 0.1, .drift = 0.03},
                               World{.scatter = 0.1, .second = 0.05}, World{.scatter = 0.1, .drift = -0.005, .second = 0.02}}) {
      const double share = covered_ratio(world, 0.9, pairs, 5 + pairs);
      EXPECT_GE(share, 0.93);
      EXPECT_LE(share, 0.97);
    }
  }
  // What interleaving is for: all of one program and then all of the other hardly ever hold the truth.
  EXPECT_LT(covered_ratio({.scatter = 0.1, .drift = 0.01}, 0.9, 6, 1, false), 0.5);
}

TEST(RatioOfRuns, AGainCancelsAndAnOffsetAsFarAsBothHaveIt) {
  const auto width = [](double offset_a, double offset_b) {
    std::vector<RunPair> pairs;
    for (int i = 0; i < 6; ++i) {
      pairs.push_back({{10.0, 0.001, {1.0, offset_a}}, {8.0, 0.001, {0.8, offset_b}}, i % 2 == 1});
    }
    const auto ratio = ratio_of_runs(pairs, {"gain", "offset"});
    EXPECT_NEAR(ratio->ratio, 0.8, 1e-12);
    return std::log(ratio->interval->high / ratio->interval->low) / 2 / 1.959964;
  };
  EXPECT_LT(width(0.0, 0.0), 1e-3);
  EXPECT_LT(width(0.5, 0.4), 1e-3);            // the same share of both
  EXPECT_NEAR(width(0.5, 0.5), 0.0125, 2e-4);  // as many joules: 5 % of the one and 6.25 % of the other
}

TEST(RatioOfRuns, OnePairHasNoInterval) {
  const auto ratio = ratio_of_runs(std::vector<RunPair>{{{10.0, 0.1, {}}, {5.0, 0.1, {}}}}, kNone);
  EXPECT_NEAR(ratio->ratio, 0.5, 1e-12);
  EXPECT_FALSE(ratio->interval);
  EXPECT_FALSE(ratio->shows_difference());
}

TEST(RatioOfRuns, RefusesRunsInWhichTheMeterStoodStill) {
  const auto ratio = ratio_of_runs(std::vector<RunPair>{{{10.0, 0.1, {}}, {0.0, 0.1, {}}}}, kNone);
  ASSERT_FALSE(ratio);
  EXPECT_EQ(ratio.error().code, Errc::kOutOfRange);
  EXPECT_EQ(ratio_of_runs({}, kNone).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace polythrottle
