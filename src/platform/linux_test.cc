#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/fake.h"
#include "platform/platform.h"

namespace polythrottle {
namespace {

std::vector<std::string> names(const Machine& machine) {
  std::vector<std::string> names;
  for (const auto& knob : machine.knobs) names.push_back(knob->parameter().name);
  return names;
}
bool lacks(const Machine& machine, const std::string& knob, Errc code) {
  return std::any_of(machine.absent_knobs.begin(), machine.absent_knobs.end(),
                     [&](const auto& absence) { return absence.name == knob && absence.why.code == code; });
}

TEST(Discover, FindsWhatALaptopHas) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/x86-intel_pstate-rapl");  // writable, whoever runs this
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const Machine machine = discover(host, {});
  EXPECT_EQ(machine.description, "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz, 4 logical CPUs, Linux 6.1.0-56-amd64");
  EXPECT_THAT(names(machine), ::testing::Contains("cpu_hz"));
  EXPECT_TRUE(lacks(machine, "cpu_quota_ratio", Errc::kUnsupported));
  ASSERT_GE(machine.meters.size(), 2u);
  EXPECT_EQ(machine.meters.front()->info().name, "rapl");
  EXPECT_EQ(machine.meters.back()->info().name, "estimate");
  EXPECT_EQ(machine.gauges.size(), 2u);
  const auto facts = machine_facts(host);
  EXPECT_EQ(facts.at("hostname"), "laptop");
  EXPECT_EQ(facts.at("governor"), "powersave");
  EXPECT_EQ(facts.at("cpu_driver"), "intel_pstate");
}

TEST(Discover, FindsWhatABoardHasAndSaysWhatItLacks) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/arm64-cpufreq-table");  // writable, whoever runs this
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const Machine machine = discover(host, {});
  EXPECT_EQ(machine.description, "Example Board RK3399, 6 logical CPUs, Linux 6.1.0-56-arm64");
  EXPECT_THAT(names(machine), ::testing::Contains("cpu_hz"));
  EXPECT_TRUE(lacks(machine, "cpu_quota_ratio", Errc::kNotFound));
  EXPECT_EQ(machine.meters.back()->info().name, "estimate");
  EXPECT_TRUE(std::any_of(machine.absent_meters.begin(), machine.absent_meters.end(),
                          [](const auto& absence) { return absence.name == "rapl" && absence.why.code == Errc::kNotFound; }));
  EXPECT_EQ(machine_facts(host).at("governor"), "ondemand, schedutil");
}

TEST(Discover, AnEmptyMachineIsDescribedAllTheSame) {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  const Machine machine = discover(host, {});
  EXPECT_TRUE(machine.knobs.empty());
  EXPECT_TRUE(machine.meters.empty());
  EXPECT_EQ(machine.description, "unknown CPU, an unknown number of logical CPUs, Linux (unknown)");
  EXPECT_TRUE(machine_facts(host).empty());
}

TEST(Discover, WorksOnThisMachine) {
  const auto files = real_files();
  const auto clock = real_clock();
  Host host{*files, *clock};
  const Machine machine = discover(host, {});
  EXPECT_THAT(machine.description, ::testing::HasSubstr("Linux"));
  for (const auto& absence : machine.absent_knobs) EXPECT_FALSE(absence.why.what.empty()) << absence.name;
  EXPECT_FALSE(machine_facts(host).empty());
}

}  // namespace
}  // namespace polythrottle
