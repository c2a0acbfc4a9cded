#include "server/snapshot.h"

#include <gmock/gmock.h>

#include <limits>

namespace polythrottle::server {
namespace {

using ::testing::ElementsAre;

TEST(Histogram, CountsAValueAtABoundBelowIt) {
  Histogram h{.bounds = {1.0, 2.0}, .counts = {0, 0, 0}};
  for (const double value : {0.5, 1.0, 1.5, 2.0, 2.5}) h.add(value);
  EXPECT_THAT(h.counts, ElementsAre(2, 2, 1));
  EXPECT_EQ(h.total, 5u);
  EXPECT_DOUBLE_EQ(h.sum, 7.5);
}

TEST(Histogram, LeavesOutWhatIsNoNumber) {
  Histogram h = latency_histogram();
  h.add(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(h.total, 0u);
  EXPECT_EQ(h.sum, 0.0);
}

TEST(Histogram, InterpolatesQuantilesWithinABucket) {
  Histogram h{.bounds = {10.0, 20.0}, .counts = {0, 0, 0}};
  EXPECT_FALSE(h.quantile(0.5));
  for (int i = 0; i < 10; ++i) h.add(15.0);
  EXPECT_DOUBLE_EQ(*h.quantile(0.0), 10.0);
  EXPECT_DOUBLE_EQ(*h.quantile(0.5), 15.0);
  EXPECT_DOUBLE_EQ(*h.quantile(1.0), 20.0);
}

TEST(Histogram, KnowsNothingBeyondItsLastBound) {
  Histogram h{.bounds = {1.0, 2.0}, .counts = {0, 0, 0}};
  h.add(50.0);
  EXPECT_DOUBLE_EQ(*h.quantile(0.99), 2.0);
}

TEST(Histogram, TakesValuesWithoutAnyBounds) {
  Histogram h;
  h.add(3.0);
  EXPECT_THAT(h.counts, ElementsAre(1));
  EXPECT_FALSE(h.quantile(0.5));
}

TEST(Histogram, OfLatencyGoesFrom50MicrosecondsTo100SecondsInAscendingBounds) {
  const Histogram h = latency_histogram();
  EXPECT_DOUBLE_EQ(h.bounds.front(), 50e-6);
  EXPECT_DOUBLE_EQ(h.bounds.back(), 100.0);
  EXPECT_TRUE(std::is_sorted(h.bounds.begin(), h.bounds.end()));
  EXPECT_EQ(h.counts.size(), h.bounds.size() + 1);
  EXPECT_EQ(size_histogram().bounds.back(), 1024.0);
}

}  // namespace
}  // namespace polythrottle::server
