#include "study/sizing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "host/fake.h"
#include "study/measure.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kBatch = 0.01;
constexpr double kBlock = 0.05;

/// A run of back-to-back batches of 10 ms, seen by a meter every 50 ms.
struct MeteredRun {
  Work work;
  WindowReading reading;
};
MeteredRun run_of(double seconds, const std::function<double(double)>& watts, double noise = 0.0, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> scatter(0.0, noise);
  MeteredRun out;
  double joules = 0.0;
  out.reading.samples.push_back({.at = Clock::TimePoint{}, .energy = Joules(0)});
  for (int i = 1; i * kBlock < seconds + 1e-9; ++i) {
    joules += watts((i - 0.5) * kBlock) * (1.0 + scatter(random)) * kBlock;
    out.reading.samples.push_back({.at = Clock::TimePoint(Seconds(i * kBlock)), .energy = Joules(joules)});
  }
  for (int i = 1; i * kBatch < seconds + 1e-9; ++i)
    out.work.completions.push_back({Clock::TimePoint(Seconds(i * kBatch)), Seconds(kBatch), 1});
  out.work.inferences = out.work.completions.size();
  out.work.ended = out.work.completions.back().at;
  out.reading.elapsed = out.reading.samples.back().at - out.reading.samples.front().at;
  out.reading.energy = Joules(joules);
  return out;
}
double ten(double) { return 10.0; }

SizingRule rule_of(double error) {
  return {.shortest = Seconds(1), .limit = Seconds(20), .settle_limit = Seconds(10), .energy_error = error, .samples = 30};
}

TEST(WindowSize, AQuietLoadNeedsTheShortestWindow) {
  const MeteredRun run = run_of(1.0, ten, 0.01);
  const Sized sized = size_up(rule_of(0.01), run.work, run.reading);
  EXPECT_TRUE(long_enough(rule_of(0.01), sized));
  EXPECT_NEAR(*sized.energy_error, 0.01 / std::sqrt(20.0), 0.001);
  EXPECT_THAT(remarks_of(rule_of(0.01), sized), IsEmpty());
}

TEST(WindowSize, ANoisyLoadGoesOnToTheLimitAndSaysSo) {
  const auto enough = [](double seconds) {
    const MeteredRun run = run_of(seconds, ten, 0.6);
    return long_enough(rule_of(0.01), size_up(rule_of(0.01), run.work, run.reading));
  };
  EXPECT_FALSE(enough(1.0));
  EXPECT_FALSE(enough(19.0));
  EXPECT_TRUE(enough(31.0));  // with all that may be left out before it
  const MeteredRun run = run_of(31.0, ten, 0.6);
  EXPECT_THAT(remarks_of(rule_of(0.01), size_up(rule_of(0.01), run.work, run.reading)),
              ElementsAre(AllOf(HasSubstr("undecided: energy is known to "),
                                HasSubstr(" % only (1 % asked; the window ended at its limit of 20 s)"))));
}

TEST(WindowSize, TheMetersOwnErrorCountsToo) {
  MeteredRun run = run_of(1.0, ten, 0.001);
  for (auto& sample : run.reading.samples) sample.edge = Joules(0.2);
  run.reading.own_error = Joules(std::hypot(0.2, 0.2));
  const Sized sized = size_up(rule_of(0.01), run.work, run.reading);
  EXPECT_NEAR(*sized.energy_error, std::hypot(0.2, 0.2) / 10.0, 1e-4);
  EXPECT_FALSE(long_enough(rule_of(0.01), sized));  // of 10 J; of 30 J it is less than 1 %
}

TEST(WindowSize, WaitsForTheSampleOfThePercentile) {
  SizingRule rule = rule_of(0.01);
  rule.samples = 299;
  const MeteredRun run = run_of(1.0, ten, 0.001), longer = run_of(3.0, ten, 0.001);
  EXPECT_FALSE(long_enough(rule, size_up(rule, run.work, run.reading)));
  EXPECT_TRUE(long_enough(rule, size_up(rule, longer.work, longer.reading)));
}

TEST(WindowSize, AnErrorThatNobodyAsksForNeedsNone) {
  const MeteredRun run = run_of(2.0, ten, 0.6);  // as long as it takes to be called steady
  EXPECT_TRUE(long_enough(rule_of(0.0), size_up(rule_of(0.0), run.work, run.reading)));
}

TEST(WindowSize, WhatIsBeforeTheLoadIsSteadyIsNotMeasured) {
  const MeteredRun run = run_of(
      2.0, [](double t) { return t < 0.4 ? 20.0 : 10.0; }, 0.002);
  const Sized sized = size_up(rule_of(0.01), run.work, run.reading);
  EXPECT_TRUE(long_enough(rule_of(0.01), sized));
  EXPECT_NEAR(sized.settling.count(), 0.4, 0.06);
  const WindowReading tail = tail_of(run.reading, sized.part.from);
  const Metrics metrics = measure(tail_of(run.work, tail), tail, {});
  EXPECT_NEAR(metrics.at(std::string(kEnergy)).value, 0.1, 0.001);  // 10 W, 10 ms
  EXPECT_NEAR(metrics.at(std::string(kPower)).value, 10.0, 0.1);
  EXPECT_NEAR(metrics.at(std::string(kThroughput)).value, 100.0, 0.5);
}

