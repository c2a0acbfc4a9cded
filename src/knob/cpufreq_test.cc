#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "host/fake.h"
#include "knob/knob.h"

namespace polythrottle {
namespace knob_driver {
extern const KnobDriver cpufreq;
}
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kFolder = "/sys/devices/system/cpu/cpufreq/";

void add_policy(FakeFiles& files, int number, const std::string& table, const std::string& low, const std::string& high) {
  const std::string folder = kFolder + "policy" + std::to_string(number) + "/";
  if (!table.empty()) files.nodes[folder + "scaling_available_frequencies"] = table + " \n";
  files.nodes[folder + "cpuinfo_min_freq"] = low + "\n";
  files.nodes[folder + "cpuinfo_max_freq"] = high + "\n";
  files.nodes[folder + "scaling_min_freq"] = low + "\n";
  files.nodes[folder + "scaling_max_freq"] = high + "\n";
}

struct Found {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  KnobDiscovery found;
  Knob& probe() {
    found = knob_driver::cpufreq.discover(host);
    EXPECT_FALSE(found.knobs.empty()) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return *found.knobs.at(0);
  }
  Error absence() {
    found = knob_driver::cpufreq.discover(host);
    EXPECT_TRUE(found.knobs.empty());
    return found.absent.at(0).why;
  }
};

TEST(Cpufreq, OffersTheTableInHertzAndMovesAllPolicies) {
  Found m;
  add_policy(m.files, 0, "2000000 1000000 1500000", "1000000", "2000000");
  add_policy(m.files, 10, "1000000 1500000 2000000", "1000000", "2000000");
  Knob& knob = m.probe();
  EXPECT_EQ(knob.parameter().name, "cpu_hz");
  EXPECT_EQ(knob.parameter().role, Role::kComputeClock);
  EXPECT_THAT(knob.parameter().levels, ElementsAre(Value(1e9), Value(1.5e9), Value(2e9)));
  EXPECT_EQ(*knob.read(), Value(2e9));
  EXPECT_TRUE(m.files.writes.empty());
  EXPECT_EQ(*knob.write(1.5e9), Value(1.5e9));
  EXPECT_EQ(m.files.nodes[kFolder + "policy0/scaling_max_freq"], "1500000\n");
  EXPECT_EQ(m.files.nodes[kFolder + "policy10/scaling_max_freq"], "1500000\n");
}

TEST(Cpufreq, ClustersStopAtThePowerModesCapEachAtItsOwn) {
  Found m;
  add_policy(m.files, 0, "400000 1000000 1400000 1800000", "400000", "1800000");
  add_policy(m.files, 4, "400000 1000000 1400000 1800000", "400000", "1800000");
  m.files.nodes[kFolder + "policy0/related_cpus"] = "0 1 2 3\n";
  m.files.nodes[kFolder + "policy4/related_cpus"] = "4 5\n";
  m.files.nodes[kFolder + "policy0/scaling_max_freq"] = "400000\n";
  m.files.nodes[kFolder + "policy4/scaling_max_freq"] = "1400000\n";
  m.files.nodes["/etc/nvpmodel.conf"] =
      "< POWER_MODEL ID=2 NAME=MODE_X >\n/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq 400000\n"
      "/sys/devices/system/cpu/cpu4/cpufreq/scaling_max_freq 1350000\n< PM_CONFIG DEFAULT=2 >\n";
  Knob& knob = m.probe();
  EXPECT_THAT(knob.parameter().levels, ElementsAre(Value(4e8), Value(1e9), Value(1.4e9)));
  EXPECT_THAT(knob.parameter().help, HasSubstr("power mode 2 MODE_X"));
  EXPECT_EQ(knob.write(1.8e9).error().code, Errc::kOutOfRange);
  EXPECT_EQ(*knob.write(1.4e9), Value(1.4e9));
  EXPECT_EQ(m.files.nodes[kFolder + "policy0/scaling_max_freq"], "400000\n");
  EXPECT_EQ(m.files.nodes[kFolder + "policy4/scaling_max_freq"], "1400000\n");  // where it was found, a little above the cap
  // Found above its cap, a cluster may go back there.
  m.files.nodes[kFolder + "policy0/scaling_max_freq"] = "1800000\n";
  EXPECT_THAT(m.probe().parameter().levels, ElementsAre(Value(4e8), Value(1e9), Value(1.4e9), Value(1.8e9)));
}

TEST(Cpufreq, GivesEachPolicyItsLargestTableValueNotAboveTheLevel) {
  Found m;
  add_policy(m.files, 0, "400000 1000000 1800000", "400000", "1800000");
  add_policy(m.files, 4, "800000 1000000 2400000", "800000", "2400000");
  Knob& knob = m.probe();
  // 400 MHz is below what policy4 can do, so that it is nobody's level.
  EXPECT_THAT(knob.parameter().levels, ElementsAre(Value(8e8), Value(1e9), Value(1.8e9), Value(2.4e9)));
  EXPECT_EQ(*knob.write(1.8e9), Value(1.8e9));
  EXPECT_EQ(m.files.nodes[kFolder + "policy4/scaling_max_freq"], "1000000\n");
}

TEST(Cpufreq, MakesAtMostSixteenLevelsOfWholeStepsWithoutATable) {
  Found m;
  add_policy(m.files, 0, "", "800000", "4700000");
  const auto levels = m.probe().parameter().levels;
  EXPECT_EQ(levels.size(), 16u);
  EXPECT_EQ(levels.front(), Value(8e8));
  EXPECT_EQ(levels.back(), Value(4.7e9));
  for (std::size_t i = 0; i < levels.size(); ++i) {
    EXPECT_EQ(std::get<double>(levels[i]), 1e8 * std::round(std::get<double>(levels[i]) / 1e8));
    if (i > 0) {
      EXPECT_LT(levels[i - 1], levels[i]);
    }
  }
  Found odd;
  add_policy(odd.files, 0, "", "550000", "873823");
  EXPECT_THAT(odd.probe().parameter().levels, ElementsAre(Value(6e8), Value(7e8), Value(8e8), Value(873823e3)));
}

TEST(Cpufreq, LeavesOutLevelsAboveWhatTheHardwareOrTheFirmwareAllows) {
  Found m;
  add_policy(m.files, 0, "1000000 1500000 2000000 2500000", "1000000", "2000000");
  EXPECT_THAT(m.probe().parameter().levels, ElementsAre(Value(1e9), Value(1.5e9), Value(2e9)));
  m.files.nodes[kFolder + "policy0/bios_limit"] = "1500000\n";
  EXPECT_THAT(m.probe().parameter().levels, ElementsAre(Value(1e9), Value(1.5e9)));
  m.files.nodes[kFolder + "policy0/bios_limit"] = "0\n";  // some firmware says nothing
  EXPECT_EQ(m.probe().parameter().levels.size(), 3u);
}

TEST(Cpufreq, CountsBoostClocksAsLevelsWhileTheyMayBeUsed) {
  Found m;
  add_policy(m.files, 0, "1000000 1500000", "1000000", "2000000");
  m.files.nodes[kFolder + "policy0/scaling_boost_frequencies"] = "2000000 \n";
  EXPECT_THAT(m.probe().parameter().levels, ElementsAre(Value(1e9), Value(1.5e9), Value(2e9)));
  m.files.nodes[kFolder + "policy0/cpuinfo_max_freq"] = "1500000\n";
  EXPECT_THAT(m.probe().parameter().levels, ElementsAre(Value(1e9), Value(1.5e9)));
}

TEST(Cpufreq, TakesATableThatSaysNothingForNone) {
  Found m;
  add_policy(m.files, 0, "<unsupported>", "800000", "1000000");
  EXPECT_THAT(m.probe().parameter().levels, ElementsAre(Value(8e8), Value(9e8), Value(1e9)));
}

TEST(Cpufreq, RefusesWhatIsNoLevelAndWritesNothing) {
  Found m;
  add_policy(m.files, 0, "1000000 2000000", "1000000", "2000000");
  m.files.nodes[kFolder + "policy0/scaling_max_freq"] = "1700000\n";
  Knob& knob = m.probe();
  for (const Value& wrong : {Value(1.7e9), Value(3e9), Value(0.0), Value("fast")}) {
    const auto refused = knob.write(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kOutOfRange);
  }
  EXPECT_TRUE(m.files.writes.empty());
  EXPECT_EQ(*knob.read(), Value(1.7e9));
  EXPECT_EQ(*knob.write(1e9), Value(1e9));
  EXPECT_EQ(*knob.write(1.7e9), Value(1.7e9));  // off the table, but it was found so
}

TEST(Cpufreq, GoesBackToPoliciesThatWereFoundApart) {
  Found m;
  add_policy(m.files, 0, "1000000 2000000", "1000000", "2000000");
  add_policy(m.files, 1, "1000000 2000000", "1000000", "2000000");
  m.files.nodes[kFolder + "policy1/scaling_max_freq"] = "1300000\n";
  Knob& knob = m.probe();
  const auto nodes = *knob.found_nodes();
  ASSERT_EQ(nodes.size(), 6u);  // of each policy the floor at the bottom, the ceiling, the floor
  EXPECT_EQ(nodes[3].path, kFolder + "policy1/scaling_min_freq");
  EXPECT_EQ(nodes[3].text, "1000000");
  EXPECT_EQ(nodes[4].path, kFolder + "policy1/scaling_max_freq");
  EXPECT_EQ(nodes[4].text, "1300000\n");
}

TEST(Cpufreq, SaysWhatTheKernelMadeOfIt) {
  Found m;
  add_policy(m.files, 0, "1000000 1500000 2000000", "1000000", "2000000");
  m.files.keep[kFolder + "policy0/scaling_max_freq"] = [](const std::string&) { return std::string("1500000"); };
  EXPECT_EQ(*m.probe().write(2e9), Value(1.5e9));
}

TEST(Cpufreq, TellsAbsentForbiddenOfflineAndBroken) {
  Found none;
  EXPECT_EQ(none.absence().code, Errc::kNotFound);
  Found forbidden;
  add_policy(forbidden.files, 0, "1000000 2000000", "1000000", "2000000");
  forbidden.files.refuse_write[kFolder + "policy0/scaling_max_freq"] = EACCES;
  const Error why = forbidden.absence();
  EXPECT_EQ(why.code, Errc::kPermission);
  EXPECT_THAT(why.hint, HasSubstr("root"));
  Found broken;
  add_policy(broken.files, 0, "", "<unknown>", "2000000");
  EXPECT_EQ(broken.absence().code, Errc::kCorrupt);
  // The CPU of policy1 is offline: its files answer EBUSY, and the others are still moved.
  Found offline;
  add_policy(offline.files, 0, "1000000 2000000", "1000000", "2000000");
  add_policy(offline.files, 1, "1000000 2000000", "1000000", "2000000");
  offline.files.refuse_read[kFolder + "policy1/cpuinfo_min_freq"] = EBUSY;
  EXPECT_THAT(offline.probe().paths(), ElementsAre(kFolder + "policy0/scaling_min_freq", kFolder + "policy0/scaling_max_freq"));
  EXPECT_EQ(offline.found.absent.at(0).name, "cpu1_hz");
  EXPECT_EQ(offline.found.absent.at(0).why.code, Errc::kBusy);
  EXPECT_THAT(offline.found.absent.at(0).why.hint, HasSubstr("offline"));
}

TEST(Cpufreq, NamesThePolicyThatRefused) {
  Found m;
  add_policy(m.files, 0, "1000000 2000000", "1000000", "2000000");
  Knob& knob = m.probe();
  m.files.refuse_write[kFolder + "policy0/scaling_max_freq"] = EINVAL;
  const auto refused = knob.write(1e9);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kInvalid);
  EXPECT_THAT(refused.error().what, HasSubstr("policy0/scaling_max_freq"));
}

