#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/fake.h"
#include "meter/window.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const MeterDriver& driver() {
  const auto all = meter_drivers();
  return **std::find_if(all.begin(), all.end(), [](const auto* one) { return one->name == "ina3221"; });
}

class Ina3221 : public ::testing::Test {
 protected:
  /// A chip of the kernel's driver; labels of its three channels, all at 5 V.
  void add_chip(const std::string& folder, const std::vector<std::string>& labels, long long milliamps) {
    files.nodes[folder + "/name"] = "ina3221\n";
    files.nodes[folder + "/update_interval"] = "7\n";
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const std::string channel = std::to_string(i + 1);
      files.nodes[folder + "/in" + channel + "_label"] = labels[i] + "\n";
      files.nodes[folder + "/in" + channel + "_input"] = "5000\n";
      files.nodes[folder + "/curr" + channel + "_input"] = std::to_string(milliamps) + "\n";
    }
  }
  std::unique_ptr<Meter> discover() {
    auto found = driver().discover(host, options);
    EXPECT_EQ(found.meters.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return found.meters.empty() ? nullptr : std::move(found.meters.front());
  }
  double watts_over(Meter& meter, Seconds time) {
    auto window = *Window::open(host, meter, Seconds(1));
    clock.advance(time);
    const auto reading = window->close();
    EXPECT_TRUE(reading);
    return (reading->energy / reading->elapsed).si();
  }

  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  MeterOptions options;
};

TEST_F(Ina3221, TheInputRailAloneIsTheModule) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"}, 1000);
  const auto meter = discover();
  EXPECT_NEAR(watts_over(*meter, Seconds(3)), 5.0, 1e-9);
  EXPECT_THAT(meter->info().boundary, HasSubstr("VDD_IN"));
  EXPECT_THAT(meter->info().boundary, Not(HasSubstr("VDD_SOC")));
}

TEST_F(Ina3221, AKnownSetWithoutAnInputRailIsAddedUp) {
  add_chip("/sys/class/hwmon/hwmon3", {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}, 1000);
  add_chip("/sys/class/hwmon/hwmon4", {"NC", "VDDQ_VDD2_1V8AO", "NC"}, 1000);
  const auto meter = discover();
  EXPECT_NEAR(watts_over(*meter, Seconds(3)), 15.0, 1e-9);  // the DRAM's rail hangs on VIN_SYS_5V0
  EXPECT_THAT(meter->info().boundary, HasSubstr("VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"));
}

TEST_F(Ina3221, FindsTheChipsOfAnAgxXavierOnTheBus) {
  add_chip("/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3", {"GPU", "CPU", "SOC"}, 200);
  add_chip("/sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4", {"CV", "VDDRQ", "SYS5V"}, 200);
  EXPECT_NEAR(watts_over(*discover(), Seconds(3)), 6.0, 1e-9);
}

TEST_F(Ina3221, ReadsTheInputOfAThorAtAChipOfItsOwn) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"}, 1000);
  files.nodes["/sys/class/hwmon/hwmon3/name"] = "ina238\n";
  files.nodes["/sys/class/hwmon/hwmon3/in1_input"] = "12000\n";
  files.nodes["/sys/class/hwmon/hwmon3/power1_input"] = "30000000\n";
  EXPECT_TRUE(driver().discover(host, {}).meters.empty());  // on another board it may be anything
  files.nodes["/proc/device-tree/compatible"] = std::string("nvidia,p3834-0008\0nvidia,tegra264", 33);
  const auto meter = discover();
  EXPECT_NEAR(watts_over(*meter, Seconds(2)), 30.0, 1e-9);
  EXPECT_THAT(meter->info().boundary, HasSubstr("Thor"));
}

TEST_F(Ina3221, RailsThatMayContainOneAnotherAreNotAddedUp) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_A", "VDD_B", "VDD_GPU_SOC"}, 1000);
  const auto found = driver().discover(host, {});
  EXPECT_TRUE(found.meters.empty());
  EXPECT_EQ(found.absent.at(0).why.code, Errc::kUnsupported);
  EXPECT_THAT(found.absent.at(0).why.what, HasSubstr("VDD_A, VDD_B, VDD_GPU_SOC"));
}

