#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "host/fake.h"
#include "meter/meter.h"

namespace polythrottle {
namespace meter_driver {
extern const MeterDriver rapl;
}
namespace {

using ::testing::HasSubstr;

const std::string kZone0 = "/sys/class/powercap/intel-rapl:0";
const std::string kZone1 = "/sys/class/powercap/intel-rapl:1";

class RaplMeterTest : public ::testing::Test {
 protected:
  RaplMeterTest() {
    add(kZone0, "package-0", 1'000'000, 262'143'000'000);
    add(kZone1, "package-1", 2'000'000, 262'143'000'000);
    add(kZone0 + ":0", "core", 500'000, 262'143'000'000);
    add("/sys/class/powercap/intel-rapl:2", "psys", 9'000'000, 262'143'000'000);
    add("/sys/class/powercap/intel-rapl-mmio:0", "package-0", 1'000'000, 262'143'000'000);
  }
  void add(const std::string& zone, const std::string& name, long long energy_uj, long long range_uj) {
    files.nodes[zone + "/name"] = name + "\n";
    files.nodes[zone + "/max_energy_range_uj"] = std::to_string(range_uj) + "\n";
    set(zone, energy_uj);
  }
  void set(const std::string& zone, long long energy_uj) { files.nodes[zone + "/energy_uj"] = std::to_string(energy_uj) + "\n"; }
  Meter& probe() {
    found = meter_driver::rapl.discover(host, {});
    EXPECT_EQ(found.meters.size(), 1u);
    return *found.meters.at(0);
  }
  Error absence() {
    found = meter_driver::rapl.discover(host, {});
    EXPECT_TRUE(found.meters.empty());
    return found.absent.at(0).why;
  }

  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  MeterDiscovery found;
};

TEST_F(RaplMeterTest, SumsThePackagesAndNothingElse) {
  Meter& meter = probe();
  EXPECT_EQ(meter.info().boundary, "CPU packages 0, 1 (cores, uncore; no DRAM, disks, board)");
  EXPECT_FALSE(meter.info().estimated);
  EXPECT_EQ(meter.read()->energy, Joules(0));
  clock.advance(Seconds(1));
  set(kZone0, 1'000'000 + 30'000'000);
  set(kZone1, 2'000'000 + 12'000'000);
  const auto sample = meter.read();
  EXPECT_DOUBLE_EQ(sample->energy.si(), 42.0);
  ASSERT_EQ(sample->one_sigma.size(), meter.info().error_sources.size());
  EXPECT_DOUBLE_EQ(sample->one_sigma[0].si(), 2.1);
}

TEST_F(RaplMeterTest, AddsOneRangePerWrap) {
  set(kZone0, 262'142'000'000);
  Meter& meter = probe();
  clock.advance(Seconds(1));
  set(kZone0, 9'000'000);
  EXPECT_NEAR(meter.read()->energy.si(), 10.0, 1e-6);
  clock.advance(Seconds(0.5));
  set(kZone0, 19'000'000);
  EXPECT_NEAR(meter.read()->energy.si(), 20.0, 1e-6);
}

TEST_F(RaplMeterTest, ACounterThatWentBackIsNoWrap) {
  set(kZone0, 100'000'000);
  Meter& meter = probe();
  clock.advance(Seconds(1));
  set(kZone0, 99'000'000);
  const auto broken = meter.read();
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Errc::kCorrupt);
  EXPECT_THAT(broken.error().what, HasSubstr("intel-rapl:0"));
  clock.advance(Seconds(0.5));
  set(kZone0, 109'000'000);
  EXPECT_DOUBLE_EQ(meter.read()->energy.si(), 10.0);  // and it goes on from there
}

TEST_F(RaplMeterTest, AJumpBeyondBeliefIsCorrupt) {
  Meter& meter = probe();
  clock.advance(Seconds(1));
  set(kZone0, 5'000'000'000);
  EXPECT_EQ(meter.read().error().code, Errc::kCorrupt);
}

TEST_F(RaplMeterTest, AFailureInOneZoneLosesNothingOfTheOther) {
  Meter& meter = probe();
  clock.advance(Seconds(1));
  set(kZone0, 11'000'000);
  files.refuse_read[kZone1 + "/energy_uj"] = EIO;
  EXPECT_EQ(meter.read().error().code, Errc::kIo);
  files.refuse_read.clear();
  EXPECT_DOUBLE_EQ(meter.read()->energy.si(), 10.0);
}

TEST_F(RaplMeterTest, ShowsPartsAndPlatformBesideThePackagesAndAddsThemToNothing) {
  add(kZone0 + ":1", "dram", 300'000, 65'712'999'613);
  Meter& meter = probe();
  const auto& rails = meter.info().rails;
  std::vector<std::string> names;
  for (const auto& rail : rails) names.push_back(rail.name + (rail.counted ? "+" : ""));
  EXPECT_THAT(names, ::testing::ElementsAre("package-0+", "core-0", "dram-0", "package-1+", "psys"));
  EXPECT_EQ(rails[1].inside, 0u);
  EXPECT_FALSE(rails[2].inside) << "memory is beside its package";
  EXPECT_EQ(rails[0].inside, 4u);
  EXPECT_THAT(rails[4].boundary, HasSubstr("contains the packages"));
  EXPECT_THAT(meter.info().remarks, ::testing::ElementsAre(HasSubstr("unit is not verified")));
  clock.advance(Seconds(1));
  set(kZone0, 1'000'000 + 30'000'000);
  set(kZone0 + ":0", 500'000 + 20'000'000);
  set(kZone0 + ":1", 65'712'999'613);
  set("/sys/class/powercap/intel-rapl:2", 9'000'000 + 70'000'000);
  EXPECT_EQ(meter.read().error().code, Errc::kCorrupt) << "65 kJ of memory in a second";
  clock.advance(Seconds(1));
  set(kZone0, 1'000'000 + 60'000'000);
  set(kZone0 + ":1", 4'000'000);  // its own wrap, at its own range
  set(kZone1, 2'000'000 + 5'000'000);
  const auto sample = meter.read();
  ASSERT_TRUE(sample) << sample.error().text();
  EXPECT_NEAR(sample->energy.si(), 30.0 + 5.0, 1e-6);
  EXPECT_NEAR(sample->rails.at(0).si(), 30.0, 1e-6);
  EXPECT_NEAR(sample->rails.at(2).si(), 4.0, 1e-6);
}

TEST_F(RaplMeterTest, APartThatCannotBeReadIsLeftOutWithARemark) {
  files.refuse_read[kZone0 + ":0/energy_uj"] = EACCES;
  const auto& info = probe().info();
  for (const auto& rail : info.rails) EXPECT_NE(rail.name, "core-0");
  EXPECT_THAT(info.remarks, ::testing::ElementsAre(HasSubstr("left out: core")));
}

TEST_F(RaplMeterTest, AReadingIsAMillisecondOldAndAStepWide) {
  files.nodes.erase(kZone1 + "/name");
  files.nodes.erase(kZone1 + "/energy_uj");
  files.nodes.erase(kZone1 + "/max_energy_range_uj");
  Meter& meter = probe();
  clock.advance(Seconds(1));
  set(kZone0, 1'000'000 + 50'000'000);
  const double step = 262143.0 / 4294967296.0;
  EXPECT_NEAR(meter.read()->edge.si(), std::hypot(50.0 * 1e-3, step) / std::sqrt(12.0), 1e-9);
  EXPECT_NEAR(meter.info().read_within.count(), 0.5 * 262143.0 / 2000.0, 1e-6) << "no wrap is missed";
}

TEST_F(RaplMeterTest, TellsPermissionFromAbsence) {
  files.refuse_read[kZone0 + "/energy_uj"] = EACCES;
  const Error forbidden = absence();
  EXPECT_EQ(forbidden.code, Errc::kPermission);
  EXPECT_THAT(forbidden.hint, HasSubstr("CAP_DAC_READ_SEARCH"));
  files.nodes.clear();
  const Error absent = absence();
  EXPECT_EQ(absent.code, Errc::kNotFound);
  EXPECT_FALSE(absent.hint.empty());
}

TEST(RaplMeter, ReadsTheFixtureAcrossItsWrap) {
  const ScratchFolder scratch(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/x86-intel_pstate-rapl");
  const auto files = real_files(scratch.path().string());
  FakeClock clock;
  Host host{*files, clock};
  const auto found = meter_driver::rapl.discover(host, {});
  ASSERT_EQ(found.meters.size(), 1u);
  EXPECT_EQ(found.meters[0]->info().boundary, "CPU package 0 (cores, uncore; no DRAM, disks, board)");
  clock.advance(Seconds(60));
  ASSERT_TRUE(files->write("/sys/class/powercap/intel-rapl:0/energy_uj", "356671150\n"));
  EXPECT_NEAR(found.meters[0]->read()->energy.si(), 1000.0, 1e-6);
}

}  // namespace
}  // namespace polythrottle
