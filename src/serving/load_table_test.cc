#include "serving/load_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace polythrottle::serving {
namespace {

using namespace std::chrono_literals;

RowCost row(std::vector<std::pair<int, double>> latencies, double idle, double busy) {
  RowCost cost;
  cost.tail = 1.0;
  for (const auto& [batch, latency] : latencies) {
    cost.batches.push_back(straight_curve(batch, Seconds(latency), Seconds(latency), Watts(idle), Watts(busy)));
  }
  return cost;
}

/// A fast row, a slow one that idles as low, and one that takes batches.
std::vector<RowCost> three() { return {row({{1, 0.02}}, 10, 30), row({{1, 0.05}}, 8, 14), row({{1, 0.03}, {8, 0.10}}, 9, 24)}; }

LoadTable table_of(const std::vector<RowCost>& costs, Seconds slo, const LoadModel& model = {}) {
  auto table = LoadTable::make(costs, slo, model);
  EXPECT_TRUE(table) << table.error().text();
  return std::move(*table);
}

TEST(LoadTable, PowerWithoutRequestsIsThatOfDoingNothing) {
  const LoadTable table = table_of(three(), 500ms);
  EXPECT_DOUBLE_EQ(table.power(0, 0.0).si(), 10.0);
  EXPECT_DOUBLE_EQ(table.power(1, 0.0).si(), 8.0);
}

TEST(LoadTable, SingleRequestsCostIdlePowerAndTheirShareOfTheBusyOne) {
  const LoadTable table = table_of({row({{1, 0.02}}, 10, 30)}, 500ms);
  EXPECT_NEAR(table.power(0, 10.0).si(), 10.0 + 10.0 * 0.02 * 20.0, 1e-6);
  EXPECT_DOUBLE_EQ(table.utilization(0, 10.0), 0.2);
}

TEST(LoadTable, ABatchWaitsAsLongAsItsDeadlineAllows) {
  // 20/s, 500 ms, no margin: b = 1 + 20 (0.5 - t(b)), t(b) = 0.02 + 0.01 b, hence b = 10.6 / 1.2.
  LoadModel model;
  model.margin = 0.0;
  const LoadTable table = table_of({row({{1, 0.03}, {16, 0.18}}, 10, 30)}, 500ms, model);
  EXPECT_NEAR(table.mean_batch(0, 20.0), 10.6 / 1.2, 0.02);
  model.wait = false;
  EXPECT_NEAR(table_of({row({{1, 0.03}, {16, 0.18}}, 10, 30)}, 500ms, model).mean_batch(0, 20.0), 1.0, 1e-6);
}

TEST(LoadTable, TheLargestBatchLeavesTimeForTheNext) {
  LoadModel model;
  model.margin = 0.0;
  const std::vector<RowCost> costs = {row({{1, 0.03}, {16, 0.18}}, 10, 30)};
  EXPECT_EQ(table_of(costs, 200ms, model).max_batch(0), 8);  // t(8) = 100 ms
  EXPECT_EQ(table_of(costs, 1s, model).max_batch(0), 16);
  EXPECT_EQ(table_of(costs, 50ms, model).max_batch(0), 0);  // one is in time, but not behind another one
  EXPECT_EQ(table_of(costs, 50ms, model).highest_rate(0, 1.0), 0.0);
}

TEST(LoadTable, NamesTheLeastSloThatOneRowMeets) {
  const auto table = LoadTable::make(three(), 10ms);
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, Errc::kOutOfRange);
  EXPECT_THAT(table.error().hint, testing::HasSubstr("21.05 ms"));
}

TEST(LoadTable, RefusesCurvesThatCannotBe) {
  EXPECT_EQ(LoadTable::make({}, 1s).error().code, Errc::kInvalid);
  auto falling = three();
  std::swap(falling[2].batches[0], falling[2].batches[1]);
  EXPECT_EQ(LoadTable::make(falling, 1s).error().code, Errc::kInvalid);
  auto negative = three();
  negative[1].batches[0].points[1].latency = Seconds(-1);
  EXPECT_EQ(LoadTable::make(negative, 1s).error().code, Errc::kInvalid);
  auto unknown = three();
  unknown[0].batches.clear();
  EXPECT_EQ(LoadTable::make(unknown, 1s).error().code, Errc::kInvalid);
}

TEST(LoadTable, FewRequestsGoToTheSlowRowAndManyToTheOneWithBatches) {
  const LoadTable table = table_of(three(), 500ms);
  EXPECT_EQ(table.best(0.5, 1.0), 1u);
  EXPECT_EQ(table.best(60.0, 1.0), 2u);
  EXPECT_EQ(table.strongest(1.0), 2u);
  EXPECT_EQ(table.best(1e6, 1.0), 2u);  // nobody serves that; the strongest is all there is
}

TEST(LoadTable, ARowOfWhichNothingIsKnownIsNeverBest) {
  auto costs = three();
  costs[1] = {};
  const LoadTable table = table_of(costs, 500ms);
  for (const double rate : {0.1, 1.0, 10.0, 50.0}) EXPECT_NE(table.best(rate, 1.0), 1u);
  EXPECT_FALSE(table.serves(1, 0.1, 0.0));
}

