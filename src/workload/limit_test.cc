#include "workload/limit.h"

#include <gtest/gtest.h>

#include <random>

namespace polythrottle {
namespace {

/// How many latencies it takes, or 0 if the limit stands after `most`.
template <class Draw>
int first_broken(LimitWatch watch, int most, Draw draw) {
  for (int i = 1; i <= most; ++i) {
    if (watch.add(Seconds(draw()))) return i;
  }
  return 0;
}

TEST(LimitWatch, TenClearLatenciesAreEnough) {
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.0), 100, [] { return 1.5; }), 10);
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.99), 100, [] { return 1.5; }), 10);
  // At p50 ten of ten are just enough: 1 - 2^-10 > 0.999.
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.5), 100, [] { return 1.5; }), 10);
}

TEST(LimitWatch, ToleratesWhatTheSloTolerates) {
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.0), 1000, [] { return 1.0099; }), 0);
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.95), 1000, [] { return 1.0099; }), 0);
}

TEST(LimitWatch, GoesOnWhileTheMeanIsInDoubt) {
  bool high = false;
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.0), 1000, [&] { return (high = !high) ? 1.6 : 0.41; }), 0);
  EXPECT_GT(first_broken(LimitWatch(Seconds(1), 0.0), 1000, [&] { return (high = !high) ? 1.6 : 0.6; }), 50);
}

TEST(LimitWatch, AQuantileAllowsItsShareOfSlowOnes) {
  int n = 0;
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.95), 5000, [&] { return ++n % 20 == 0 ? 9.0 : 0.1; }), 0);
  EXPECT_GT(first_broken(LimitWatch(Seconds(1), 0.95), 5000, [&] { return ++n % 5 == 0 ? 9.0 : 0.1; }), 10);
}

TEST(LimitWatch, SeldomBreaksALimitThatIsJustMet) {
  std::mt19937_64 random(3);
  int broken = 0;
  for (int run = 0; run < 300; ++run) {
    broken += first_broken(LimitWatch(Seconds(1), 0.95), 200, [&] { return random() % 1000 < 40 ? 2.0 : 0.5; }) != 0;
  }
  EXPECT_LE(broken, 9);  // looked at after each latency, so more than one in a thousand
}

TEST(LimitWatch, AClusterWeighsAsOneObservation) {
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.99, 8), 1000, [] { return 1.5; }), 80);
  EXPECT_EQ(first_broken(LimitWatch(Seconds(1), 0.0, 8), 1000, [] { return 1.5; }), 80);
}

}  // namespace
}  // namespace polythrottle
