#include "study/settle.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace polythrottle {
namespace {

constexpr double kBlock = 0.05;

/// Blocks of 50 ms under a power, with five batches of 10 ms in each.
std::vector<Block> load(double seconds, const std::function<double(double)>& watts, double noise = 0.0, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> scatter(0.0, noise);
  std::vector<Block> out;
  for (double t = kBlock / 2; t < seconds; t += kBlock) {
    out.push_back(
        {.seconds = kBlock, .joules = watts(t) * (1.0 + scatter(random)) * kBlock, .inferences = 5, .latencies = 0.05, .ended = 5});
  }
  return out;
}
double ten(double) { return 10.0; }

TEST(SteadyPart, OfASteadyLoadIsTheWhole) {
  const auto part = steady_part(load(1.0, ten, 0.01), {});
  EXPECT_TRUE(part.steady);
  EXPECT_EQ(part.from, 0U);
}

TEST(SteadyPart, FewBlocksSayNothing) { EXPECT_FALSE(steady_part(load(0.2, ten), {.shortest = Seconds(0.1)}).steady); }

TEST(SteadyPart, LeavesATransientOut) {
  const auto blocks = load(
      2.0, [](double t) { return t < 0.3 ? 14.0 : 10.0; }, 0.005);
  const auto part = steady_part(blocks, {});
  EXPECT_TRUE(part.steady);
  EXPECT_GE(part.from, 6U);
  EXPECT_LE(part.from, 8U);
}

TEST(SteadyPart, LeavesASlowRelaxationOutAsFarAsItMatters) {
  const auto blocks = load(
      12.0, [](double t) { return 10.0 * (1.0 + 0.3 * std::exp(-t / 1.5)); }, 0.003);
  const auto part = steady_part(blocks, {});
  ASSERT_TRUE(part.steady);
  const auto rest = std::span(blocks).subspan(part.from);
  EXPECT_NEAR(sum_of(rest, &Block::joules) / sum_of(rest, &Block::seconds), 10.0, 0.05);
}

TEST(SteadyPart, ALoadThatNeverRestsBeginsAtTheLimitAndSaysHowFastItMoves) {
  const auto blocks = load(
      14.0, [](double t) { return 10.0 + 0.5 * t; }, 0.001);
  const auto part = steady_part(blocks, {.shortest = Seconds(1), .limit = Seconds(10)});
  EXPECT_FALSE(part.steady);
  EXPECT_EQ(part.moved, "power");
  EXPECT_NEAR(static_cast<double>(part.from) * kBlock, 10.0, 0.5);
  ASSERT_TRUE(part.trend);
  EXPECT_NEAR(part.trend->change / part.trend->length.count(), 0.5 / 16.0, 0.005);  // of about 16 W
}

TEST(SteadyPart, SeesLatencyThatMoves) {
  auto blocks = load(4.0, ten, 0.005);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i].latencies *= 1.0 + 0.3 * static_cast<double>(i) / static_cast<double>(blocks.size());
  const auto part = steady_part(blocks, {.shortest = Seconds(3)});
  EXPECT_FALSE(part.steady);
  EXPECT_EQ(part.moved, "latency");
}

TEST(SteadyPart, ADriftOfMinutesIsNoMatterOfOneWindow) {
  EXPECT_TRUE(steady_part(load(
                              1.0, [](double t) { return 10.0 * (1.0 + 0.05 * t / 60.0); }, 0.001),
                          {})
                  .steady);
}

/// Loads that are steady and scatter: nothing is left out of nearly all, whatever the scatter.
TEST(SteadyPart, RarelyMistakesNoiseForMovement) {
  for (const double noise : {0.003, 0.03, 0.3}) {
    int whole = 0;
    for (std::uint64_t seed = 0; seed < 400; ++seed) whole += steady_part(load(2.0, ten, noise, seed), {}).from == 0 ? 1 : 0;
    EXPECT_GT(whole, 360) << noise;
  }
}

TEST(SteadyPart, JudgesTheEndItIsToldTo) {
  const auto blocks = load(
      2.0, [](double t) { return t < 0.3 ? 14.0 : 10.0; }, 0.005);
  EXPECT_EQ(steady_part(blocks, {}, 10).from, 10U);
  EXPECT_TRUE(steady_part(blocks, {}, 10).steady);
  EXPECT_FALSE(steady_part(blocks, {}, 0).steady);
}

TEST(TrendOf, IsTheLinesChangeFromEndToEnd) {
  const auto trend = trend_of(load(2.0, [](double t) { return 9.0 + t; }), &Block::joules, &Block::seconds);
  ASSERT_TRUE(trend);
  EXPECT_NEAR(trend->change, 0.2, 1e-6);
  EXPECT_NEAR(trend->std_error, 0.0, 1e-6);
  EXPECT_NEAR(trend->length.count(), 2.0, 1e-9);
  EXPECT_FALSE(trend_of(load(0.2, ten), &Block::joules, &Block::seconds));
}

TEST(JoinedBlocks, KeepEverySum) {
  for (const std::size_t count : {3U, 20U, 39U, 40U, 41U, 399U}) {
    std::vector<Block> blocks(count, {.seconds = 1, .joules = 2, .inferences = 3, .latencies = 4, .ended = 5});
    const auto few = joined(blocks, 20);
    EXPECT_DOUBLE_EQ(sum_of(few, &Block::joules), 2.0 * static_cast<double>(count));
    EXPECT_LT(few.size(), 40U);
    EXPECT_GE(few.size(), std::min<std::size_t>(count, 20));
  }
}

}  // namespace
}  // namespace polythrottle
