// Every quirk of a Jetson TX2 under JetPack 4 that docs/hardware.md names and the simulation has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include "host/simulation/machine.h"

namespace polythrottle::simulation {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kGpu = "/sys/devices/17000000.gp10b/devfreq/17000000.gp10b/";
const std::string kEmc = "/sys/kernel/debug/bpmp/debug/clk/emc/";
const std::string kCap = "/sys/kernel/nvpmodel_emc_cap/emc_iso_cap";
const std::string kCpu = "/sys/devices/system/cpu/";
const std::string kPolicy = kCpu + "cpufreq/policy0/";
const std::string kMonitor = "/sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1/";

class SimulatedTx2 : public ::testing::Test {
 protected:
  SimulatedTx2() : machine(std::move(*Machine::make("jetson-tx2", {.noise = false}))), host(machine->host()) {}
  std::string read(const std::string& path) {
    const auto text = read_trimmed(host.files, path);
    return text ? *text : "error " + std::string(to_string(text.error().code));
  }
  std::string write(const std::string& path, const std::string& text) {
    const auto status = host.files.write(path, text);
    return status ? "fine" : to_string(status.error().code);
  }
  void sleep(double seconds) { host.clock.sleep_until(host.clock.now() + Seconds(seconds)); }
  std::unique_ptr<Machine> machine;
  Host host;
};

TEST_F(SimulatedTx2, SaysWhatItIs) {
  using namespace std::string_literals;
  EXPECT_EQ(*host.files.read("/proc/device-tree/model"), "quill\0"s);
  EXPECT_THAT(*host.files.read("/proc/device-tree/compatible"), HasSubstr("nvidia,tegra186\0"s));
  EXPECT_THAT(read("/etc/nv_tegra_release"), HasSubstr("# R32 (release)"));
  EXPECT_EQ(read("/proc/sys/kernel/osrelease"), "4.9.253-tegra");
  EXPECT_EQ(read("/var/lib/nvpmodel/status"), "pmode:0000");
  EXPECT_THAT(read("/etc/nvpmodel.conf"), HasSubstr("< POWER_MODEL ID=3 NAME=MAXP_CORE_ARM >"));
  EXPECT_EQ(*online_cpus(host.files), 6);
  EXPECT_EQ(read("/proc/sys/kernel/random/boot_id").size(), 36u);
  EXPECT_THAT(read("/proc/" + std::to_string(::getpid()) + "/stat"), HasSubstr("(polythrottle) R"));
  EXPECT_EQ(read("/proc/1/stat"), "error not_found");
}

TEST_F(SimulatedTx2, GpuIsFoundUnderAllItsNames) {
  for (const char* folder : {"/sys/devices/gpu.0/devfreq/17000000.gp10b", "/sys/class/devfreq/17000000.gp10b"}) {
    EXPECT_EQ(read(std::string(folder) + "/max_freq"), "1300500000") << folder;
  }
  EXPECT_THAT(*host.files.list("/sys/class/devfreq"), ElementsAre("17000000.gp10b"));
  EXPECT_EQ(read("/sys/class/devfreq/17000000.gp10b/device/of_node/name"), std::string("gp10b\0", 6));
  EXPECT_EQ(read(kGpu + "available_frequencies"),
            "114750000 216750000 318750000 420750000 522750000 624750000 726750000 854250000 930750000 1032750000 1122000000 1236750000 "
            "1300500000");
  EXPECT_EQ(read(kGpu + "governor"), "nvhost_podgov");
}

TEST_F(SimulatedTx2, GpuMinAboveMaxIsEinval) {
  ASSERT_EQ(write(kGpu + "max_freq", "624750000"), "fine");
  EXPECT_EQ(write(kGpu + "min_freq", "726750000"), "invalid");
  EXPECT_EQ(read(kGpu + "min_freq"), "114750000");
  ASSERT_EQ(write(kGpu + "min_freq", "522750000"), "fine");
  EXPECT_EQ(write(kGpu + "max_freq", "420750000"), "invalid");
}

TEST_F(SimulatedTx2, GpuLimitsOutsideTheTableAreClampedToIt) {
  EXPECT_EQ(write(kGpu + "min_freq", "1"), "fine");
  EXPECT_EQ(read(kGpu + "min_freq"), "114750000");
  EXPECT_EQ(write(kGpu + "max_freq", "9999999999"), "fine");
  EXPECT_EQ(read(kGpu + "max_freq"), "1300500000");
  EXPECT_EQ(write(kGpu + "max_freq", "fast"), "invalid");
}

TEST_F(SimulatedTx2, GpuMaxZeroIsNoCap) {
  ASSERT_EQ(write(kGpu + "max_freq", "624750000"), "fine");
  EXPECT_EQ(write(kGpu + "max_freq", "0"), "fine");
  EXPECT_EQ(read(kGpu + "max_freq"), "0");
  sleep(0.1);
  EXPECT_EQ(machine->setting().gpu_max, Hertz(1300.5e6));
}

TEST_F(SimulatedTx2, CpuMinAboveMaxIsEinval) {
  ASSERT_EQ(write(kPolicy + "scaling_max_freq", "806400"), "fine");
  EXPECT_EQ(write(kPolicy + "scaling_min_freq", "1113600"), "invalid");
  EXPECT_EQ(read(kPolicy + "scaling_min_freq"), "345600");
  EXPECT_EQ(write(kPolicy + "scaling_max_freq", "9999999"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_max_freq"), "2035200");
  EXPECT_EQ(write(kPolicy + "scaling_max_freq", "abc"), "invalid");
}

TEST_F(SimulatedTx2, CpusHaveTwoClusters) {
  EXPECT_EQ(read(kPolicy + "related_cpus"), "0 3 4 5");
  EXPECT_EQ(read(kCpu + "cpufreq/policy1/related_cpus"), "1 2");
  ASSERT_EQ(write(kCpu + "cpu4/cpufreq/scaling_max_freq", "1113600"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_max_freq"), "1113600");
  EXPECT_EQ(read(kCpu + "cpu1/cpufreq/scaling_max_freq"), "2035200");
  EXPECT_EQ(read(kPolicy + "scaling_available_frequencies"),
            "345600 499200 652800 806400 960000 1113600 1267200 1420800 1574400 1728000 1881600 2035200");
}

TEST_F(SimulatedTx2, UserspaceGovernorPinsThroughSetspeed) {
  EXPECT_EQ(read(kPolicy + "scaling_setspeed"), "<unsupported>");
  EXPECT_EQ(write(kPolicy + "scaling_setspeed", "806400"), "invalid");
  EXPECT_EQ(write(kPolicy + "scaling_governor", "warp"), "invalid");
  ASSERT_EQ(write(kPolicy + "scaling_governor", "userspace"), "fine");
  ASSERT_EQ(write(kPolicy + "scaling_setspeed", "900000"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_cur_freq"), "960000");  // rounded up
}

TEST_F(SimulatedTx2, AFullyOfflineClusterHasNoScalingFiles) {
  EXPECT_EQ(write(kCpu + "cpu1/online", "0"), "fine");
  EXPECT_EQ(read(kCpu + "cpufreq/policy1/affected_cpus"), "2");
  EXPECT_EQ(write(kCpu + "cpu2/online", "0"), "fine");
  EXPECT_EQ(read(kCpu + "cpufreq/policy1/scaling_max_freq"), "error not_found");
  EXPECT_EQ(read(kCpu + "online"), "0,3-5");
  EXPECT_EQ(read(kCpu + "offline"), "1-2");
  EXPECT_EQ(write(kCpu + "cpu2/online", "1"), "fine");
  EXPECT_EQ(read(kCpu + "cpufreq/policy1/scaling_max_freq"), "2035200");
  // cpu0 has the file on a Jetson; the last CPU stays.
  for (const char* cpu : {"0", "2", "3", "4"}) EXPECT_EQ(write(kCpu + "cpu" + cpu + "/online", "0"), "fine");
  EXPECT_EQ(write(kCpu + "cpu5/online", "0"), "busy");
  EXPECT_EQ(*online_cpus(host.files), 1);
}

TEST_F(SimulatedTx2, MemoryFollowsAWrittenRateOnlyWhileLocked) {
  EXPECT_EQ(read("/sys/kernel/debug/bpmp/debug/emc/possible_rates"),
            "40800 68000 102000 204000 408000 665600 800000 1062400 1331200 1600000 1866000 (kHz)");
  EXPECT_EQ(write(kEmc + "rate", "800000000"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "1866000000");
  ASSERT_EQ(write(kEmc + "mrq_rate_locked", "1"), "fine");
  EXPECT_EQ(write(kEmc + "rate", "800000000"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "800000000");
  EXPECT_EQ(machine->clocks().mem, Hertz(1866e6));  // not yet
  sleep(0.009);
  EXPECT_EQ(machine->clocks().mem, Hertz(800e6));
  EXPECT_EQ(read("/sys/kernel/debug/clk/emc/clk_rate"), "800000000");
  EXPECT_EQ(write(kEmc + "rate", "900000000"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "1062400000");  // rounded up
  EXPECT_EQ(write(kEmc + "state", "1"), "fine");
  EXPECT_EQ(read(kEmc + "state"), "1");
  EXPECT_EQ(write(kEmc + "mrq_rate_locked", "0"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "1866000000");
}

TEST_F(SimulatedTx2, MemoryCapShowsTheNumberLastWrittenAndZeroIsNone) {
  EXPECT_EQ(read(kCap), "0");
  EXPECT_EQ(write(kCap, "1331200000"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "1331200000");
  EXPECT_EQ(write(kCap, "12345"), "fine");
  EXPECT_EQ(read(kCap), "12345");
  EXPECT_EQ(read(kEmc + "rate"), "40800000");
  // The cap is the bandwidth manager's: a locked clock does not ask it.
  ASSERT_EQ(write(kEmc + "mrq_rate_locked", "1"), "fine");
  EXPECT_EQ(write(kEmc + "rate", "1600000000"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "1600000000");
  EXPECT_EQ(write(kEmc + "mrq_rate_locked", "0"), "fine");
  EXPECT_EQ(write(kCap, "0"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "1866000000");
}

TEST_F(SimulatedTx2, PowerMonitorsSpeakIio) {
  EXPECT_EQ(read(kMonitor + "rail_name_0"), "VDD_IN");
  EXPECT_EQ(read("/sys/bus/i2c/drivers/ina3221x/0-0041/iio_device/rail_name_2"), "VDD_SYS_DDR");
  EXPECT_EQ(read("/sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0/rail_name_0"), "VDD_SYS_GPU");
  EXPECT_EQ(read("/sys/bus/i2c/drivers/ina3221x/0-0042/iio:device2/rail_name_0"), "VDD_MUX");
  EXPECT_EQ(read(kMonitor + "crit_current_limit_0"), "32760 ma");
  const long long millivolts = *read_integer(host.files, kMonitor + "in_voltage0_input");
  const long long milliamperes = *read_integer(host.files, kMonitor + "in_current0_input");
  EXPECT_EQ(millivolts % 8, 0);
  EXPECT_EQ(milliamperes % 8, 0);
  EXPECT_EQ(*read_integer(host.files, kMonitor + "in_power0_input"), millivolts * milliamperes / 1000);
}

TEST_F(SimulatedTx2, ATriggeredReadConvertsAndAContinuousOneIsAveraged) {
  const auto cost = [&] {
    const auto before = host.clock.now();
    (void)read(kMonitor + "in_power0_input");
    return (host.clock.now() - before).count();
  };
  EXPECT_EQ(read(kMonitor + "running_mode"), "0");
  EXPECT_NEAR(cost(), 3 * 2.2e-3 + 2 * 0.55e-3, 1e-9);
  ASSERT_EQ(write(kMonitor + "running_mode", "1"), "fine");
  EXPECT_NEAR(cost(), 2 * 0.55e-3, 1e-9);
  sleep(1.0);
  // 64 averages of three channels are 422 ms: what it shows is old.
  const long long idle = *read_integer(host.files, kMonitor + "in_power0_input");
  for (int i = 0; i < 3; ++i) (void)machine->run_batch("bert-base", Precision::kFp16, 1);
  const auto began = host.clock.now();
  long long last = 0;
  while ((last = *read_integer(host.files, kMonitor + "in_power0_input")) < idle * 5 / 4) {
    (void)machine->run_batch("bert-base", Precision::kFp16, 1);
    ASSERT_LT((host.clock.now() - began).count(), 2.0);
  }
  EXPECT_EQ(write(kMonitor + "running_mode", "-1"), "fine");
  EXPECT_EQ(read(kMonitor + "running_mode"), "0");
}

TEST_F(SimulatedTx2, PmicDieIsAlwaysAHundredDegrees) {
  std::string pmic;
  const auto names = host.files.list("/sys/class/thermal");
  ASSERT_TRUE(names);
  for (const auto& name : *names) {
    if (read("/sys/class/thermal/" + name + "/type") == "PMIC-Die") pmic = "/sys/class/thermal/" + name + "/temp";
  }
  EXPECT_EQ(read(pmic), "100000");
  EXPECT_EQ(read("/sys/class/thermal/thermal_zone2/type"), "GPU-therm");
  EXPECT_EQ(*read_integer(host.files, "/sys/class/thermal/thermal_zone2/temp") % 500, 0);
  EXPECT_EQ(read("/sys/class/thermal/thermal_zone2/trip_point_0_type"), "passive");
}

TEST_F(SimulatedTx2, NothingCanBeMadeInSysfs) {
  EXPECT_EQ(host.files.make_folder("/sys/fs/cgroup/x").error().code, Errc::kPermission);
  EXPECT_EQ(host.files.writable(kGpu + "cur_freq").error().code, Errc::kPermission);
  EXPECT_EQ(write(kGpu + "cur_freq", "1"), "permission");
  EXPECT_TRUE(host.files.writable(kGpu + "max_freq"));
  EXPECT_EQ(host.files.writable("/sys/none").error().code, Errc::kNotFound);
  EXPECT_FALSE(host.files.read("/sys/devices"));
}

}  // namespace
}  // namespace polythrottle::simulation
