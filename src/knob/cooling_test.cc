#include "knob/cooling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Cooling : public ::testing::Test {
 protected:
  FakeFiles files;

  void add(int number, const std::string& type, int state) {
    const std::string folder = "/sys/class/thermal/cooling_device" + std::to_string(number);
    files.nodes[folder + "/type"] = type + "\n";
    files.nodes[folder + "/cur_state"] = std::to_string(state) + "\n";
  }
};

TEST_F(Cooling, NamesWhatHoldsClocksDownEachOnce) {
  add(0, "cpufreq-cpu0", 3);
  add(1, "thermal-cpufreq-1", 1);
  add(2, "devfreq-17000000.gpu", 1);
  add(3, "thermal-devfreq-0", 2);
  add(4, "gpu-throttle-alert", 1);
  add(5, "Processor", 1);
  add(6, "Processor", 2);
  EXPECT_THAT(cooling_now(files), ElementsAre("cpufreq-cpu0", "thermal-cpufreq-1", "devfreq-17000000.gpu", "thermal-devfreq-0",
                                              "gpu-throttle-alert", "Processor"));
}

TEST_F(Cooling, WhatRestsOrLowersNoClockDoesNotCount) {
  add(0, "cpufreq-cpu0", 0);
  add(1, "pwm-fan", 3);
  add(2, "Fan", 1);
  add(3, "LCD", 2);
  add(4, "intel_powerclamp", -1);
  add(5, "hot-surface-alert", 1);
  add(6, "TCC Offset", 7);
  EXPECT_THAT(cooling_now(files), IsEmpty());
}

TEST_F(Cooling, WhatCannotBeReadIsNotActive) {
  EXPECT_THAT(cooling_now(files), IsEmpty());  // no such folder
  add(0, "cpufreq-cpu0", 1);
  files.refuse_read["/sys/class/thermal/cooling_device0/cur_state"] = EIO;
  EXPECT_THAT(cooling_now(files), IsEmpty());
}

/// A setting of this unit.
class PlainKnob final : public Knob {
 public:
  explicit PlainKnob(std::string unit) : parameter_{"knob", std::move(unit), Role::kOther, {1.0}, ""} {}
  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override { return Value(1.0); }
  Result<Value> write(const Value& wanted) override { return wanted; }
  std::vector<std::string> paths() const override { return {}; }

 private:
  Parameter parameter_;
};

TEST_F(Cooling, AClockIsNotBorrowedFromAHotMachine) {
  PlainKnob clock("Hz"), quota("");
  EXPECT_TRUE(cool_enough(files, std::vector<Knob*>{&clock}));
  add(0, "cpufreq-cpu0", 1);
  EXPECT_TRUE(cool_enough(files, std::vector<Knob*>{&quota}));
  const auto hot = cool_enough(files, std::vector<Knob*>{&quota, &clock});
  ASSERT_FALSE(hot);
  EXPECT_EQ(hot.error().code, Errc::kBusy);
  EXPECT_THAT(hot.error().text(), HasSubstr("holds its clocks down (cpufreq-cpu0)"));
  EXPECT_THAT(hot.error().text(), HasSubstr("let it cool"));
}

}  // namespace
}  // namespace polythrottle