TEST_F(Ina3221, IntegratesPowerBetweenReadings) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_IN"}, 0);
  const auto meter = discover();
  // A ramp from 0 to 10 W in 2 s, read often: the trapezoids give its area, but each reading is 7 ms old.
  for (int i = 1; i <= 20; ++i) {
    clock.advance(Seconds(0.1));
    files.nodes["/sys/class/hwmon/hwmon2/curr1_input"] = std::to_string(100 * i) + "\n";
    ASSERT_TRUE(meter->read());
  }
  EXPECT_NEAR(meter->read()->energy.si(), 10.0 + 0.007 * 10.0, 1e-9);
}

TEST_F(Ina3221, AWindowReadsItOftenEnough) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_IN"}, 1000);
  const auto meter = discover();
  EXPECT_DOUBLE_EQ(meter->info().refresh.count(), 0.007);
  EXPECT_DOUBLE_EQ(meter->info().sampling.count(), 0.05);
  // On for a quarter of each second: blocks of a second alone would miss it, or see nothing else.
  const auto load = clock.every(Seconds(0.01), [this] {
    const double phase = clock.now().time_since_epoch().count();
    files.nodes["/sys/class/hwmon/hwmon2/curr1_input"] = phase - static_cast<double>(static_cast<long>(phase)) < 0.25 ? "4000\n" : "0\n";
  });
  auto window = *Window::open(host, *meter, Seconds(1));
  clock.advance(Seconds(10));
  const auto reading = *window->close();
  EXPECT_NEAR(reading.energy.si(), 50.0, 3.0 * reading.own_error.si());
  EXPECT_LT(reading.own_error.si(), 2.0);
}

TEST_F(Ina3221, StatesItsErrors) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_IN"}, 1000);
  files.nodes["/sys/class/hwmon/hwmon2/shunt1_resistor"] = "2000\n";
  const auto meter = discover();
  clock.advance(Seconds(10));
  const auto sample = *meter->read();
  EXPECT_THAT(meter->info().error_sources, ElementsAre("ina3221_gain_VDD_IN", "ina3221_offset_VDD_IN"));
  EXPECT_NEAR(sample.one_sigma[0].si(), 0.00515 * 50.0, 1e-9);
  EXPECT_NEAR(sample.one_sigma[1].si(), 0.020 * 5.0 * 10.0, 1e-9);  // 40 uV / 2 mOhm, at 5 V, for 10 s
  EXPECT_THAT(meter->info().error, HasSubstr("0.5 %"));
}

TEST_F(Ina3221, RailsThatAreNotCountedAreReadWhenAskedFor) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_CPU_GPU_CV", "VDD_IN", "VDD_SOC"}, 1000);
  EXPECT_EQ(discover()->info().rails.size(), 1u);
  options.all_rails = true;
  const auto meter = discover();
  const auto& rails = meter->info().rails;
  ASSERT_EQ(rails.size(), 3u);
  EXPECT_EQ(rails[0].name, "VDD_IN");
  EXPECT_TRUE(rails[0].counted);
  for (const std::size_t i : {1, 2}) {
    EXPECT_FALSE(rails[i].counted);
    EXPECT_EQ(rails[i].inside, 0u);
  }
  clock.advance(Seconds(2));
  const auto sample = *meter->read();
  EXPECT_NEAR(sample.energy.si(), 10.0, 1e-9);
  ASSERT_EQ(sample.rails.size(), 3u);
  EXPECT_NEAR(sample.rails[2].si(), 10.0, 1e-9);
  EXPECT_EQ(sample.one_sigma.size(), 2u);
}

