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
const std::string kHalt = "/sys/kernel/debug/bpmp/debug/bwmgr/bwmgr_halt";
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
  EXPECT_TRUE(knob->claim().held);  // a lock, which the clock may leave neither way
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

TEST_F(Emc, AClockOnItsWayIsGivenBackFromTheTop) {
  files.nodes[kRate] = "1866000000\n";
  const auto knob = discover();
  auto lease = *Lease::take(host, {knob.get()}, {.record_path = record});
  ASSERT_TRUE(lease->apply({{"mem_hz", 204e6}}));
  files.writes.clear();
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_THAT(files.writes,
              ElementsAre(std::pair(kLock, "1"), std::pair(kRate, "3199000000"), std::pair(kState, "1"), std::pair(kLock, "0")));
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
  const auto ignored = knob->write(3199e6);
  ASSERT_FALSE(ignored);
  EXPECT_EQ(ignored.error().code, Errc::kUnsupported);
  EXPECT_THAT(ignored.error().what, HasSubstr("3199000000"));
  EXPECT_THAT(ignored.error().what, HasSubstr("stays at 204000000"));
  EXPECT_LT(clock.now().time_since_epoch().count(), 1.5);
}

TEST_F(Emc, ARateThatCameOnceAndNowDoesNotIsHeldBySomebodyElse) {
  const auto knob = discover();
  ASSERT_EQ(*knob->write(204e6), Value(204e6));
  ASSERT_EQ(*knob->write(665.6e6), Value(665.6e6));
  files.lie.insert(kRate);
  EXPECT_EQ(*knob->write(204e6), Value(665.6e6));  // the caller compares
}

