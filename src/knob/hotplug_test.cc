#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/fake.h"
#include "knob/lease.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;

const KnobDriver& driver() {
  const auto all = knob_drivers();
  return **std::find_if(all.begin(), all.end(), [](const auto* one) { return one->name == "hotplug"; });
}

std::string path(int cpu) { return "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/online"; }

/// A TX2: two clusters, every CPU with its file, CPU 4 found offline.
class Hotplug : public ::testing::Test {
 protected:
  Hotplug() {
    for (int cpu = 0; cpu < 6; ++cpu) files.nodes[path(cpu)] = cpu == 4 ? "0\n" : "1\n";
    files.nodes["/sys/devices/system/cpu/cpufreq/policy0/related_cpus"] = "0 3 4 5\n";
    files.nodes["/sys/devices/system/cpu/cpufreq/policy1/related_cpus"] = "1 2\n";
    files.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
  }
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
};

TEST_F(Hotplug, IsForThoseWhoAsk) { EXPECT_TRUE(driver().by_request); }

TEST_F(Hotplug, LeavesOneOfEveryClusterAndThoseFoundOffline) {
  const auto found = driver().discover(host);
  ASSERT_EQ(found.knobs.size(), 1u);
  Knob& knob = *found.knobs.front();
  EXPECT_EQ(knob.parameter().levels, (std::vector<Value>{2.0, 3.0, 4.0, 5.0}));
  EXPECT_THAT(knob.paths(), ElementsAre(path(2), path(3), path(5)));
  EXPECT_EQ(*knob.read(), Value(5.0));
  EXPECT_EQ(*knob.write(3.0), Value(3.0));
  EXPECT_THAT(files.writes, ElementsAre(std::pair(path(3), "0"), std::pair(path(5), "0")));
  EXPECT_EQ(*knob.write(2.0), Value(2.0));
  EXPECT_EQ(*knob.write(4.0), Value(4.0));
  EXPECT_EQ(knob.write(6.0).error().code, Errc::kOutOfRange);
  EXPECT_EQ(knob.write(1.0).error().code, Errc::kOutOfRange);
  EXPECT_EQ(files.nodes[path(4)], "0\n");
}

TEST_F(Hotplug, GivesEveryCpuBack) {
  const auto found = driver().discover(host);
  const ScratchFolder scratch;
  auto lease = *Lease::take(host, {found.knobs.front().get()}, {.record_path = (scratch.path() / "lease.json").string()});
  ASSERT_TRUE(lease->apply({{"cpu_cores", 2.0}}));
  EXPECT_TRUE(lease->restore().front().status);
  for (int cpu = 0; cpu < 6; ++cpu) EXPECT_EQ(files.nodes[path(cpu)], cpu == 4 ? "0\n" : "1\n");
}

TEST_F(Hotplug, ACpuWithoutTheFileStays) {
  files.nodes.erase(path(0));
  files.nodes["/sys/devices/system/cpu/cpu0/topology/core_id"] = "0\n";
  files.nodes.erase("/sys/devices/system/cpu/cpufreq/policy0/related_cpus");
  files.nodes.erase("/sys/devices/system/cpu/cpufreq/policy1/related_cpus");
  const auto found = driver().discover(host);
  EXPECT_EQ(found.knobs.at(0)->parameter().levels.front(), Value(1.0));
  EXPECT_EQ(*found.knobs.at(0)->read(), Value(5.0));
}

TEST_F(Hotplug, SaysWhyNot) {
  files.refuse_write[path(3)] = EACCES;
  EXPECT_EQ(driver().discover(host).absent.at(0).why.code, Errc::kPermission);
  FakeFiles nothing;
  Host empty{nothing, clock};
  EXPECT_EQ(driver().discover(empty).absent.at(0).why.code, Errc::kNotFound);
}

}  // namespace
}  // namespace polythrottle
