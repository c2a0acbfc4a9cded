#include "study/stretches.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "study/measure.h"

namespace polythrottle {
namespace {

Clock::TimePoint at(double seconds) { return Clock::TimePoint(Seconds(seconds)); }

/// A window of `length` s in blocks of 0.1 s, of a meter whose power is `watts`(middle of a block).
WindowReading window(double length, const std::function<double(double)>& watts) {
  WindowReading out;
  double joules = 0.0;
  const int blocks = static_cast<int>(length / 0.1 + 0.5);
  for (int i = 0; i <= blocks; ++i) {
    const double now = 0.1 * i;
    out.samples.push_back({at(now), Joules(joules), {Joules(0.05 * joules)}, Joules(0.01), 0.0, {Joules(joules / 2)}});
    joules += 0.1 * watts(now + 0.05);
  }
  out.elapsed = Seconds(length);
  out.energy = out.samples.back().energy;
  out.one_sigma = out.samples.back().one_sigma;
  return out;
}

/// 20 W while it works, 4 W while it loads.
double loads_between(double now) { return (now > 2.0 && now < 5.0) ? 4.0 : 20.0; }

TEST(Stretches, LeaveOutWhatLiesBetween) {
  const auto whole = window(7.0, loads_between);
  const std::vector<Stretch> parts{{at(0.0), at(2.0)}, {at(5.0), at(7.0)}};
  const auto in = within(whole, parts);
  EXPECT_NEAR(in.elapsed.count(), 4.0, 1e-9);
  EXPECT_NEAR(in.energy.si(), 80.0, 1e-9);
  EXPECT_NEAR(in.one_sigma.at(0).si(), 4.0, 1e-9);
  EXPECT_NEAR(in.rails.at(0).si(), 40.0, 1e-9);
  EXPECT_EQ(in.samples.size(), 41u);  // 40 blocks, one behind the other
  EXPECT_NEAR((in.samples.back().at - in.samples.front().at).count(), 4.0, 1e-9);
  EXPECT_NEAR(in.own_error.si(), 0.02, 1e-9);  // two runs of blocks: four readings of 0.01 J
}

TEST(Stretches, EdgesInsideABlockTakeTheMeanPower) {
  const auto whole = window(7.0, loads_between);
  const std::vector<Stretch> parts{{at(0.0), at(1.93)}, {at(5.06), at(7.0)}};
  const auto in = within(whole, parts);
  EXPECT_NEAR(in.elapsed.count(), 3.87, 1e-9);
  EXPECT_NEAR(in.energy.si(), 20.0 * 3.87, 1e-9);  // and not a bit of the loading
}

TEST(Stretches, ABeginningBeforeTheWindowIsExtrapolated) {
  const auto whole = window(2.0, [](double) { return 10.0; });
  const std::vector<Stretch> parts{{at(-0.5), at(2.0)}};
  const auto in = within(whole, parts);
  EXPECT_NEAR(in.elapsed.count(), 2.5, 1e-9);
  EXPECT_NEAR(in.energy.si(), 25.0, 1e-9);
}

TEST(Stretches, TheScatterOfBlocksIsTheErrorOfWhatIsExtrapolated) {
  const auto whole = window(2.0, [](double now) { return static_cast<int>(now / 0.1) % 2 == 0 ? 9.0 : 11.0; });
  const std::vector<Stretch> parts{{at(-1.0), at(2.0)}};
  const auto in = within(whole, parts);
  EXPECT_NEAR(in.energy.si(), 30.0, 1e-9);
  EXPECT_NEAR(in.own_error.si(), std::hypot(1.026 * 1.0, 0.0142 * 1.5), 1e-3);
}

TEST(Stretches, WithoutAWholeBlockItIsSharedByTimeAndSaysHowFarThatMayBeOff) {
  const auto whole = window(1.0, [](double) { return 10.0; });
  const std::vector<Stretch> parts{{at(0.51), at(0.58)}};
  const auto in = within(whole, parts);
  EXPECT_NEAR(in.energy.si(), 0.7, 1e-9);
  EXPECT_NEAR(in.own_error.si(), 0.5, 1e-9);
  EXPECT_LT(in.samples.size(), 2u);
}

TEST(Stretches, NothingInTheWindowIsNothing) {
  const auto whole = window(1.0, [](double) { return 10.0; });
  const std::vector<Stretch> parts{{at(3.0), at(4.0)}};
  EXPECT_EQ(within(whole, parts).elapsed, Seconds(0));
  EXPECT_EQ(within(whole, {}).elapsed, Seconds(0));
}

TEST(Stretches, MetricsAreThoseOfThePartsAndOfTheProgramsOwnSummary) {
  Work work;
  work.inferences = 800;
  work.counted = {{at(0.0), at(2.0)}, {at(5.0), at(7.0)}};
  work.summary[std::string(kLatencyP95)] = {0.012, {}, 200, {}};
  const Metrics metrics = measure(work, window(7.0, loads_between), {"gain"});
  EXPECT_NEAR(metrics.at(std::string(kEnergy)).value, 0.1, 1e-9);
  EXPECT_NEAR(metrics.at(std::string(kPower)).value, 20.0, 1e-9);
  EXPECT_NEAR(metrics.at(std::string(kThroughput)).value, 200.0, 1e-9);
  EXPECT_FALSE(metrics.at(std::string(kThroughput)).std_error.has_value());
  EXPECT_NEAR(metrics.at(std::string(kEnergy)).shared.at(0).relative, 0.05, 1e-9);
  EXPECT_EQ(metrics.at(std::string(kLatencyP95)).value, 0.012);
  EXPECT_EQ(metrics.count(std::string(kLatencyMean)), 0u);
}

}  // namespace
}  // namespace polythrottle
