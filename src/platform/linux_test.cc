#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/fake.h"
#include "platform/jetson.h"
#include "platform/platform.h"

namespace polythrottle {
namespace {

std::vector<std::string> names(const Machine& machine) {
  std::vector<std::string> names;
  for (const auto& knob : machine.knobs) names.push_back(knob->parameter().name);
  return names;
}
std::vector<std::string> names_by_request(const Machine& machine) {
  std::vector<std::string> names;
  for (const auto& knob : machine.knobs_by_request) names.push_back(knob->parameter().name);
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
  EXPECT_EQ(machine.gauges.size(), 3u);
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

TEST(Discover, FindsWhatAJetsonTx2Has) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-tx2-jp46");
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const Machine machine = discover(host, {});
  EXPECT_EQ(machine.description, "quill, 6 logical CPUs, Linux 4.9.253-tegra");
  EXPECT_THAT(names(machine), ::testing::ElementsAre("cpu_hz", "mem_hz", "gpu_min_hz", "gpu_max_hz"));
  // CPUs behind their clocks, so that a restore, which goes backwards, brings them first.
  EXPECT_THAT(names_by_request(machine), ::testing::ElementsAre("cpu0_hz", "cpu1_hz", "cpu_cores"));
  EXPECT_EQ(machine.knobs[0]->parameter().levels.size(), 12u);
  EXPECT_EQ(machine.knobs[1]->parameter().levels.size(), 11u);
  EXPECT_EQ(machine.knobs[2]->parameter().levels.size(), 13u);
  EXPECT_EQ(machine.meters.front()->info().name, "ina3221");
  EXPECT_EQ(machine.gauges.size(), 5u);
  EXPECT_DOUBLE_EQ(*machine.gauges.front()->read(), 38.5);  // not the 100 degrees of its power chip
  const auto facts = machine_facts(host);
  EXPECT_EQ(facts.at("board"), "quill");
  EXPECT_EQ(facts.at("l4t"), "R32.7.1");
  EXPECT_EQ(facts.at("power_mode"), "0 MAXN");
}

TEST(Discover, FindsWhatAJetsonOrinHas) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-agx-orin-jp5");
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const Machine machine = discover(host, {});
  EXPECT_EQ(machine.description, "Jetson AGX Orin Developer Kit, 12 logical CPUs, Linux 5.10.120-tegra");
  EXPECT_THAT(names(machine), ::testing::ElementsAre("cpu_hz", "mem_hz", "gpu_min_hz", "gpu_max_hz"));
  EXPECT_EQ(machine.meters.front()->info().name, "ina3221");
  const auto facts = machine_facts(host);
  EXPECT_EQ(facts.at("l4t"), "R35.4.1");
  EXPECT_EQ(facts.at("power_mode"), "0 MAXN");
  EXPECT_EQ(facts.at("cpu_driver"), "tegra194");

  // The whole space of the board: 29 CPU clocks, 4 memory clocks, 91 pairs of GPU limits.
  std::vector<Parameter> parameters;
  for (const auto& knob : machine.knobs) parameters.push_back(knob->parameter());
  ASSERT_TRUE(machine.coupling);
  EXPECT_EQ(Space::product(parameters, machine.coupling)->size(), 29u * 4u * 91u);
}

TEST(Discover, ThePowerModeEndsTheSpaceOfAJetson) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-orin-nano-jp62");
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const Machine machine = discover(host, {});
  ASSERT_THAT(names(machine), ::testing::ElementsAre("cpu_hz", "mem_hz", "gpu_min_hz", "gpu_max_hz"));
  // 25W: 17 CPU clocks up to its cap, 4 memory clocks, 7 GPU clocks of the table's 8.
  std::vector<Parameter> parameters;
  Config highest;
  for (const auto& knob : machine.knobs) {
    parameters.push_back(knob->parameter());
    highest.set(knob->parameter().name, knob->parameter().levels.back());
    if (knob->parameter().name != "gpu_min_hz") {
      EXPECT_EQ(*knob->read(), knob->parameter().levels.back()) << knob->parameter().name;
    }
  }
  const auto space = Space::product(parameters, machine.coupling);
  ASSERT_TRUE(space);
  EXPECT_EQ(space->size(), 17u * 4u * 28u);
  // The usual reference of a board, everything at its highest and the GPU's floor at its lowest, is one of it.
  highest.set("gpu_min_hz", parameters[2].levels.front());
  EXPECT_TRUE(space->find(highest));
}

