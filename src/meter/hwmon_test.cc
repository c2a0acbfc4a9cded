#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake.h"
#include "meter/window.h"

namespace polythrottle {
namespace meter_driver {
extern const MeterDriver hwmon;
}
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kClass = "/sys/class/hwmon/";

class HwmonMeter : public ::testing::Test {
 protected:
  void chip(const std::string& number, const std::string& name, const std::map<std::string, std::string>& attributes) {
    files.nodes[kClass + number + "/name"] = name + "\n";
    for (const auto& [attribute, text] : attributes) files.nodes[kClass + number + "/" + attribute] = text + "\n";
  }
  void sits(const std::string& number, const std::string& device) { files.folders.insert("/sys/bus/" + device + "/hwmon/" + number); }
  std::vector<std::string> names() {
    found = meter_driver::hwmon.discover(host, {});
    std::vector<std::string> out;
    for (const auto& meter : found.meters) out.push_back(meter->info().name);
    return out;
  }
  Meter& only() {
    EXPECT_EQ(names().size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return *found.meters.at(0);
  }
  double watts(Meter& meter, Seconds time = Seconds(2)) {
    auto window = *Window::open(host, meter, Seconds(0.5));
    clock.advance(time);
    const auto reading = window->close();
    EXPECT_TRUE(reading) << reading.error().text();
    return reading ? reading->energy.si() / reading->elapsed.count() : 0.0;
  }

  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  MeterDiscovery found;
};

TEST_F(HwmonMeter, IsNamedByChipAndLabelAndNeverChosenUnasked) {
  chip("hwmon7", "ltc4215", {{"power1_input", "18632192"}, {"in1_input", "12000"}, {"curr1_input", "1500"}});
  sits("hwmon7", "i2c/devices/0-004a");
  Meter& meter = only();
  EXPECT_EQ(meter.info().name, "hwmon:ltc4215:power1");
  EXPECT_TRUE(meter.info().only_by_name);
  EXPECT_THAT(meter.info().boundary, HasSubstr("channel power1 of ltc4215 (i2c 0-004a)"));
  EXPECT_THAT(meter.info().boundary, HasSubstr("not known"));
  EXPECT_NEAR(watts(meter), 18.632192, 1e-9);
}

TEST_F(HwmonMeter, ReadsVoltsTimesAmperesOfAPairWithTheSameLabel) {
  chip("hwmon0", "board",
       {{"in1_input", "5000"},
        {"in1_label", "5V rail"},
        {"curr1_input", "1234"},
        {"curr1_label", "5V rail"},
        {"in2_input", "3300"},
        {"in2_label", "vin"},
        {"curr2_input", "700"},
        {"curr2_label", "iout"},
        {"in0_input", "1"},
        {"curr0_input", "1"}});
  Meter& meter = only();
  EXPECT_EQ(meter.info().name, "hwmon:board:5V_rail");
  EXPECT_NEAR(watts(meter), 6.17, 1e-9);
}

TEST_F(HwmonMeter, TakesTheCounterOfAChannelThatHasPowerToo) {
  chip("hwmon0", "amps", {{"energy1_input", "5000000"}, {"power1_input", "3000000"}, {"power2_average", "4000000"}});
  EXPECT_THAT(names(), ElementsAre("hwmon:amps:energy1", "hwmon:amps:power2"));
}

TEST_F(HwmonMeter, TwoAlikeGetTheirPlacesIntoTheirNames) {
  for (const char* number : {"hwmon1", "hwmon2", "hwmon3"}) chip(number, "ina226", {{"power1_input", "1000000"}});
  sits("hwmon1", "i2c/devices/1-0041");
  sits("hwmon2", "i2c/devices/1-0040");
  EXPECT_THAT(names(), ElementsAre("hwmon:ina226@1-0040:power1", "hwmon:ina226@1-0041:power1", "hwmon:ina226@hwmon3:power1"));
}

TEST_F(HwmonMeter, LeavesOutWhatIsReadElsewhereOrIsNoPower) {
  chip("hwmon0", "ina3221", {{"in1_input", "5000"}, {"curr1_input", "100"}});
  chip("hwmon1", "soctherm_oc", {{"oc1_event_cnt", "0"}});
  chip("hwmon2", "coretemp", {{"temp1_input", "52000"}, {"power1_cap", "1"}, {"powerx_input", "1"}, {"power_input", "1"}});
  chip("hwmon3", "ina238", {{"power1_input", "1000000"}});
  EXPECT_THAT(names(), ElementsAre("hwmon:ina238:power1"));
  files.nodes["/proc/device-tree/compatible"] = std::string("nvidia,p3834\0nvidia,tegra264\0", 29);
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_EQ(found.absent.at(0).why.code, Errc::kNotFound);
}

TEST_F(HwmonMeter, FindsFilesOfDriversThatRegisterInTheOldWay) {
  files.nodes[kClass + "hwmon4/device/name"] = "power_meter\n";
  files.nodes[kClass + "hwmon4/device/power1_average"] = "15000000\n";
  files.nodes[kClass + "hwmon4/device/power1_average_interval"] = "500\n";
  Meter& meter = only();
  EXPECT_EQ(meter.info().name, "hwmon:power_meter:power1");
  EXPECT_EQ(meter.info().refresh, Seconds(0.5));
  EXPECT_EQ(meter.info().sampling, Seconds(0.5)) << "never faster than it is renewed";
}

TEST_F(HwmonMeter, IsReadAsOftenAsItIsRenewedAndSaysWhereItAssumes) {
  chip("hwmon0", "ina226", {{"power1_input", "1000000"}, {"update_interval", "35"}});
  EXPECT_EQ(only().info().sampling, Seconds(0.035));
  EXPECT_THAT(found.meters[0]->info().remarks, IsEmpty());
  files.nodes.erase(kClass + "hwmon0/update_interval");
  EXPECT_EQ(only().info().refresh, Seconds(0.1));
  EXPECT_THAT(found.meters[0]->info().remarks, ElementsAre(HasSubstr("100 ms is assumed")));
}

TEST_F(HwmonMeter, ReadsNoMoreThanATenthOfTheTime) {
  /// A bus on which each read takes 20 ms.
  class Slow : public FakeFiles {
   public:
    explicit Slow(FakeClock& clock) : clock_(clock) {}
    Result<std::string> read(const std::string& path) const override {
      if (path.ends_with("power1_input")) clock_.advance(Seconds(0.02));
      return FakeFiles::read(path);
    }

   private:
    FakeClock& clock_;
  };
  Slow slow(clock);
  slow.nodes = {{kClass + "hwmon0/name", "x\n"}, {kClass + "hwmon0/power1_input", "1000000\n"}, {kClass + "hwmon0/update_interval", "2\n"}};
  Host machine{slow, clock};
  found = meter_driver::hwmon.discover(machine, {});
  ASSERT_EQ(found.meters.size(), 1u);
  EXPECT_NEAR(found.meters[0]->info().read_cost.count(), 0.02, 1e-9);
  EXPECT_NEAR(found.meters[0]->info().sampling.count(), 0.2, 1e-9);
}

TEST_F(HwmonMeter, AsksABusyBusAgain) {
  chip("hwmon0", "x", {{"power1_input", "1000000"}});
  Meter& meter = only();
  files.refuse_read[kClass + "hwmon0/power1_input"] = EAGAIN;
  EXPECT_EQ(meter.read().error().code, Errc::kBusy);
}

TEST_F(HwmonMeter, PowerTheOtherWayOrBeyondBeliefIsCorrupt) {
  chip("hwmon0", "x", {{"power1_input", "-20000"}});
  Meter& meter = only();
  const auto set = [&](const char* text) { files.nodes[kClass + "hwmon0/power1_input"] = text; };
  clock.advance(Seconds(1));
  EXPECT_DOUBLE_EQ(meter.read()->energy.si(), 0.0) << "the last digit of an idle rail";
  set("-3200000\n");
  EXPECT_EQ(meter.read().error().code, Errc::kCorrupt);
  EXPECT_THAT(meter.read().error().what, HasSubstr("the other way"));
  set("18000000000\n");
  EXPECT_EQ(meter.read().error().code, Errc::kCorrupt);
  set("1000000\n");
  EXPECT_TRUE(meter.read());
}

TEST_F(HwmonMeter, OneChannelThatCannotBeReadIsAbsentUnderItsName) {
  chip("hwmon0", "x", {{"power1_input", "1000000"}, {"power2_input", "1000000"}});
  files.refuse_read[kClass + "hwmon0/power2_input"] = EACCES;
  EXPECT_THAT(names(), ElementsAre("hwmon:x:power1"));
  ASSERT_EQ(found.absent.size(), 1u);
  EXPECT_EQ(found.absent[0].name, "hwmon:x:power2");
  EXPECT_EQ(found.absent[0].why.code, Errc::kPermission);
}

TEST_F(HwmonMeter, FollowsACounterAcrossThe32ndBit) {
  chip("hwmon0", "x", {{"energy1_input", "4290000000"}});
  Meter& meter = only();
  EXPECT_LE(meter.info().read_within, Seconds(0.5)) << "often enough not to miss a wrap";
  for (const long long uj : {4291000000LL, 4292000000LL, 4293000000LL, 4294000000LL, 32704LL}) {
    clock.advance(Seconds(1));
    files.nodes[kClass + "hwmon0/energy1_input"] = std::to_string(uj) + "\n";
    ASSERT_TRUE(meter.read()) << uj;
  }
  EXPECT_NEAR(meter.read()->energy.si(), 5.0, 1e-6);
}

}  // namespace
}  // namespace polythrottle
