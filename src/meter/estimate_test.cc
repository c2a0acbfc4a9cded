#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "host/fake.h"
#include "meter/meter.h"

namespace polythrottle {
namespace meter_driver {
extern const MeterDriver estimate;
}
namespace {

using ::testing::ElementsAre;

class EstimateTest : public ::testing::Test {
 protected:
  Meter& probe(const MeterOptions& options = {}) {
    found = meter_driver::estimate.discover(host, options);
    EXPECT_EQ(found.meters.size(), 1u);
    return *found.meters.at(0);
  }
  void add_policy(int number, const std::string& now) {
    const std::string folder = "/sys/devices/system/cpu/cpufreq/policy" + std::to_string(number);
    files.nodes[folder + "/cpuinfo_max_freq"] = "2000000\n";
    files.nodes[folder + "/scaling_cur_freq"] = now + "\n";
  }

  FakeFiles files{std::map<std::string, std::string>{{"/sys/devices/system/cpu/online", "0-1\n"}}};
  FakeClock clock;
  Host host{files, clock};
  MeterDiscovery found;
};

TEST_F(EstimateTest, AddsIdleAndBusyPower) {
  Meter& meter = probe();
  EXPECT_TRUE(meter.info().estimated);
  EXPECT_THAT(meter.info().error_sources, ElementsAre("idle_watts", "active_watts"));
  EXPECT_EQ(meter.read()->energy, Joules(0));
  clock.busy_cpus = 1.5;
  clock.advance(Seconds(10));
  const auto sample = meter.read();
  EXPECT_NEAR(sample->energy.si(), 0.74 * 2 * 10 + 2.76 * 15, 1e-9);
  ASSERT_EQ(sample->one_sigma.size(), 2u);
  EXPECT_NEAR(sample->one_sigma[0].si(), 0.5 * 14.8, 1e-9);
  EXPECT_NEAR(sample->one_sigma[1].si(), 0.5 * 41.4, 1e-9);
}

TEST_F(EstimateTest, TakesTheUsersCoefficients) {
  Meter& meter = probe({.idle_watts_per_cpu = 2.0, .active_watts_per_cpu = 5.0});
  clock.busy_cpus = 1.0;
  clock.advance(Seconds(1));
  EXPECT_NEAR(meter.read()->energy.si(), 4.0 + 5.0, 1e-9);
  EXPECT_EQ(meter_driver::estimate.discover(host, {.idle_watts_per_cpu = -1.0}).absent.at(0).why.code, Errc::kInvalid);
}

TEST_F(EstimateTest, GoesByTheCpuTimeOfWhoeverWorks) {
  Seconds work{100};
  Meter& meter = probe({.work_cpu = [&] { return work; }, .worker = "somebody else"});
  EXPECT_NE(meter.info().boundary.find("share of somebody else plus"), std::string::npos) << meter.info().boundary;
  clock.busy_cpus = 1.5;  // of this process
  clock.advance(Seconds(1));
  work += Seconds(0.25);
  EXPECT_NEAR(meter.read()->energy.si(), 0.74 * 2 + 2.76 * 0.25, 1e-9);
}

TEST_F(EstimateTest, BusyPowerFallsWithTheSquareOfTheClock) {
  add_policy(0, "1500000");
  add_policy(1, "500000");  // on average half of the highest
  Meter& meter = probe();
  EXPECT_THAT(meter.info().error_sources, ElementsAre("idle_watts", "active_watts", "clock_exponent"));
  clock.busy_cpus = 2.0;
  clock.advance(Seconds(1));
  auto sample = meter.read();
  EXPECT_NEAR(sample->energy.si(), 1.48 + 2.76 * 2 * 0.25, 1e-9);
  EXPECT_NEAR(sample->one_sigma[2].si(), 2.76 * 2 * (std::pow(0.5, 2.5) - 0.25), 1e-9);
  // Twice as fast at the next read: the mean of both stands for the time between.
  add_policy(0, "2000000");
  add_policy(1, "2000000");
  clock.advance(Seconds(1));
  sample = meter.read();
  EXPECT_NEAR(sample->energy.si(), 2 * 1.48 + 2.76 * 2 * (0.25 + 0.75 * 0.75), 1e-9);
}

TEST_F(EstimateTest, IsAbsentWhereNothingTellsTheCpus) {
  files.nodes.clear();
  const auto none = meter_driver::estimate.discover(host, {});
  EXPECT_TRUE(none.meters.empty());
  EXPECT_EQ(none.absent.at(0).why.code, Errc::kNotFound);
}

TEST(Estimate, AdvancesOnTheRealMachine) {
  const auto files = real_files();
  const auto clock = real_clock();
  Host host{*files, *clock};
  const auto found = meter_driver::estimate.discover(host, {});
  if (found.meters.empty()) GTEST_SKIP() << found.absent.at(0).why.text();
  Meter& meter = *found.meters[0];
  const auto first = meter.read();
  const auto start = clock->now();
  while (clock->now() - start < Seconds(0.02)) {
  }
  const auto last = meter.read();
  const double watts = (last->energy - first->energy).si() / (last->at - first->at).count();
  EXPECT_GT(watts, 0.74);
  EXPECT_LT(watts, 3.6 * *online_cpus(*files));
  EXPECT_LT(meter.info().read_cost.count(), 0.1);
}

}  // namespace
}  // namespace polythrottle
