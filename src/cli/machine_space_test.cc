#include "cli/machine_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Wanted = std::map<std::string, std::vector<std::string>>;

/// A machine of the fixtures and the space that --knob makes of it.
class MachineSpaceOf {
 public:
  explicit MachineSpaceOf(const char* fixture)
      : scratch_(std::filesystem::path(POLYTHROTTLE_SOURCE_DIR) / "tests/fixtures" / fixture),
        files_(real_files(scratch_.path().string())),
        host_{*files_, clock_} {}

  Result<MachineSpace> with(const Wanted& wanted, Runs runs = Runs::kOnCpu) {
    machine_ = discover(host_, {});
    return make_machine_space({}, machine_, wanted, TuneOptions{}, {}, runs);
  }

 private:
  ScratchFolder scratch_;
  std::unique_ptr<Files> files_;
  FakeClock clock_;
  Host host_;
  Machine machine_;
};

std::vector<std::string> names(const MachineSpace& parts) {
  std::vector<std::string> names;
  for (const auto& knob : parts.knobs) names.push_back(knob->parameter().name);
  return names;
}

TEST(MachineSpace, KnobsByRequestStayOutUnlessAskedFor) {
  MachineSpaceOf board("arm64-cpufreq-table");
  const auto parts = board.with({});
  ASSERT_TRUE(parts) << parts.error().text();
  EXPECT_THAT(names(*parts), ElementsAre("cpu_hz"));
  EXPECT_TRUE(parts->notes.empty());
}

TEST(MachineSpace, ASplitClockTakesThePlaceOfTheGangedOne) {
  MachineSpaceOf board("arm64-cpufreq-table");
  const auto parts = board.with({{"cpu4_hz", {"600000000", "1800000000"}}});
  ASSERT_TRUE(parts) << parts.error().text();
  EXPECT_THAT(names(*parts), ElementsAre("cpu4_hz"));
  EXPECT_EQ(parts->space.size(), 2u);
  ASSERT_EQ(parts->notes.size(), 1u);
  EXPECT_THAT(parts->notes.front(), HasSubstr("cpu_hz is left out, since cpu4_hz was asked for"));
  const auto off = board.with({{"cpu4_hz", {"600000000", "1800000000"}}, {"cpu_hz", {}}});
  ASSERT_TRUE(off) << off.error().text();
  EXPECT_TRUE(off->notes.empty()) << "they said so themselves";
}

TEST(MachineSpace, SplitAndGangedClocksAtOnceAreRefused) {
  MachineSpaceOf board("arm64-cpufreq-table");
  const auto parts = board.with({{"cpu4_hz", {"1800000000"}}, {"cpu_hz", {"1800000000"}}});
  ASSERT_FALSE(parts);
  EXPECT_EQ(parts.error().code, Errc::kInvalid);
  EXPECT_THAT(parts.error().text(), HasSubstr("cpu4_hz"));
}

TEST(MachineSpace, AClockThatIsNotThereLeavesNothingOut) {
  MachineSpaceOf board("arm64-cpufreq-table");
  const auto parts = board.with({{"cpu7_hz", {"1800000000"}}});
  ASSERT_FALSE(parts);
  EXPECT_THAT(parts.error().what, HasSubstr("no knob 'cpu7_hz'"));
}

TEST(MachineSpace, ClocksOfCpusThatOnlyFeedAGpuAreHostClocks) {
  MachineSpaceOf board("jetson-tx2-jp46");
  const auto parts =
      board.with({{"cpu0_hz", {"345600000", "2035200000"}}, {"cpu1_hz", {"345600000", "2035200000"}}, {"mem_hz", {}}, {"gpu_min_hz", {}}},
                 Runs::kOnGpu);
  ASSERT_TRUE(parts) << parts.error().text();
  EXPECT_THAT(names(*parts), ElementsAre("gpu_max_hz", "cpu0_hz", "cpu1_hz"));
  EXPECT_EQ(parts->space.parameters()[0].role, Role::kComputeClock);
  EXPECT_EQ(parts->space.parameters()[1].role, Role::kHostClock);
  EXPECT_EQ(parts->space.parameters()[2].role, Role::kHostClock);
}

TEST(MachineSpace, AServerIsTunedWithItsSwitchesPreferencesAndCaps) {
  MachineSpaceOf server("x86-server-intel_pstate");
  const auto parts = server.with({{"cpu_turbo", {"0", "1"}},
                                  {"cpu_epp", {"power", "performance"}},
                                  {"uncore_hz", {"1200000000", "2400000000"}},
                                  {"cpu_power_limit_watts", {"38", "150"}}});
  ASSERT_TRUE(parts) << parts.error().text();
  EXPECT_THAT(names(*parts), ElementsAre("cpu_hz", "cpu_epp", "cpu_power_limit_watts", "cpu_turbo", "uncore_hz"));
  EXPECT_EQ(parts->reference.get("cpu_epp"), Value("performance"));
  EXPECT_EQ(parts->reference.number("cpu_turbo"), 1.0);
  // 16 clocks with turbo; without it those up to the base clock of 2.9 GHz.
  const auto& clocks = parts->space.parameters()[0].levels;
  const auto below = std::count_if(clocks.begin(), clocks.end(), [](const Value& hertz) { return std::get<double>(hertz) <= 2.9e9; });
  EXPECT_EQ(parts->space.size(), (clocks.size() + static_cast<std::size_t>(below)) * 2 * 2 * 2);
}

}  // namespace
}  // namespace polythrottle
