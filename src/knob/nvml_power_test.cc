#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/nvml_stub.h"
#include "knob/lease.h"

namespace polythrottle {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

KnobDiscovery discover(Host& host) {
  for (const auto* driver : knob_drivers()) {
    if (driver->name == "nvml_power") return driver->discover(host);
  }
  return {};
}

/// A GPU in files alone.
struct PowerMachine {
  PowerMachine(long long lowest, long long highest, long long usual, long long found) {
    const std::string gpu = "/nvml/GPU-x/";
    files.nodes[gpu + "index"] = "0\n";
    files.nodes[gpu + "name"] = "GPU X\n";
    files.nodes[gpu + "power_limit_min_mw"] = std::to_string(lowest) + "\n";
    files.nodes[gpu + "power_limit_max_mw"] = std::to_string(highest) + "\n";
    if (usual != 0) files.nodes[gpu + "power_limit_default_mw"] = std::to_string(usual) + "\n";
    files.nodes[gpu + "power_limit_mw"] = std::to_string(found) + "\n";
    found_all = discover(host);
    if (!found_all.knobs.empty()) knob = found_all.knobs.front().get();
  }
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  KnobDiscovery found_all;
  Knob* knob = nullptr;
};

TEST(NvmlPower, LevelsHoldTheEndsTheDefaultAndWhatWasFound) {
  PowerMachine machine(100'000, 350'000, 320'000, 287'500);
  ASSERT_NE(machine.knob, nullptr);
  const auto& parameter = machine.knob->parameter();
  EXPECT_EQ(parameter.name, "power_limit_watts");
  EXPECT_EQ(parameter.unit, "W");
  EXPECT_EQ(parameter.role, Role::kPowerCap);
  EXPECT_EQ(parameter.levels.size(), 16u);
  EXPECT_EQ(parameter.levels.front(), Value(100.0));
  EXPECT_EQ(parameter.levels.back(), Value(350.0));
  EXPECT_THAT(parameter.levels, Contains(Value(320.0)));
  EXPECT_THAT(parameter.levels, Contains(Value(287.5)));
  EXPECT_EQ(*machine.knob->read(), Value(287.5));
}

TEST(NvmlPower, LevelsAreAtMostSixteenInsideTheRangeWholeWattsAndApart) {
  for (long long lowest : {1'000LL, 5'000LL, 100'000LL, 100'500LL}) {
    for (long long width = 500; width < 900'000; width = width * 3 / 2 + 777) {
      const long long highest = lowest + width;
      for (const long long found : {lowest, lowest + width / 3, highest, highest + 5'000}) {
        PowerMachine machine(lowest, highest, lowest + width / 2, found);
        ASSERT_NE(machine.knob, nullptr);
        const auto& levels = machine.knob->parameter().levels;
        ASSERT_LE(levels.size(), 16u);
        ASSERT_GE(levels.size(), 2u);
        EXPECT_EQ(std::get<double>(levels.front()), static_cast<double>(lowest) * 1e-3);
        EXPECT_EQ(std::get<double>(levels.back()), static_cast<double>(highest) * 1e-3);
        for (std::size_t i = 1; i < levels.size(); ++i) EXPECT_LT(levels[i - 1], levels[i]);
        if (width > 30'000) {
          EXPECT_GE(levels.size(), 14u) << lowest << " " << highest;
        }
      }
    }
  }
}

TEST(NvmlPower, EveryLevelIsWrittenAsWholeMilliwatts) {
  PowerMachine machine(100'000, 350'000, 0, 287'500);
  for (const auto& level : machine.knob->parameter().levels) {
    EXPECT_EQ(*machine.knob->write(level), level);
    EXPECT_EQ(std::stoll(machine.files.nodes["/nvml/GPU-x/power_limit_mw"]), std::llround(std::get<double>(level) * 1e3));
  }
  EXPECT_EQ(machine.knob->write(Value(99.0)).error().code, Errc::kOutOfRange);
}

TEST(NvmlPower, WhatCannotBeMovedIsAbsentWithTheReason) {
  PowerMachine fixed(115'000, 115'000, 115'000, 115'000);
  ASSERT_EQ(fixed.found_all.absent.size(), 1u);
  EXPECT_EQ(fixed.found_all.absent[0].why.code, Errc::kUnsupported);
  EXPECT_THAT(fixed.found_all.absent[0].why.what, HasSubstr("115 W only"));
  PowerMachine broken(200'000, 100'000, 0, 150'000);
  EXPECT_EQ(broken.found_all.absent.at(0).why.code, Errc::kCorrupt);
  const StubWords words("nvmlDeviceGetPowerManagementLimitConstraints=3");
  StubMachine laptop;
  Host host = laptop.host();
  EXPECT_EQ(discover(host).absent.at(0).why.code, Errc::kUnsupported);
}

TEST(NvmlPower, TheLimitFoundIsGivenBackNotTheDefault) {
  const StubWords words("load");
  StubMachine machine;
  ASSERT_TRUE(machine.files->write(kStubA + "/power_limit_mw", "123400"));
  Host host = machine.host();
  const auto found = discover(host);
  ASSERT_EQ(found.knobs.size(), 1u);
  const ScratchFolder scratch;
  const auto lease = *Lease::take(host, {found.knobs[0].get()}, {.record_path = (scratch.path() / "lease.json").string()});
  ASSERT_TRUE(lease->apply({{"power_limit_watts", 100.0}}));
  EXPECT_EQ(*read_integer(*machine.files, kStubA + "/power_limit_mw"), 100'000);
  for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
  EXPECT_EQ(*read_integer(*machine.files, kStubA + "/power_limit_mw"), 123'400);
}

TEST(NvmlPower, ARefusalOfTheDriverIsSaidAndARestoreIsTriedAgain) {
  StubWords words("load");
  StubMachine machine;
  Host host = machine.host();
  const auto found = discover(host);
  const ScratchFolder scratch;
  const auto lease = *Lease::take(host, {found.knobs.at(0).get()}, {.record_path = (scratch.path() / "lease.json").string()});
  ASSERT_TRUE(lease->apply({{"power_limit_watts", 100.0}}));
  words.say("nvmlDeviceSetPowerManagementLimit=4");
  EXPECT_EQ(lease->apply({{"power_limit_watts", 160.0}}).error().code, Errc::kPermission);
  EXPECT_EQ(lease->restore().at(0).status.error().code, Errc::kPermission);
  words.say("load");
  EXPECT_TRUE(lease->restore().at(0).status);
  EXPECT_EQ(*read_integer(*machine.files, kStubA + "/power_limit_mw"), 140'000);
}

}  // namespace
}  // namespace polythrottle