TEST(Cpufreq, ReadsTheFixtureOfABoardWithTables) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/arm64-cpufreq-table");
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const auto found = knob_driver::cpufreq.discover(host);
  ASSERT_EQ(found.knobs.size(), 3u);  // cpu_hz, cpu0_hz, cpu4_hz
  EXPECT_EQ(found.knobs[0]->parameter().levels.front(), Value(4.08e8));
  EXPECT_EQ(found.knobs[0]->parameter().levels.back(), Value(1.8e9));
  EXPECT_EQ(found.knobs[0]->parameter().levels.size(), 8u);
  EXPECT_EQ(*found.knobs[0]->write(1.608e9), Value(1.608e9));
  EXPECT_EQ(*read_integer(*files, kFolder + "policy0/scaling_max_freq"), 1416000);
  EXPECT_EQ(*read_integer(*files, kFolder + "policy4/scaling_min_freq"), 600000);  // as found
}

TEST(Cpufreq, AClusterWithoutCpusOfAnOlderKernelHasNoFiles) {
  Found m;
  add_policy(m.files, 0, "1000000 2000000", "1000000", "2000000");
  m.files.folders.insert(kFolder + "policy1");
  EXPECT_THAT(m.probe().paths(), ElementsAre(kFolder + "policy0/scaling_min_freq", kFolder + "policy0/scaling_max_freq"));
}

TEST(Cpufreq, MovesTheClustersOfAJetsonTogether) {
  for (const auto& [machine, levels, policies] : {std::tuple("jetson-tx2-jp46", 12u, 2u), std::tuple("jetson-agx-orin-jp5", 29u, 3u)}) {
    const ScratchFolder scratch(std::filesystem::path(POLYTHROTTLE_SOURCE_DIR) / "tests/fixtures" / machine);
    const auto files = real_files(scratch.path().string());
    FakeClock clock;
    Host host{*files, clock};
    const auto found = knob_driver::cpufreq.discover(host);
    ASSERT_EQ(found.knobs.size(), 1u + policies) << machine;
    Knob& knob = *found.knobs[0];
    EXPECT_EQ(knob.parameter().levels.size(), levels);
    EXPECT_EQ(knob.paths().size(), 2 * policies);
    EXPECT_EQ(*knob.write(knob.parameter().levels[3]), knob.parameter().levels[3]);
    for (const auto& path : knob.paths()) {
      if (!path.ends_with("max_freq")) continue;
      EXPECT_EQ(static_cast<double>(*read_integer(*files, path)) * 1e3, std::get<double>(knob.parameter().levels[3]));
    }
  }
}

}  // namespace
}  // namespace polythrottle
