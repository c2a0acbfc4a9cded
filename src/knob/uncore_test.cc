#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake.h"
#include "knob/lease.h"

namespace polythrottle {
namespace knob_driver {
extern const KnobDriver uncore;
}
namespace {

using ::testing::HasSubstr;

std::string folder(int package) {
  return "/sys/devices/system/cpu/intel_uncore_frequency/package_0" + std::to_string(package) + "_die_00/";
}

class Uncore : public ::testing::Test {
 protected:
  Uncore() {
    files.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
    add(0, "800000", "2400000");
    add(1, "800000", "2400000");
  }
  void add(int package, const std::string& low, const std::string& high) {
    for (const char* file : {"initial_min_freq_khz", "min_freq_khz"}) files.nodes[folder(package) + file] = low + "\n";
    for (const char* file : {"initial_max_freq_khz", "max_freq_khz"}) files.nodes[folder(package) + file] = high + "\n";
    for (const char* file : {"min_freq_khz", "max_freq_khz"}) {  // a register of 100 MHz steps
      files.keep[folder(package) + file] = [](const std::string& text) { return std::to_string(std::stoll(text) / 100'000 * 100'000); };
    }
  }
  Knob& probe() {
    found = knob_driver::uncore.discover(host);
    EXPECT_EQ(found.knobs.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return *found.knobs.at(0);
  }
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  KnobDiscovery found;
};

TEST_F(Uncore, MovesAllDiesInWholeSteps) {
  EXPECT_TRUE(knob_driver::uncore.by_request);
  Knob& knob = probe();
  const auto& levels = knob.parameter().levels;
  EXPECT_EQ(levels.size(), 16u);
  EXPECT_EQ(levels.front(), Value(8e8));
  EXPECT_EQ(levels.back(), Value(2.4e9));
  for (const auto& level : levels) EXPECT_EQ(*knob.write(level), level);
  ASSERT_TRUE(knob.write(levels.front()));
  EXPECT_EQ(files.nodes[folder(0) + "max_freq_khz"], "800000\n");
  EXPECT_EQ(files.nodes[folder(1) + "max_freq_khz"], "800000\n");
}

TEST_F(Uncore, TheFloorGivesWayAndBothComeBack) {
  files.nodes[folder(1) + "min_freq_khz"] = "2000000\n";
  files.nodes[folder(1) + "max_freq_khz"] = "2200000\n";
  Knob& knob = probe();
  const ScratchFolder scratch;
  auto lease = *Lease::take(host, {&knob}, {.record_path = (scratch.path() / "lease.json").string()});
  ASSERT_TRUE(lease->apply({{"uncore_hz", 8e8}}));
  EXPECT_EQ(files.nodes[folder(1) + "min_freq_khz"], "800000\n");
  ASSERT_TRUE(lease->apply({{"uncore_hz", 2.4e9}}));
  EXPECT_EQ(files.nodes[folder(1) + "min_freq_khz"], "2000000\n");
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_EQ(files.nodes[folder(0) + "max_freq_khz"], "2400000\n");
  EXPECT_EQ(files.nodes[folder(1) + "min_freq_khz"], "2000000\n");
  EXPECT_EQ(files.nodes[folder(1) + "max_freq_khz"], "2200000\n");
}

TEST_F(Uncore, DiesWithOtherRangesGetWhatTheyCan) {
  add(1, "1000000", "2000000");
  Knob& knob = probe();
  EXPECT_EQ(knob.parameter().levels.front(), Value(1e9));
  EXPECT_EQ(*knob.write(Value(2.4e9)), Value(2.4e9));
  EXPECT_EQ(files.nodes[folder(1) + "max_freq_khz"], "2000000\n");
}

TEST_F(Uncore, SaysTheHighestClockOfNow) {
  Knob& knob = probe();
  EXPECT_EQ(*knob.actual(), std::nullopt);  // older kernels have no such file
  files.nodes[folder(0) + "current_freq_khz"] = "1400000\n";
  files.nodes[folder(1) + "current_freq_khz"] = "1900000\n";
  EXPECT_EQ(*knob.actual(), Value(1.9e9));
}

TEST_F(Uncore, TellsAbsentForbiddenAndBroken) {
  files.refuse_write[folder(1) + "max_freq_khz"] = EACCES;
  const auto forbidden = knob_driver::uncore.discover(host).absent.at(0).why;
  EXPECT_EQ(forbidden.code, Errc::kPermission);
  EXPECT_THAT(forbidden.hint, HasSubstr("root"));
  files.refuse_write.clear();
  files.nodes[folder(0) + "initial_max_freq_khz"] = "0\n";
  EXPECT_EQ(knob_driver::uncore.discover(host).absent.at(0).why.code, Errc::kCorrupt);
  FakeFiles nothing;
  Host empty{nothing, clock};
  EXPECT_EQ(knob_driver::uncore.discover(empty).absent.at(0).why.code, Errc::kNotFound);
}

}  // namespace
}  // namespace polythrottle