TEST(LoadTable, UnevenArrivalsAndSlowedBatchesLeaveLessRate) {
  const LoadTable table = table_of(three(), 100ms);
  EXPECT_GT(table.highest_rate(0, 0.5), table.highest_rate(0, 1.0));
  EXPECT_GT(table.highest_rate(0, 1.0), table.highest_rate(0, 6.0));
  RowCost sleepy = row({{1, 0.02}}, 10, 30);
  sleepy.batches = {straight_curve(1, 20ms, 200ms, Watts(10), Watts(30))};
  const LoadTable slowed = table_of({row({{1, 0.02}}, 10, 30), sleepy}, 150ms);
  EXPECT_FALSE(slowed.serves(1, 1.0, 1.0));  // the clock has fallen when the request comes
  EXPECT_TRUE(slowed.serves(1, 24.0, 1.0));  // it is kept up by the load
  EXPECT_EQ(slowed.best(1.0, 1.0), 0u);
}

TEST(LoadTable, ASmallerBatchThanAnyMeasuredCostsNoLessThanTheSmallestMeasured) {
  // Only batches of 8 were measured: 100 ms at 15 W above idle. One request a second, hardly ever two in a batch.
  LoadModel model;
  model.wait = false;
  const LoadTable table = table_of({row({{8, 0.1}}, 9, 24)}, 500ms, model);
  EXPECT_NEAR(table.power(0, 1.0).si(), 9.0 + 0.1 * 15.0, 1e-3);
}

TEST(LoadTable, StretchesCoverEveryRateThatIsServedAndAgreeWithBest) {
  const LoadTable table = table_of(three(), 500ms);
  const auto stretches = table.stretches(1.0);
  ASSERT_GE(stretches.size(), 2u);
  EXPECT_EQ(stretches.front().from, 0.0);
  EXPECT_NEAR(stretches.back().to, table.highest_rate(2, 1.0), 1e-6);
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const auto& s = stretches[i];
    if (i > 0) {
      EXPECT_EQ(s.from, stretches[i - 1].to);
      EXPECT_NE(s.row, stretches[i - 1].row);
    }
    EXPECT_EQ(table.best((s.from + s.to) / 2.0, 1.0), s.row);
  }
}

/// Random rows: faster ones draw more, all as physics has it.
std::vector<RowCost> random_rows(std::mt19937_64& random) {
  std::uniform_real_distribution<double> part(0.0, 1.0);
  std::vector<RowCost> costs;
  for (int i = 0; i < 6; ++i) {
    const double one = 0.01 + 0.05 * part(random), idle = 5.0 + 10.0 * part(random), busy = idle + 1.0 + 25.0 * part(random);
    const int batch = 1 + static_cast<int>(16 * part(random));
    std::vector<std::pair<int, double>> latencies = {{1, one}};
    if (batch > 1) latencies.emplace_back(batch, one * (1.0 + (batch - 1) * (0.2 + 0.8 * part(random))));
    costs.push_back(row(latencies, idle, busy));
  }
  return costs;
}

TEST(LoadTable, TheChosenRowNeverDrawsMoreThanAnotherThatServesTheRate) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> part(0.0, 1.0);
  int compared = 0;
  for (int round = 0; round < 300; ++round) {
    const auto costs = random_rows(random);
    const Seconds slo(0.1 + part(random));
    const auto table = LoadTable::make(costs, slo);
    if (!table) continue;
    for (int i = 0; i < 20; ++i) {
      const double rate = std::exp(part(random) * 7.0 - 2.0), dispersion = 4.0 * part(random);
      const std::size_t best = table->best(rate, dispersion);
      for (std::size_t other = 0; other < costs.size(); ++other) {
        if (!table->serves(other, rate, dispersion)) continue;
        ASSERT_TRUE(table->serves(best, rate, dispersion));
        EXPECT_LE(table->power(best, rate), table->power(other, rate));
        ++compared;
      }
      EXPECT_GE(table->highest_rate(table->strongest(dispersion), dispersion), table->highest_rate(best, dispersion) * (1 - 1e-9));
    }
  }
  EXPECT_GT(compared, 5000);
}

TEST(LoadTable, PowerGrowsWithTheRateAndARowThatServesARateServesLowerOnes) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 100; ++round) {
    const auto costs = random_rows(random);
    const auto table = LoadTable::make(costs, 800ms);
    ASSERT_TRUE(table);
    for (std::size_t r = 0; r < costs.size(); ++r) {
      const double top = table->highest_rate(r, 1.0);
      for (const double share : {0.01, 0.1, 0.3, 0.6, 0.9, 0.999})
        EXPECT_TRUE(top == 0.0 || table->serves(r, top * share, 1.0)) << r << " " << share;
      EXPECT_FALSE(table->serves(r, top * 1.01 + 1e-9, 1.0));
    }
  }
}

}  // namespace
}  // namespace polythrottle::serving
