#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake.h"
#include "meter/meter.h"

namespace polythrottle {
namespace meter_driver {
extern const MeterDriver rapl_perf;
}
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kSource = "/sys/bus/event_source/devices/power";

class RaplPerfMeter : public ::testing::Test {
 protected:
  RaplPerfMeter() {
    files.nodes[kSource + "/type"] = "23\n";
    files.nodes[kSource + "/cpumask"] = "0\n";
    for (const std::string event : {"energy-pkg", "energy-cores", "energy-ram", "energy-gpu", "energy-psys"}) {
      files.nodes[kSource + "/events/" + event] = "event=0x02\n";
      files.nodes[kSource + "/events/" + event + ".unit"] = "Joules\n";
      files.nodes[kSource + "/events/" + event + ".scale"] = "2.3283064365386962890625e-10\n";
      set(event, 0, 0.0);
    }
  }
  void set(const std::string& event, int cpu, double joules) {
    files.nodes["/perf/power/" + event + "/cpu" + std::to_string(cpu)] =
        std::to_string(static_cast<unsigned long long>(joules * 4294967296.0)) + "\n";
  }
  Meter& probe() {
    found = meter_driver::rapl_perf.discover(host, {});
    EXPECT_EQ(found.meters.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return *found.meters.at(0);
  }
  Error absence() {
    found = meter_driver::rapl_perf.discover(host, {});
    EXPECT_TRUE(found.meters.empty());
    EXPECT_EQ(found.absent.at(0).name, "rapl-perf");
    return found.absent.at(0).why;
  }

  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  MeterDiscovery found;
};

TEST_F(RaplPerfMeter, CountsThePackageAndShowsTheRest) {
  Meter& meter = probe();
  std::vector<std::string> names;
  for (const auto& rail : meter.info().rails) names.push_back(rail.name + (rail.counted ? "+" : ""));
  EXPECT_THAT(names, ElementsAre("package-0+", "core-0", "uncore-0", "dram-0", "psys"));
  EXPECT_EQ(meter.info().rails[0].inside, 4u);
  EXPECT_EQ(meter.info().rails[1].inside, 0u);
  EXPECT_FALSE(meter.info().rails[3].inside);
  EXPECT_EQ(meter.info().read_within, Seconds(0)) << "64 bits never wrap";
  clock.advance(Seconds(1));
  set("energy-pkg", 0, 30.0);
  set("energy-cores", 0, 20.0);
  set("energy-ram", 0, 4.0);
  set("energy-psys", 0, 60.0);
  const auto sample = meter.read();
  ASSERT_TRUE(sample) << sample.error().text();
  EXPECT_NEAR(sample->energy.si(), 30.0, 1e-8);
  EXPECT_NEAR(sample->rails.at(3).si(), 4.0, 1e-8);
  EXPECT_NEAR(sample->rails.at(4).si(), 60.0, 1e-8);
}

TEST_F(RaplPerfMeter, NamesPackagesAndDiesByTheirTopology) {
  files.nodes[kSource + "/cpumask"] = "0-1,8\n";
  for (const auto& [cpu, package, die] : {std::tuple{0, 0, 0}, {1, 0, 1}, {8, 1, 0}}) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    files.nodes[folder + "physical_package_id"] = std::to_string(package) + "\n";
    files.nodes[folder + "die_id"] = std::to_string(die) + "\n";
    for (const char* event : {"energy-pkg", "energy-cores", "energy-ram", "energy-gpu"}) set(event, cpu, 0.0);
  }
  EXPECT_EQ(probe().info().boundary, "CPU packages 0-die-0, 0-die-1, 1 (cores, uncore; no DRAM, disks, board)");
  for (const auto& rail : found.meters[0]->info().rails) EXPECT_NE(rail.name, "psys") << "which package's it is nobody knows";
}

TEST_F(RaplPerfMeter, APartThatCannotBeReadIsLeftOutWithARemark) {
  files.refuse_read["/perf/power/energy-ram/cpu0"] = EIO;
  const auto& info = probe().info();
  for (const auto& rail : info.rails) EXPECT_NE(rail.name, "dram-0");
  EXPECT_THAT(info.remarks, ElementsAre(HasSubstr("left out: dram")));
}

TEST_F(RaplPerfMeter, TakesNoUnitForGranted) {
  files.nodes[kSource + "/events/energy-pkg.unit"] = "mJ\n";
  const Error other = absence();
  EXPECT_EQ(other.code, Errc::kUnsupported);
  EXPECT_THAT(other.what, HasSubstr("\"mJ\""));
  files.nodes[kSource + "/events/energy-pkg.unit"] = "Joules\n";
  for (const char* scale : {"", "1e-10x", "0", "-1", "nan", "1e9"}) {
    files.nodes[kSource + "/events/energy-pkg.scale"] = scale;
    EXPECT_EQ(absence().code, Errc::kCorrupt) << scale;
  }
}

TEST_F(RaplPerfMeter, TakesNoListOfCpusForGranted) {
  for (const char* mask : {"", "x", ",0", "1-0", "-1", "0-99999", "0;1"}) {
    files.nodes[kSource + "/cpumask"] = mask;
    EXPECT_EQ(absence().code, Errc::kCorrupt) << mask;
  }
}

TEST_F(RaplPerfMeter, TellsPermissionFromAbsence) {
  files.refuse_read["/perf/power/energy-pkg/cpu0"] = EACCES;
  EXPECT_EQ(absence().code, Errc::kPermission);
  files.refuse_read.clear();
  files.nodes.clear();
  EXPECT_EQ(absence().code, Errc::kNotFound);
}

}  // namespace
}  // namespace polythrottle
