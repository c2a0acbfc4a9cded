#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/fake.h"
#include "knob/lease.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kClock = "/sys/kernel/debug/bpmp/debug/clk/emc";
const std::string kRate = kClock + "/rate";
const std::string kLock = kClock + "/mrq_rate_locked";
const std::string kState = kClock + "/state";
const std::string kIsoCap = "/sys/kernel/nvpmodel_emc_cap/emc_iso_cap";
const std::string kClkCap = "/sys/kernel/nvpmodel_clk_cap/emc";
const std::string kRates = "/sys/kernel/debug/bpmp/debug/emc/possible_rates";

const KnobDriver& driver() {
  const auto all = knob_drivers();
  return **std::find_if(all.begin(), all.end(), [](const auto* one) { return one->name == "emc"; });
}

/// An Orin whose BPMP holds table rates only, rounding up, and whose governor takes the clock back when it is let go.
class Emc : public ::testing::Test {
 protected:
  Emc() {
    files.nodes = {{kRate, "2133000000\n"},
                   {kClock + "/min_rate", "204000000\n"},
                   {kClock + "/max_rate", "3199000000\n"},
                   {kLock, "0\n"},
                   {kState, "1\n"},
                   {kRates, "204000 665600 2133000 3199000 (kHz)\n"},
                   {"/proc/device-tree/compatible", "nvidia,tegra234"},
                   {"/proc/sys/kernel/random/boot_id", "boot-1\n"}};
    files.keep[kRate] = [](const std::string& text) {
      for (const char* rate : {"204000000", "665600000", "2133000000"}) {
        if (std::stoll(text) <= std::stoll(rate)) return std::string(rate);
      }
      return std::string("3199000000");
    };
    files.on_write = [this](const std::string& path, const std::string& text) {
      if (path == kLock && text == "0") files.nodes[kRate] = "665600000\n";
    };
  }
  std::unique_ptr<Knob> discover() {
    auto found = driver().discover(host);
    EXPECT_EQ(found.knobs.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return found.knobs.empty() ? nullptr : std::move(found.knobs.front());
  }

  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  ScratchFolder scratch;
  std::string record = (scratch.path() / "lease.json").string();
};

TEST_F(Emc, TheBoardsOwnListIsTheTable) {
  const auto knob = discover();
  EXPECT_EQ(knob->parameter().name, "mem_hz");
  EXPECT_EQ(knob->parameter().role, Role::kMemoryClock);
  EXPECT_EQ(knob->parameter().levels, (std::vector<Value>{204e6, 665.6e6, 2133e6, 3199e6}));
  EXPECT_EQ(*knob->read(), Value(3199e6));  // nobody holds it: it may go to the top
  EXPECT_EQ(*knob->actual(), Value(2133e6));
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(Emc, LocksThenSetsTheRateAndGivesBoth) {
  const auto knob = discover();
  auto lease = *Lease::take(host, {knob.get()}, {.record_path = record});
  ASSERT_EQ(*lease->apply({{"mem_hz", 204e6}}), (Config{{"mem_hz", 204e6}}));
  EXPECT_THAT(files.writes, ElementsAre(std::pair(kLock, "1"), std::pair(kRate, "204000000")));
  files.writes.clear();
  ASSERT_TRUE(lease->apply({{"mem_hz", 665.6e6}}));
  EXPECT_THAT(files.writes, ElementsAre(std::pair(kRate, "665600000")));
  files.writes.clear();
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_THAT(files.writes,
              ElementsAre(std::pair(kLock, "1"), std::pair(kRate, "2133000000"), std::pair(kState, "1"), std::pair(kLock, "0")));
  EXPECT_EQ(files.nodes[kLock], "0\n");
}

TEST_F(Emc, ALockThatWasFoundIsFoundAgain) {
  files.nodes[kLock] = "1\n";
  files.nodes[kState] = "0\n";
  const auto knob = discover();
  EXPECT_EQ(*knob->read(), Value(2133e6));
  auto lease = *Lease::take(host, {knob.get()}, {.record_path = record});
  ASSERT_TRUE(lease->apply({{"mem_hz", 204e6}}));
  EXPECT_EQ(files.nodes[kState], "1\n");
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_EQ(files.nodes[kRate], "2133000000\n");
  EXPECT_EQ(files.nodes[kLock], "1\n");
  EXPECT_EQ(files.nodes[kState], "0\n");
}

TEST_F(Emc, AClockOnItsWayIsNotWrittenBack) {
  files.nodes[kRate] = "1866000000\n";
  const auto knob = discover();
  auto lease = *Lease::take(host, {knob.get()}, {.record_path = record});
  ASSERT_TRUE(lease->apply({{"mem_hz", 204e6}}));
  files.writes.clear();
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_THAT(files.writes, ElementsAre(std::pair(kLock, "1"), std::pair(kState, "1"), std::pair(kLock, "0")));
}

TEST_F(Emc, OnlyTableValuesAreWritten) {
  const auto knob = discover();
  for (const Value& wrong : {Value(1701.5e6), Value(0.0), Value(1e12), Value("fast")}) {
    EXPECT_EQ(knob->write(wrong).error().code, Errc::kOutOfRange);
  }
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(Emc, WaitsForFirmwareAndSaysWhatItThenIs) {
  const auto knob = discover();
  files.lie.insert(kRate);
  const auto ticker = clock.every(Seconds(0.3), [this] { files.nodes[kRate] = "204000000\n"; });
  EXPECT_EQ(*knob->write(204e6), Value(204e6));
  EXPECT_LT(clock.now().time_since_epoch().count(), 0.4);
  EXPECT_EQ(*knob->write(3199e6), Value(204e6));  // ignored: the caller compares
  EXPECT_LT(clock.now().time_since_epoch().count(), 1.5);
}

TEST_F(Emc, AnIgnoredLockReadsAsNoneHeld) {
  const auto knob = discover();
  files.lie.insert(kLock);
  EXPECT_EQ(*knob->write(204e6), Value(3199e6));
}

TEST_F(Emc, KeepsToTheCapOfThePowerMode) {
  files.nodes[kIsoCap] = "2133000000\n";
  const auto knob = discover();
  EXPECT_EQ(knob->parameter().levels, (std::vector<Value>{204e6, 665.6e6, 2133e6}));
  EXPECT_THAT(knob->parameter().help, HasSubstr("2133000000"));
  EXPECT_EQ(*knob->read(), Value(2133e6));
  files.nodes[kIsoCap] = "0\n";  // none
  EXPECT_EQ(discover()->parameter().levels.size(), 4u);
}

TEST_F(Emc, WithoutAListThePublishedOneIsTheLastResort) {
  files.nodes.erase(kRates);
  files.nodes[kClock + "/max_rate"] = "2133000000\n";
  const auto knob = discover();
  EXPECT_EQ(knob->parameter().levels, (std::vector<Value>{204e6, 665.6e6, 2133e6}));
  EXPECT_THAT(knob->parameter().help, HasSubstr("published"));
  files.nodes["/proc/device-tree/compatible"] = "nvidia,tegra999";
  EXPECT_EQ(driver().discover(host).absent.at(0).why.code, Errc::kUnsupported);
}

class EmcCap : public ::testing::TestWithParam<std::string> {};

TEST_P(EmcCap, IsTheKnobWhereThereIsNoDebugfs) {
  FakeFiles files;
  files.nodes = {{GetParam(), GetParam() == kIsoCap ? "0\n" : "3199000000\n"}, {"/proc/device-tree/compatible", "nvidia,tegra234"}};
  FakeClock clock;
  Host host{files, clock};
  const auto found = driver().discover(host);
  ASSERT_EQ(found.knobs.size(), 1u);
  Knob& knob = *found.knobs.front();
  EXPECT_EQ(*knob.read(), Value(3199e6));
  EXPECT_THAT(knob.parameter().help, HasSubstr("cap"));
  const std::string before = files.nodes[GetParam()];
  const ScratchFolder scratch;
  auto lease = *Lease::take(host, {&knob}, {.record_path = (scratch.path() / "lease.json").string()});
  EXPECT_EQ(*lease->apply({{"mem_hz", 665.6e6}}), (Config{{"mem_hz", 665.6e6}}));
  EXPECT_THAT(files.writes, ElementsAre(std::pair(GetParam(), "665600000")));
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_EQ(files.nodes[GetParam()], before);
}

INSTANTIATE_TEST_SUITE_P(Nodes, EmcCap, ::testing::Values(kIsoCap, kClkCap),
                         [](const auto& node) { return node.param == kIsoCap ? "iso" : "clk"; });

TEST(EmcDiscovery, TellsForbiddenFromAbsent) {
  FakeClock clock;
  FakeFiles files;
  files.nodes = {{"/proc/device-tree/compatible", "nvidia,tegra234"}, {kIsoCap, "0\n"}};
  files.refuse_read[kRate] = EACCES;
  Host host{files, clock};
  auto found = driver().discover(host);
  EXPECT_EQ(found.absent.at(0).why.code, Errc::kPermission);
  EXPECT_THAT(found.absent.at(0).why.hint, HasSubstr("root"));
  // Every Linux hides debugfs from its users.
  files.nodes.clear();
  EXPECT_EQ(driver().discover(host).absent.at(0).why.code, Errc::kNotFound);
}

}  // namespace
}  // namespace polythrottle
