#include "platform/nvidia.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/nvml_stub.h"
#include "platform/platform.h"

namespace polythrottle {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(Nvidia, FactsAreOfTheGpuThatIsTuned) {
  StubMachine machine({.library = kNvmlStub, .gpu = "1"});
  const auto facts = nvidia_facts(*machine.files);
  EXPECT_EQ(facts.at("gpu"), "Stub GPU H");
  EXPECT_EQ(facts.at("gpu_uuid"), kStubH.substr(6));
  EXPECT_EQ(facts.at("gpu_driver"), "0.0-stub");
  Host host = machine.host();
  EXPECT_EQ(discover(host, {}).gpu, "GPU 1 (Stub GPU H)");
}

TEST(Nvidia, SaysThatALockSetBeforeCannotBeRead) {
  const StubWords words("persistence");
  StubMachine machine({.library = kNvmlStub, .gpu = "0"});
  const auto notes = nvidia_notes(*machine.files);
  ASSERT_THAT(notes, SizeIs(1));
  EXPECT_THAT(notes[0], HasSubstr("no driver tells whether the clocks"));
  EXPECT_THAT(notes[0], HasSubstr("--found-gpu-lock"));

  StubMachine told({.library = kNvmlStub, .gpu = "0", .found_graphics_lock = "210 900"});
  EXPECT_THAT(nvidia_notes(*told.files), IsEmpty());
}

TEST(Nvidia, WarnsOfSignsThatSomebodyLockedTheClocks) {
  const StubWords words("persistence,reasons=2");
  StubMachine machine({.library = kNvmlStub, .gpu = "0"});
  const auto notes = nvidia_notes(*machine.files);
  ASSERT_THAT(notes, SizeIs(1));
  EXPECT_THAT(notes[0], HasSubstr("somebody set"));
}

TEST(Nvidia, SaysWhatElseHoldsOrForgetsTheSettings) {
  const StubWords words("mig");
  StubMachine machine;
  const auto first = nvidia_notes(*machine.files);
  EXPECT_THAT(first, Contains(HasSubstr("GPU 0 (Stub GPU A) of 2 is tuned")));
  EXPECT_THAT(first, Contains(HasSubstr("persistence mode of GPU 0 (Stub GPU A) is off")));
  EXPECT_THAT(first, Not(Contains(HasSubstr("MIG")))) << "this GPU has none";
  StubMachine second({.library = kNvmlStub, .gpu = "1"});
  EXPECT_THAT(nvidia_notes(*second.files), Contains(HasSubstr("MIG is on")));

  FakeFiles files;
  files.nodes = {{"/nvml/GPU-x/index", "0\n"},
                 {"/nvml/GPU-x/name", "X\n"},
                 {"/nvml/GPU-x/power_limit_mw", "300000\n"},
                 {"/nvml/GPU-x/power_limit_enforced_mw", "250000\n"}};
  EXPECT_THAT(nvidia_notes(files), ElementsAre(HasSubstr("to 250 W, below its limit of 300 W")));
}

TEST(Nvidia, WithoutAGpuOrOnAJetsonThereIsNothingToSay) {
  StubMachine none({.library = "libpolythrottle-no-such-library.so.1"});
  EXPECT_THAT(nvidia_facts(*none.files), IsEmpty());
  EXPECT_THAT(nvidia_notes(*none.files), IsEmpty());
  StubMachine jetson;
  jetson.base.nodes["/proc/device-tree/compatible"] = "nvidia,tegra234\n";
  EXPECT_THAT(nvidia_facts(*jetson.files), IsEmpty());
  EXPECT_THAT(nvidia_notes(*jetson.files), IsEmpty());
}

TEST(Nvidia, ANameThatOneDriverHasIsNotReportedAbsentByAnother) {
  StubMachine machine;
  Host host = machine.host();
  const Machine found = discover(host, {});
  std::vector<std::string> knobs;
  for (const auto& knob : found.knobs) knobs.push_back(knob->parameter().name);
  EXPECT_THAT(knobs, ElementsAre("mem_hz", "gpu_max_hz", "power_limit_watts"));
  for (const auto& absence : found.absent_knobs) EXPECT_THAT(knobs, Not(Contains(absence.name))) << absence.why.text();
  for (const auto& knob : found.knobs) EXPECT_TRUE(of_nvidia_gpu(*knob));
}

}  // namespace
}  // namespace polythrottle
