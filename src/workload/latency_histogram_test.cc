#include "workload/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace polythrottle {
namespace {

TEST(LatencyHistogram, KnowsNothingWhileEmpty) {
  const LatencyHistogram h;
  EXPECT_FALSE(h.mean());
  EXPECT_FALSE(h.quantile(0.5));
  EXPECT_FALSE(h.max());
}

TEST(LatencyHistogram, IsWithinItsPrecisionOfTheSortedSample) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> latency(-5.0, 2.5);
  std::vector<double> all;
  LatencyHistogram h;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(std::min(latency(random), 1e6));
    h.add(Seconds(all.back()));
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
    const double exact = all[static_cast<std::size_t>(std::ceil(q * 20'000.0 - 1e-6)) - 1];
    EXPECT_NEAR(h.quantile(q)->count(), exact, 0.001 * exact + 1e-9) << q;
  }
  EXPECT_DOUBLE_EQ(h.max()->count(), all.back());
}

TEST(LatencyHistogram, TakesTheExtremes) {
  LatencyHistogram h;
  h.add(Seconds(-1.0));
  h.add(Seconds(1e9));
  EXPECT_EQ(h.count(), 2u);
  EXPECT_DOUBLE_EQ(h.quantile(0.5)->count(), 0.0);
  EXPECT_DOUBLE_EQ(h.max()->count(), 1e6);
}

TEST(LatencyHistogram, RanksAsASortedListDoes) {
  LatencyHistogram h;
  for (int i = 1; i <= 1000; ++i) h.add(Seconds(i));
  EXPECT_NEAR(h.quantile(0.999)->count(), 999.0, 1.0);
  EXPECT_DOUBLE_EQ(h.quantile(1.0)->count(), 1000.0);
}

}  // namespace
}  // namespace polythrottle