TEST(Discover, EveryGenerationOfJetsonHasItsGpuAndAMeter) {
  for (const char* name : {"nano-jp46", "tx2-jp46", "xavier-nx-jp46", "agx-xavier-jp5", "agx-orin-jp5", "agx-orin-jp6", "orin-nx-jp62",
                           "orin-nano-jp62", "agx-thor-jp7"}) {
    const ScratchFolder scratch(std::string(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-") + name);
    const auto files = real_files(scratch.path().string());
    FakeClock clock;
    Host host{*files, clock};
    const Machine machine = discover(host, {});
    EXPECT_THAT(names(machine), ::testing::IsSupersetOf({"cpu_hz", "gpu_min_hz", "gpu_max_hz"})) << name;
    EXPECT_EQ(lacks(machine, "mem_hz", Errc::kUnsupported), std::string(name) == "nano-jp46") << name;
    ASSERT_FALSE(machine.meters.empty()) << name;
    EXPECT_EQ(machine.meters.front()->info().name, "ina3221") << name;
    EXPECT_TRUE(machine_facts(host).contains("l4t")) << name;
  }
}

TEST(Discover, FindsWhatAServerHasAndAsksBeforeItMovesIt) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/x86-server-intel_pstate");
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const Machine machine = discover(host, {});
  EXPECT_THAT(names(machine), ::testing::ElementsAre("cpu_hz"));
  EXPECT_THAT(names_by_request(machine), ::testing::ElementsAre("cpu_epp", "cpu_power_limit_watts", "cpu_turbo", "uncore_hz"));
  EXPECT_TRUE(lacks(machine, "cpuN_hz", Errc::kUnsupported));
  ASSERT_TRUE(machine.coupling);
  EXPECT_FALSE(machine.coupling({{"cpu_turbo", 0.0}, {"cpu_hz", 3.9e9}}));
  EXPECT_TRUE(machine.coupling({{"cpu_turbo", 1.0}, {"cpu_hz", 3.9e9}}));
  EXPECT_TRUE(machine.coupling({{"cpu_hz", 3.9e9}}));
}

TEST(Discover, AMachineWithoutGroupsAllowsEverything) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/arm64-cpufreq-table");
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  EXPECT_FALSE(discover(host, {}).coupling);
}

TEST(JetsonFacts, ReadsTheModeAsADecimalAndLeavesOutWhatIsNotThere) {
  FakeFiles files;
  EXPECT_TRUE(jetson_facts(files).empty());
  files.nodes["/var/lib/nvpmodel/status"] = "pmode:0010 fmode:cool\n";
  EXPECT_EQ(jetson_facts(files).at("power_mode"), "10");
  files.nodes["/etc/nvpmodel.conf"] = "# < POWER_MODEL >\n< POWER_MODEL ID=1 NAME=A >\n< POWER_MODEL ID=10 NAME=B >\nGPU MAX_FREQ -1\n";
  EXPECT_EQ(jetson_facts(files).at("power_mode"), "10 B");
  for (const char* text : {"", "pmode:", "x", "pmode:abc"}) {
    files.nodes["/var/lib/nvpmodel/status"] = text;
    EXPECT_FALSE(jetson_facts(files).contains("power_mode")) << text;
  }
  for (const char* text : {"", "# R", "REVISION: 4.1", "#REVISION: R"}) {
    files.nodes["/etc/nv_tegra_release"] = text;
    EXPECT_FALSE(jetson_facts(files).contains("l4t")) << text;
  }
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