TEST_F(Ina3221, TheMemorysRailOfAnAgxOrinIsInsideTheOneThatFeedsIt) {
  add_chip("/sys/class/hwmon/hwmon3", {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}, 1000);
  add_chip("/sys/class/hwmon/hwmon4", {"NC", "VDDQ_VDD2_1V8AO", "NC"}, 1000);
  options.all_rails = true;
  const auto meter = discover();
  const auto& rails = meter->info().rails;
  ASSERT_EQ(rails.size(), 4u);
  EXPECT_EQ(rails[3].name, "VDDQ_VDD2_1V8AO");
  EXPECT_FALSE(rails[3].counted);
  EXPECT_EQ(rails[3].inside, 2u);
  clock.advance(Seconds(2));
  const auto sample = *meter->read();
  EXPECT_NEAR(sample.energy.si(), sample.rails[0].si() + sample.rails[1].si() + sample.rails[2].si(), 1e-9);
}

TEST_F(Ina3221, ReadsTheLayoutOfJetPack4) {
  const std::string chip = "/sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1";
  files.nodes = {{chip + "/rail_name_0", "VDD_IN\n"},      {chip + "/in_power0_input", "2911\n"},
                 {chip + "/in_voltage0_input", "19152\n"}, {chip + "/rail_name_1", "VDD_SYS_CPU\n"},
                 {chip + "/in_power1_input", "536\n"},     {"/sys/bus/i2c/drivers/ina3221x/bind", ""}};
  auto meter = discover();
  EXPECT_NEAR(watts_over(*meter, Seconds(3)), 2.911, 1e-9);
  EXPECT_DOUBLE_EQ(meter->info().sampling.count(), 0.05);  // each read converts
  files.nodes[chip + "/running_mode"] = "1\n";
  meter = discover();
  EXPECT_DOUBLE_EQ(meter->info().refresh.count(), 0.422);
  EXPECT_DOUBLE_EQ(meter->info().sampling.count(), 0.422);
}

TEST_F(Ina3221, AnIdleRailNeverGivesPowerBack) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_IN"}, -4);
  const auto meter = discover();
  clock.advance(Seconds(10));
  EXPECT_EQ(meter->read()->energy, Joules(0));
}

TEST_F(Ina3221, ABusyBusIsAskedAgainAndAVanishedRailIsAnError) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_IN"}, 1000);
  const auto meter = discover();
  files.refuse_read["/sys/class/hwmon/hwmon2/curr1_input"] = EAGAIN;
  EXPECT_EQ(meter->read().error().code, Errc::kBusy);
  files.refuse_read.clear();
  EXPECT_TRUE(meter->read());
  files.nodes.erase("/sys/class/hwmon/hwmon2/curr1_input");
  EXPECT_EQ(meter->read().error().code, Errc::kNotFound);
}

TEST_F(Ina3221, SaysWhenRailsAreForRootOnly) {
  add_chip("/sys/class/hwmon/hwmon2", {"VDD_IN"}, 1000);
  files.refuse_read["/sys/class/hwmon/hwmon2/curr1_input"] = EACCES;
  const auto found = driver().discover(host, {});
  EXPECT_EQ(found.absent.at(0).why.code, Errc::kPermission);
  EXPECT_THAT(found.absent.at(0).why.hint, HasSubstr("root"));
}

class Ina3221OnFixture : public ::testing::Test {
 protected:
  std::unique_ptr<Meter> discover(const std::string& machine) {
    files = real_files(std::string(POLYTHROTTLE_SOURCE_DIR) + "/tests/fixtures/" + machine);
    host = std::make_unique<Host>(Host{*files, clock});
    auto found = driver().discover(*host, {});
    return found.meters.empty() ? nullptr : std::move(found.meters.front());
  }
  std::unique_ptr<Files> files;
  FakeClock clock;
  std::unique_ptr<Host> host;
};

TEST_F(Ina3221OnFixture, ReadsATx2) {
  const auto meter = discover("jetson-tx2-jp46");
  ASSERT_TRUE(meter);
  clock.advance(Seconds(10));
  EXPECT_NEAR(meter->read()->energy.si(), 29.11, 1e-9);
}

TEST_F(Ina3221OnFixture, ReadsAnOrin) {
  const auto meter = discover("jetson-agx-orin-jp5");
  ASSERT_TRUE(meter);
  clock.advance(Seconds(1));
  EXPECT_NEAR(meter->read()->energy.si(), 19.128 * 0.200 + 4.968 * 0.800, 1e-9);
}

}  // namespace
}  // namespace polythrottle
