#include "serving/drift_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace polythrottle::serving {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr double kBlocksOfADay = 86400.0;

/// Days until an alarm, blocks of one second whose means scatter by `deviation` around `mean`; `days` if there is none.
double days_to_alarm(double mean, double deviation, double days, std::uint64_t seed) {
  DriftTest test(std::log1p(0.05), DriftTest::height(4.0 * kBlocksOfADay / 0.1));
  std::mt19937_64 random(seed);
  std::normal_distribution<double> block(mean, deviation);
  for (double n = 1.0; n <= days * kBlocksOfADay; ++n) {
    if (test.add(block(random), deviation) != 0) return n / kBlocksOfADay;
  }
  return days;
}

TEST(DriftTest, AlarmsFalselyLessOftenThanStatedWithinTheBandAndAtItsEdge) {
  // 40 days in all: 4 false alarms would be allowed of four tests at the edge, hence about 1 of this one side.
  for (const double mean : {0.0, std::log1p(0.05)}) {
    int alarms = 0;
    for (std::uint64_t seed = 0; seed < 8; ++seed) alarms += days_to_alarm(mean, 0.05, 5.0, seed) < 5.0 ? 1 : 0;
    EXPECT_LE(alarms, mean == 0.0 ? 0 : 4) << mean;
  }
}

TEST(DriftTest, TheApproximatedRunLengthIsThatOfASimulation) {
  // A low height, so that runs are short enough to be averaged: at the edge, one side.
  const double edge = std::log1p(0.05);
  const double height = DriftTest::height(2000.0);
  double blocks = 0.0;
  constexpr int kRuns = 300;
  std::mt19937_64 random(3);
  std::normal_distribution<double> block(edge, 0.02);
  for (int run = 0; run < kRuns; ++run) {
    DriftTest test(edge, height);
    do ++blocks;
    while (test.add(block(random), 0.02) == 0);
  }
  EXPECT_GT(blocks / kRuns, 2000.0 * 0.8);
  EXPECT_LT(blocks / kRuns, 2000.0 * 1.6);  // what one block adds is limited, which lengthens runs
}

TEST(DriftTest, ATenthIsFoundWithinAMinuteAndAThirdWithinSeconds) {
  for (const double deviation : {0.01, 0.02, 0.03}) {
    double tenth = 0.0, third = 0.0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      tenth = std::max(tenth, days_to_alarm(std::log1p(0.10), deviation, 1.0, seed) * kBlocksOfADay);
      third = std::max(third, days_to_alarm(std::log1p(0.30), deviation, 1.0, seed) * kBlocksOfADay);
    }
    EXPECT_LE(tenth, deviation < 0.025 ? 30.0 : 90.0) << deviation;
    EXPECT_LE(third, 10.0) << deviation;
  }
}

TEST(DriftTest, NoSingleBlockRaisesAnAlarmAndBothSidesDo) {
  DriftTest test(0.05, DriftTest::height(1e6));
  EXPECT_EQ(test.add(100.0, 0.01), 0);
  DriftTest fast(0.05, DriftTest::height(1e6));
  int side = 0;
  for (int i = 0; i < 20 && side == 0; ++i) side = fast.add(-0.3, 0.02);
  EXPECT_EQ(side, -1);
}

DriftGuard guard(DriftOptions options = {}) { return DriftGuard({RowBand{}, RowBand{}}, options); }

TEST(DriftGuard, BatchesAThirdSlowerRaiseOneAlarmAndMarkTheStudy) {
  DriftGuard g = guard();
  int alarms = 0;
  double first = 0.0;
  for (int i = 0; i < 4000; ++i) {
    const Time now(i * 0.01);
    if (const auto alarm = g.batch_done(now, 1, Seconds(0.013), Seconds(0.010), false)) {
      EXPECT_EQ(*alarm, Alarm::kDrift);
      first = now.count();
      ++alarms;
    }
  }
  EXPECT_EQ(alarms, 1);
  EXPECT_LT(first, 10.0);
  ASSERT_TRUE(g.stale());
  EXPECT_THAT(g.stale()->reason, HasSubstr("+30.0 %"));
  EXPECT_THAT(g.stale()->reason, HasSubstr("row 1"));
}

TEST(DriftGuard, BatchesBesideAStepAndBatchesWithinTheBandSayNothing) {
  DriftGuard g = guard();
  for (int i = 0; i < 20000; ++i) {
    const Time now(i * 0.01);
    EXPECT_FALSE(g.batch_done(now, 0, Seconds(0.02), Seconds(0.01), true));
    EXPECT_FALSE(g.batch_done(now, 0, Seconds(0.0103), Seconds(0.01), false));
    EXPECT_FALSE(g.batch_done(now, 0, Seconds(0.01), Seconds(0), false));
  }
  EXPECT_FALSE(g.stale());
}

TEST(DriftGuard, EnergyThatFallsIsDriftToo) {
  DriftGuard g = guard();
  std::optional<Alarm> alarm;
  for (int i = 0; i < 30 && !alarm; ++i) alarm = g.energy_window(Time(10.0 * i), 0, Joules(70), Joules(100));
  EXPECT_EQ(alarm, Alarm::kDrift);
  EXPECT_THAT(g.stale()->reason, HasSubstr("-30.0 %"));
}

TEST(DriftGuard, TemperatureOverTheLimitIsSaidAtOnceAndOnlyWhereThereIsALimit) {
  EXPECT_FALSE(guard().temperature(1s, Celsius(500)));
  DriftGuard g = guard({.hottest = Celsius(80)});
  EXPECT_FALSE(g.temperature(1s, Celsius(80)));
  EXPECT_EQ(g.temperature(2s, Celsius(80.1)), Alarm::kHot);
  EXPECT_THAT(g.stale()->reason, HasSubstr("80.1 degC"));
}

TEST(DriftGuard, AForeignWriteIsNamed) {
  DriftGuard g = guard();
  const Config asked{{"gpu_max_hz", 9e8}, {"batch", 4.0}};
  EXPECT_FALSE(g.read_back(1s, asked, {{"gpu_max_hz", 9e8}}));
  EXPECT_EQ(g.read_back(2s, asked, {{"gpu_max_hz", 13e8}}), Alarm::kRival);
  EXPECT_EQ(g.stale()->at, Time(2));
  EXPECT_THAT(g.stale()->reason, HasSubstr("gpu_max_hz holds 1300000000 where 900000000 was set"));
  EXPECT_FALSE(g.read_back(3s, asked, {{"gpu_max_hz", 13e8}}));  // said once
}

}  // namespace
}  // namespace polythrottle::serving