TEST(WindowSize, ABatchAcrossTheBeginningCountsByItsShare) {
  MeteredRun run = run_of(2.0, ten);
  run.work.completions = {{Clock::TimePoint(Seconds(1.1)), Seconds(0.4), 8}, {Clock::TimePoint(Seconds(2.0)), Seconds(0.9), 18}};
  const WindowReading tail = tail_of(run.reading, 20);  // from 1 s on
  const Metrics metrics = measure(tail_of(run.work, tail), tail, {});
  EXPECT_NEAR(metrics.at(std::string(kThroughput)).value, 8.0 / 4.0 + 18.0, 1e-9);
}

TEST(WindowSize, BatchesThatOverlapCountWholeWhereTheyEnd) {
  MeteredRun run = run_of(2.0, ten);
  run.work.completions.clear();
  for (int worker = 0; worker < 4; ++worker) {  // each half a second a batch, at moments of its own
    for (int i = 0; i < 4; ++i) run.work.completions.push_back({Clock::TimePoint(Seconds(0.1 + 0.1 * worker + 0.5 * i)), Seconds(0.5), 1});
  }
  std::stable_sort(run.work.completions.begin(), run.work.completions.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  run.work.inferences = 16;
  EXPECT_NEAR(measure(run.work, run.reading, {}).at(std::string(kThroughput)).value, 8.0, 1e-9);
}

TEST(WindowSize, WithoutSingleBatchesNothingIsLeftOut) {
  MeteredRun run = run_of(
      2.0, [](double t) { return t < 0.4 ? 20.0 : 10.0; }, 0.002);
  run.work.completions.clear();
  const Sized sized = size_up(rule_of(0.01), run.work, run.reading);
  EXPECT_EQ(sized.part.from, 0U);
  EXPECT_TRUE(sized.energy_error.has_value());
  EXPECT_TRUE(measure(run.work, run.reading, {}).contains(kEnergy));
}

/// Whatever the load does: never before the shortest window, never longer than the limits together.
TEST(WindowSize, KeepsItsBounds) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  const SizingRule rule{.shortest = Seconds(0.5), .limit = Seconds(3), .settle_limit = Seconds(2), .energy_error = 0.01, .samples = 30};
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const double noise = std::pow(10.0, -3.0 + 3.0 * unit(random)), size = unit(random), time = 5.0 * unit(random) + 0.05;
    const MeteredRun whole = run_of(
        6.0, [&](double t) { return 10.0 * (1.0 + size * std::exp(-t / time)); }, noise, seed);
    for (double seconds = 0.1; seconds < 6.0; seconds += 0.1) {
      MeteredRun run = whole;
      std::erase_if(run.reading.samples, [&](const MeterSample& s) { return s.at.time_since_epoch().count() > seconds + 1e-9; });
      std::erase_if(run.work.completions, [&](const Completion& c) { return c.at.time_since_epoch().count() > seconds + 1e-9; });
      run.reading.elapsed = run.reading.samples.back().at - run.reading.samples.front().at;
      run.reading.energy = run.reading.samples.back().energy;
      run.work.inferences = run.work.completions.size();
      const Sized sized = size_up(rule, run.work, run.reading);
      const bool enough = long_enough(rule, sized);
      EXPECT_TRUE(!enough || sized.length.count() >= rule.shortest.count() - 1e-9) << seed;
      EXPECT_TRUE(enough || seconds < (rule.limit + rule.settle_limit).count() + kBlock) << seed << " after " << seconds;
      EXPECT_LE(sized.settling.count(), rule.settle_limit.count() + 1e-9);
    }
  }
}

/// Stopping as soon as the error looks small enough makes it look smaller than it is; not by much.
TEST(WindowSize, StoppingEarlyFlattersTheErrorLittle) {
  double squares = 0.0, stated = 0.0;
  constexpr int kRuns = 300;
  for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
    const MeteredRun whole = run_of(20.0, ten, 0.1, seed);  // 1 % is reached after about 5 s
    for (std::size_t blocks = 20;; blocks = blocks + std::max<std::size_t>(1, blocks / 20)) {
      MeteredRun run = whole;
      blocks = std::min(blocks, whole.reading.samples.size() - 1);
      run.reading.samples.resize(blocks + 1);
      const auto end = run.reading.samples.back().at;
      std::erase_if(run.work.completions, [&](const Completion& c) { return c.at > end; });
      run.reading.elapsed = end - run.reading.samples.front().at;
      run.reading.energy = run.reading.samples.back().energy;
      const Sized sized = size_up(rule_of(0.01), run.work, run.reading);
      if (!long_enough(rule_of(0.01), sized)) continue;
      const WindowReading tail = tail_of(run.reading, sized.part.from);
      const double off = tail.energy.si() / tail.elapsed.count() / 10.0 - 1.0;
      squares += off * off;
      stated += *sized.energy_error * *sized.energy_error;
      break;
    }
  }
  EXPECT_LT(std::sqrt(squares / stated), 1.3);
  EXPECT_GT(std::sqrt(squares / stated), 0.8);
}

}  // namespace
}  // namespace polythrottle