TEST_F(Emc, RatesALittleOffAreTheirLevels) {
  files.nodes[kRates] = "204000 665600 2133000 3200000 (kHz)\n";
  const auto knob = discover();
  EXPECT_EQ(knob->parameter().levels.back(), Value(3200e6));
  EXPECT_EQ(*knob->write(3200e6), Value(3200e6));  // reads 3199000000
  files.nodes[kClkCap] = "3199000000\n";
  EXPECT_EQ(discover()->parameter().levels.size(), 4u);
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
  EXPECT_THAT(knob->parameter().help, HasSubstr("2133 MHz"));
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

/// An Orin with JetPack 6: its bandwidth manager puts the clock where it wants it, lock or no lock, until it is halted.
class EmcManaged : public Emc {
 protected:
  EmcManaged() {
    files.nodes[kHalt] = "0\n";
    files.on_write = [this](const std::string&, const std::string&) {
      if (files.nodes[kHalt] == "0\n") files.nodes[kRate] = "2133000000\n";
    };
  }
};

TEST_F(EmcManaged, TheManagerIsHaltedOnlyWhereTheLockDoesNotHold) {
  const auto knob = discover();
  EXPECT_THAT(knob->paths(), ::testing::Contains(kHalt));
  auto lease = *Lease::take(host, {knob.get()}, {.record_path = record});
  ASSERT_EQ(*lease->apply({{"mem_hz", 2133e6}}), (Config{{"mem_hz", 2133e6}}));
  EXPECT_EQ(files.nodes[kHalt], "0\n");
  ASSERT_EQ(*lease->apply({{"mem_hz", 204e6}}), (Config{{"mem_hz", 204e6}}));
  EXPECT_EQ(files.nodes[kHalt], "1\n");
  files.writes.clear();
  ASSERT_TRUE(lease->apply({{"mem_hz", 665.6e6}}));
  EXPECT_THAT(files.writes, ElementsAre(std::pair(kRate, "665600000")));
  files.writes.clear();
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_THAT(files.writes, ElementsAre(std::pair(kLock, "1"), std::pair(kHalt, "1"), std::pair(kRate, "2133000000"), std::pair(kHalt, "0"),
                                        std::pair(kState, "1"), std::pair(kLock, "0")));
}

TEST_F(EmcManaged, AManagerHaltedInVainIsLetGoAndLeftAlone) {
  const auto knob = discover();
  files.lie.insert(kRate);
  EXPECT_EQ(knob->write(204e6).error().code, Errc::kUnsupported);
  EXPECT_EQ(files.nodes[kHalt], "0\n");
  files.writes.clear();
  EXPECT_FALSE(knob->write(204e6));
  EXPECT_THAT(files.writes, ::testing::Each(::testing::Pair(::testing::Ne(kHalt), ::testing::_)));
}

TEST_F(EmcManaged, AManagerFoundHaltedStaysSo) {
  files.nodes[kHalt] = "1\n";
  files.nodes[kLock] = "1\n";
  const auto knob = discover();
  auto lease = *Lease::take(host, {knob.get()}, {.record_path = record});
  ASSERT_TRUE(lease->apply({{"mem_hz", 204e6}}));
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_EQ(files.nodes[kHalt], "1\n");
  EXPECT_EQ(files.nodes[kLock], "1\n");
  EXPECT_EQ(files.nodes[kRate], "2133000000\n");
}

TEST_F(EmcManaged, ARestoreCutAnywhereCanBeRunAgain) {
  for (const char* locked : {"0\n", "1\n"}) {
    for (std::size_t cut = 0; cut <= 6; ++cut) {
      files.nodes[kLock] = locked;
      files.nodes[kHalt] = "0\n";
      files.nodes[kRate] = "2133000000\n";
      const auto knob = discover();
      const auto nodes = *knob->found_nodes();
      ASSERT_EQ(nodes.size(), 6u);
      {
        auto lease = *Lease::take(host, {knob.get()}, {.record_path = record});
        ASSERT_TRUE(lease->apply({{"mem_hz", 204e6}}));
        std::filesystem::copy_file(record, record + ".kept");
      }
      std::filesystem::rename(record + ".kept", record);
      files.nodes[kLock] = "1\n";
      files.nodes[kHalt] = "1\n";
      files.nodes[kRate] = "204000000\n";
      bool raised = false;
      for (std::size_t i = 0; i < cut; ++i) {
        ASSERT_TRUE(files.write(nodes[i].path, *nodes[i].text));
        raised = raised || nodes[i].path == kRate;
        // From here on a cut leaves no low clock behind.
        if (raised) {
          EXPECT_EQ(files.nodes[kRate], "2133000000\n") << cut;
        }
      }
      const auto report = recover(host, {}, record);
      ASSERT_TRUE(report) << report.error().text();
      for (const auto& restored : report->knobs) EXPECT_TRUE(restored.status) << cut << ": " << restored.status.error().text();
      EXPECT_EQ(files.nodes[kLock], locked) << cut;
      EXPECT_EQ(files.nodes[kHalt], "0\n") << cut;
      EXPECT_EQ(files.nodes[kRate], "2133000000\n") << cut;
    }
  }
}

TEST_F(Emc, TheManagersOwnListServesWhereTheBpmpShowsNone) {
  files.nodes.erase(kRates);
  files.nodes["/proc/device-tree/compatible"] = "nvidia,tegra264";
  files.nodes["/sys/class/devfreq/bwmgr/available_frequencies"] = "665600000 3200000000 4266000000\n";
  files.nodes["/sys/class/devfreq/bwmgr/max_freq"] = "3200000000\n";
  files.nodes[kClock + "/max_rate"] = "4266000000\n";
  const auto knob = discover();
  EXPECT_EQ(knob->parameter().levels, (std::vector<Value>{665.6e6, 3200e6}));
  EXPECT_THAT(knob->parameter().help, ::testing::Not(HasSubstr("published")));
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

TEST(EmcCapLevels, StopAtThePowerModesCapOrWhereNoModeIsKnownAtTheOneFound) {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  const auto levels = [&] {
    const auto found = driver().discover(host);
    return found.knobs.empty() ? std::vector<Value>() : found.knobs.front()->parameter().levels;
  };
  files.nodes = {{kClkCap, "665600000\n"}, {"/proc/device-tree/compatible", "nvidia,tegra234"}};
  EXPECT_EQ(levels(), (std::vector<Value>{204e6, 665.6e6}));
  files.nodes["/etc/nvpmodel.conf"] =
      "< POWER_MODEL ID=0 NAME=MAXN >\nEMC MAX_FREQ -1\n< POWER_MODEL ID=1 NAME=15W >\nEMC MAX_FREQ 2133000000\n";
  files.nodes["/var/lib/nvpmodel/status"] = "pmode:0000";
  EXPECT_EQ(levels().size(), 4u);
  files.nodes["/var/lib/nvpmodel/status"] = "pmode:0001";
  EXPECT_EQ(levels(), (std::vector<Value>{204e6, 665.6e6, 2133e6}));
  // The number read is the number given back, however low: 0 would be the lowest rate on this node.
  const auto found = driver().discover(host);
  EXPECT_EQ((*found.knobs.front()->found_nodes()).front().text, "665600000\n");
}

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
