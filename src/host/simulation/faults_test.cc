#include "host/simulation/faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "host/simulation/machine.h"

namespace polythrottle::simulation {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kGpu = "/sys/class/devfreq/17000000.ga10b/";
const std::string kMax = kGpu + "max_freq";
const std::string kLabel = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_label";
const std::string kCurrent = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr1_input";

std::unique_ptr<Machine> orin(const std::string& faults) {
  auto machine = Machine::make("jetson-orin", {.noise = false, .faults = faults});
  if (!machine) {
    ADD_FAILURE() << machine.error().text();
    return nullptr;
  }
  return std::move(*machine);
}

Error refusal(const std::string& faults) {
  const auto machine = Machine::make("jetson-orin", {.faults = faults});
  EXPECT_FALSE(machine) << faults;
  return machine ? Error{} : machine.error();
}

void sleep(Machine& machine, double seconds) {
  Clock& clock = machine.host().clock;
  clock.sleep_until(clock.now() + Seconds(seconds));
}

TEST(Faults, TextSaysKindNodeValueTimesAndCount) {
  const auto faults = parse_faults("refuse:/a/iio:device0/b=EBUSY@5..20.5*3, vanish:/c/\n rival:/d=-1@2");
  ASSERT_TRUE(faults) << faults.error().text();
  ASSERT_EQ(faults->size(), 3u);
  const Fault& first = faults->at(0);
  EXPECT_EQ(first.kind, FaultKind::kRefuse);
  EXPECT_EQ(first.path, "/a/iio:device0/b");
  EXPECT_EQ(first.error_number, EBUSY);
  EXPECT_EQ(first.from, Seconds(5));
  EXPECT_EQ(first.until, Seconds(20.5));
  EXPECT_EQ(first.left, 3);
  EXPECT_EQ(faults->at(1).path, "/c");
  EXPECT_FALSE(faults->at(1).left);
  EXPECT_EQ(faults->at(2).value, "-1");
  EXPECT_EQ(faults->at(2).from, Seconds(2));
  EXPECT_TRUE(parse_faults("")->empty());
  EXPECT_TRUE(parse_faults(" ,\n")->empty());
}

TEST(Faults, TextThatMeansNothingIsBadInput) {
  for (const char* text : {"break:/a", "refuse", "refuse:a", "refuse:/a=EWHAT", "lie:/a=1", "deaf:/a=1", "go-back:/a=0", "rival:/a",
                           "lie:/a@x", "lie:/a@5..2", "lie:/a*0", "lie:/a*", "stick:/a=", "lie:/a@nan", "lie:/a@-1"}) {
    const auto faults = parse_faults(text);
    ASSERT_FALSE(faults) << text;
    EXPECT_EQ(faults.error().code, Errc::kInvalid);
    EXPECT_THAT(faults.error().what, HasSubstr(text));
  }
}

TEST(Faults, APlanThatNamesNoNodeIsBadInput) {
  const Error error = refusal("lie:/sys/devices/gpu.1/max_freq");
  EXPECT_EQ(error.code, Errc::kInvalid);
  EXPECT_THAT(error.what, HasSubstr("names no node of jetson-orin"));
  EXPECT_THAT(error.hint, HasSubstr("/sys/devices/platform/17000000.ga10b/devfreq/17000000.ga10b/max_freq"));
  EXPECT_EQ(refusal("vanish:/sys/nowhere").code, Errc::kInvalid);
  EXPECT_THAT(refusal("refuse:" + kGpu + "cur_freq").what, HasSubstr("nobody can write"));
}

TEST(Faults, RefuseFailsWritesWithItsErrorAndLeavesTheNode) {
  const auto machine = orin("refuse:" + kMax + ", refuse:" + kGpu + "min_freq=EBUSY*1");
  Files& files = machine->host().files;
  EXPECT_EQ(files.write(kMax, "714000000").error().code, Errc::kPermission);
  EXPECT_EQ(*files.read(kMax), "1300500000\n");
  EXPECT_EQ(files.write(kGpu + "min_freq", "216750000").error().code, Errc::kBusy);
  EXPECT_TRUE(files.write(kGpu + "min_freq", "216750000"));  // only the first
}

TEST(Faults, ADeafNodeReadsBackWhatWasWrittenAndTheClockDoesNotFollow) {
  const auto machine = orin("deaf:" + kMax + "@0..10");
  Files& files = machine->host().files;
  ASSERT_TRUE(files.write(kGpu + "governor", "performance"));
  ASSERT_TRUE(files.write(kMax, "318750000"));
  sleep(*machine, 1.0);
  EXPECT_EQ(*files.read(kMax), "318750000\n");
  EXPECT_EQ(*files.read(kGpu + "cur_freq"), "1300500000\n");
  EXPECT_EQ(machine->clocks().gpu, Hertz(1300.5e6));
  sleep(*machine, 10.0);  // it hears again, but only what is said now
  EXPECT_EQ(*files.read(kGpu + "cur_freq"), "1300500000\n");
  ASSERT_TRUE(files.write(kMax, "420750000"));
  sleep(*machine, 1.0);
  EXPECT_EQ(*files.read(kMax), "420750000\n");
  EXPECT_EQ(*files.read(kGpu + "cur_freq"), "420750000\n");
  EXPECT_THAT(refusal("deaf:" + kGpu + "cur_freq").text(), HasSubstr("nobody can write that node"));
}

TEST(Faults, LieAcceptsAndIgnores) {
  const auto machine = orin("lie:" + kMax);
  Files& files = machine->host().files;
  EXPECT_TRUE(files.write(kMax, "624750000"));
  EXPECT_EQ(*files.read(kMax), "1300500000\n");
  sleep(*machine, 1);
  EXPECT_EQ(machine->setting().gpu_max, Hertz(1300.5e6));
}

TEST(Faults, StickShowsWhatItShowedFirst) {
  const auto machine = orin("stick:" + kMax + "@1..9");
  Files& files = machine->host().files;
  ASSERT_TRUE(files.write(kMax, "930750000"));
  EXPECT_EQ(*files.read(kMax), "930750000\n");
  sleep(*machine, 2);
  EXPECT_EQ(*files.read(kMax), "930750000\n");
  ASSERT_TRUE(files.write(kMax, "624750000"));
  EXPECT_EQ(*files.read(kMax), "930750000\n");
  sleep(*machine, 8);
  EXPECT_EQ(*files.read(kMax), "624750000\n");
}

TEST(Faults, GoBackUndoesAWriteLater) {
  const auto machine = orin("go-back:" + kMax + "=0.5");
  Files& files = machine->host().files;
  ASSERT_TRUE(files.write(kMax, "624750000"));
  sleep(*machine, 0.4);
  EXPECT_EQ(*files.read(kMax), "624750000\n");
  EXPECT_EQ(machine->setting().gpu_max, Hertz(624.75e6));
  sleep(*machine, 0.2);
  EXPECT_EQ(*files.read(kMax), "1300500000\n");
  EXPECT_EQ(machine->setting().gpu_max, Hertz(1300.5e6));
}

TEST(Faults, EagainFailsReadsAsOftenAsTold) {
  const auto machine = orin("eagain:" + kCurrent + "*2");
  Files& files = machine->host().files;
  EXPECT_EQ(files.read(kCurrent).error().code, Errc::kBusy);
  EXPECT_EQ(files.read(kCurrent).error().code, Errc::kBusy);
  EXPECT_TRUE(files.read(kCurrent));
}

TEST(Faults, VanishTakesANodeOrAWholeFolder) {
  const auto machine = orin("vanish:/sys/bus/i2c/drivers/ina3221/1-0040@3, vanish:" + kMax + "@0..2");
  Files& files = machine->host().files;
  EXPECT_EQ(files.read(kMax).error().code, Errc::kNotFound);
  EXPECT_EQ(files.write(kMax, "1").error().code, Errc::kNotFound);
  EXPECT_EQ(files.writable(kMax).error().code, Errc::kNotFound);
  EXPECT_THAT(*files.list("/sys/class/devfreq/17000000.ga10b"), Not(Contains("max_freq")));
  EXPECT_TRUE(files.read(kLabel));
  sleep(*machine, 4);
  EXPECT_TRUE(files.read(kMax));
  EXPECT_EQ(files.read(kLabel).error().code, Errc::kNotFound);
  EXPECT_EQ(files.list("/sys/bus/i2c/drivers/ina3221/1-0040/hwmon").error().code, Errc::kNotFound);
  EXPECT_THAT(*files.list("/sys/bus/i2c/drivers/ina3221"), testing::ElementsAre("1-0041"));
}

TEST(Faults, ARivalWritesAtItsTime) {
  const auto machine = orin("rival:" + kMax + "=420750000@2");
  Files& files = machine->host().files;
  sleep(*machine, 1.9);
  EXPECT_EQ(*files.read(kMax), "1300500000\n");
  sleep(*machine, 0.2);
  EXPECT_EQ(*files.read(kMax), "420750000\n");
  EXPECT_EQ(machine->setting().gpu_max, Hertz(420.75e6));
  ASSERT_TRUE(files.write(kMax, "1300500000"));
  sleep(*machine, 60);
  EXPECT_EQ(*files.read(kMax), "1300500000\n");  // it came once
}

TEST(Faults, ARivalWithAnEndComesAgainEverySecond) {
  const auto machine = orin("rival:" + kMax + "=420750000@2..4.5");
  Files& files = machine->host().files;
  for (int i = 0; i < 3; ++i) {
    sleep(*machine, i == 0 ? 2.1 : 1.0);
    EXPECT_EQ(*files.read(kMax), "420750000\n") << i;
    ASSERT_TRUE(files.write(kMax, "1300500000"));
  }
  sleep(*machine, 10);
  EXPECT_EQ(*files.read(kMax), "1300500000\n");
}

TEST(Faults, ARivalMovesACounterToo) {
  const std::string counter = "/sys/class/hwmon/hwmon2/oc3_event_cnt";
  const auto machine = orin("rival:" + counter + "=7@1");
  Files& files = machine->host().files;
  EXPECT_EQ(*read_integer(files, counter), 0);
  sleep(*machine, 1.5);
  EXPECT_EQ(*read_integer(files, counter), 7);
}

}  // namespace
}  // namespace polythrottle::simulation
