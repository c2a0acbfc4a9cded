// Every quirk of an AGX Orin under JetPack 5 that docs/hardware.md names and the simulation has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "host/simulation/machine.h"

namespace polythrottle::simulation {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kGpu = "/sys/devices/17000000.ga10b/devfreq/17000000.ga10b/";
const std::string kEmc = "/sys/kernel/debug/bpmp/debug/clk/emc/";
const std::string kCpu = "/sys/devices/system/cpu/";
const std::string kPolicy = kCpu + "cpufreq/policy0/";
const std::string kMonitor = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/";

class SimulatedOrin : public ::testing::Test {
 protected:
  SimulatedOrin() : machine(std::move(*Machine::make("jetson-orin", {.noise = false}))), host(machine->host()) {}
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

TEST_F(SimulatedOrin, SaysWhatItIs) {
  EXPECT_THAT(read("/proc/device-tree/model"), HasSubstr("Jetson AGX Orin Developer Kit"));
  EXPECT_THAT(*host.files.read("/proc/device-tree/compatible"), HasSubstr("p3701-0000"));
  EXPECT_THAT(*host.files.read("/sys/firmware/devicetree/base/compatible"), HasSubstr("nvidia,tegra234"));
  EXPECT_THAT(read("/etc/nv_tegra_release"), HasSubstr("# R35 (release), REVISION: 4.1"));
  EXPECT_THAT(read("/etc/nvpmodel.conf"), HasSubstr("< POWER_MODEL ID=3 NAME=MODE_50W >"));
  EXPECT_EQ(*online_cpus(host.files), 12);
}

TEST_F(SimulatedOrin, GpuIsFoundUnderAllItsNames) {
  for (const char* folder : {"/sys/devices/gpu.0/devfreq/17000000.ga10b", "/sys/class/devfreq/17000000.ga10b",
                             "/sys/devices/platform/gpu.0/devfreq/17000000.ga10b"}) {
    EXPECT_EQ(read(std::string(folder) + "/min_freq"), "114750000") << folder;
  }
  EXPECT_THAT(read("/sys/class/devfreq/17000000.ga10b/device/of_node/compatible"), HasSubstr("nvidia,ga10b"));
}

TEST_F(SimulatedOrin, GpuMinAboveMaxIsAcceptedAndMaxWins) {
  ASSERT_EQ(write(kGpu + "max_freq", "624750000"), "fine");
  EXPECT_EQ(write(kGpu + "min_freq", "930750000"), "fine");
  EXPECT_EQ(read(kGpu + "min_freq"), "624750000");
  EXPECT_EQ(read(kGpu + "max_freq"), "624750000");
  // The request was remembered.
  EXPECT_EQ(write(kGpu + "max_freq", "1300500000"), "fine");
  EXPECT_EQ(read(kGpu + "min_freq"), "930750000");
}

TEST_F(SimulatedOrin, GpuLimitOffTheTableIsKeptAndTheClockRoundsUp) {
  EXPECT_EQ(write(kGpu + "max_freq", "200000000"), "fine");
  EXPECT_EQ(read(kGpu + "max_freq"), "200000000");
  EXPECT_EQ(write(kGpu + "min_freq", "200000000"), "fine");
  sleep(0.1);
  EXPECT_EQ(read(kGpu + "cur_freq"), "216750000");  // above the shown maximum
}

TEST_F(SimulatedOrin, GpuRequestsAreKeptInKilohertz) {
  EXPECT_EQ(write(kGpu + "min_freq", "624750123"), "fine");
  EXPECT_EQ(write(kGpu + "max_freq", "726750123"), "fine");
  EXPECT_EQ(read(kGpu + "min_freq"), "624750000");
  EXPECT_EQ(read(kGpu + "max_freq"), "726751000");
}

TEST_F(SimulatedOrin, GpuZeroRemovesALimit) {
  ASSERT_EQ(write(kGpu + "max_freq", "624750000"), "fine");
  ASSERT_EQ(write(kGpu + "min_freq", "420750000"), "fine");
  EXPECT_EQ(write(kGpu + "max_freq", "0"), "fine");
  EXPECT_EQ(write(kGpu + "min_freq", "0"), "fine");
  EXPECT_EQ(read(kGpu + "max_freq"), "1300500000");
  EXPECT_EQ(read(kGpu + "min_freq"), "114750000");
  EXPECT_EQ(write(kGpu + "max_freq", "-1"), "invalid");
}

TEST_F(SimulatedOrin, GpuGovernorsComeWithTheirFiles) {
  EXPECT_EQ(write(kGpu + "governor", "warp"), "not_found");
  EXPECT_EQ(read(kGpu + "userspace/set_freq"), "error not_found");
  EXPECT_THAT(*host.files.list(kGpu.substr(0, kGpu.size() - 1)), Not(Contains("userspace")));
  ASSERT_EQ(write(kGpu + "governor", "userspace"), "fine");
  ASSERT_EQ(write(kGpu + "userspace/set_freq", "600000000"), "fine");
  EXPECT_EQ(read(kGpu + "cur_freq"), "624750000");
  ASSERT_EQ(write(kGpu + "governor", "performance"), "fine");
  EXPECT_EQ(read(kGpu + "cur_freq"), "1300500000");
}

TEST_F(SimulatedOrin, GpuLoadIsInTenthsOfAPercentAndSlowToRead) {
  const auto before = host.clock.now();
  EXPECT_EQ(read("/sys/devices/gpu.0/load"), "0");
  EXPECT_NEAR((host.clock.now() - before).count(), 320e-6, 1e-9);
  for (int i = 0; i < 20; ++i) (void)machine->run_batch("efficientnet-b7", Precision::kFp16, 8);
  EXPECT_GT(*read_integer(host.files, "/sys/devices/gpu.0/load"), 800);
  EXPECT_LE(*read_integer(host.files, "/sys/devices/gpu.0/load"), 1000);
}

TEST_F(SimulatedOrin, CpuRequestsAreRememberedAndMaxWins) {
  ASSERT_EQ(write(kPolicy + "scaling_max_freq", "806400"), "fine");
  EXPECT_EQ(write(kPolicy + "scaling_min_freq", "1190400"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_min_freq"), "806400");
  EXPECT_EQ(write(kPolicy + "scaling_max_freq", "2201600"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_min_freq"), "1190400");
}

TEST_F(SimulatedOrin, CpuLimitsRoundToTheTable) {
  EXPECT_EQ(write(kPolicy + "scaling_max_freq", "1000000"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_max_freq"), "960000");
  EXPECT_EQ(write(kPolicy + "scaling_min_freq", "900000"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_min_freq"), "960000");
  EXPECT_EQ(write(kPolicy + "scaling_min_freq", "1000000"), "fine");
  EXPECT_EQ(read(kPolicy + "scaling_min_freq"), "1036800");
  EXPECT_EQ(read(kPolicy + "scaling_max_freq"), "1036800");  // above the request
  for (const char* low : {"0", "1"}) {
    EXPECT_EQ(write(kPolicy + "scaling_max_freq", low), "fine");
    EXPECT_EQ(read(kPolicy + "scaling_max_freq"), "115200");
  }
  for (const char* high : {"2147483647", "9223372036854775807"}) {
    EXPECT_EQ(write(kPolicy + "scaling_max_freq", high), "fine");
    EXPECT_EQ(read(kPolicy + "scaling_max_freq"), "2201600");
  }
  for (const char* bad : {"-1", "abc", "", "1000abc"}) EXPECT_EQ(write(kPolicy + "scaling_max_freq", bad), "invalid") << bad;
}

TEST_F(SimulatedOrin, CpusHaveThreeClustersAndAnOfflineOneIsBusy) {
  EXPECT_THAT(*host.files.list(kCpu + "cpufreq"), ElementsAre("policy0", "policy4", "policy8"));
  ASSERT_EQ(write(kCpu + "cpufreq/policy8/scaling_max_freq", "1036800"), "fine");
  for (const char* cpu : {"8", "9", "10", "11"}) ASSERT_EQ(write(kCpu + "cpu" + cpu + "/online", "0"), "fine");
  EXPECT_EQ(read(kCpu + "cpufreq/policy8/scaling_max_freq"), "error busy");
  EXPECT_THAT(*host.files.list(kCpu + "cpufreq"), Contains("policy8"));
  ASSERT_EQ(write(kCpu + "cpu9/online", "1"), "fine");
  EXPECT_EQ(read(kCpu + "cpufreq/policy8/scaling_max_freq"), "1036800");
  EXPECT_EQ(read(kCpu + "cpufreq/policy8/affected_cpus"), "9");
  EXPECT_EQ(*online_cpus(host.files), 9);
}

TEST_F(SimulatedOrin, MemoryRoundsUpToLockablePoints) {
  ASSERT_EQ(write(kEmc + "mrq_rate_locked", "1"), "fine");
  ASSERT_EQ(write(kEmc + "rate", "1701500000"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "2133000000");
  ASSERT_EQ(write(kEmc + "rate", "1"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "204000000");
  ASSERT_EQ(write(kEmc + "rate", "9999999999"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "3199000000");
  EXPECT_EQ(read("/sys/kernel/debug/bpmp/debug/emc/possible_rates"), "204000 665600 2133000 3199000 (kHz)");
  EXPECT_EQ(write(kEmc + "rate", "fast"), "invalid");
  ASSERT_EQ(write(kEmc + "max_rate", "665600000"), "fine");
  EXPECT_EQ(read(kEmc + "rate"), "665600000");
}

TEST_F(SimulatedOrin, ALowLockedMemoryClockStaysLowUnderLoad) {
  ASSERT_EQ(write(kEmc + "mrq_rate_locked", "1"), "fine");
  ASSERT_EQ(write(kEmc + "rate", "204000000"), "fine");
  for (int i = 0; i < 5; ++i) (void)machine->run_batch("efficientnet-b0", Precision::kFp16, 1);
  EXPECT_EQ(machine->clocks().mem, Hertz(204e6));
}

TEST_F(SimulatedOrin, PowerMonitorsSpeakHwmon) {
  EXPECT_EQ(read(kMonitor + "name"), "ina3221");
  EXPECT_EQ(read("/sys/class/hwmon/hwmon3/in1_label"), "VDD_GPU_SOC");
  EXPECT_EQ(read("/sys/class/hwmon/hwmon4/in1_label"), "NC");
  EXPECT_EQ(read("/sys/class/hwmon/hwmon4/in2_label"), "VDDQ_VDD2_1V8AO");
  EXPECT_EQ(read(kMonitor + "in7_label"), "sum of shunt voltages");
  EXPECT_EQ(read(kMonitor + "power1_input"), "error not_found");
  EXPECT_EQ(read(kMonitor + "update_interval"), "7");
  EXPECT_EQ(read(kMonitor + "samples"), "1");
  ASSERT_EQ(write(kMonitor + "samples", "16"), "fine");
  EXPECT_EQ(read(kMonitor + "update_interval"), "106");
  EXPECT_EQ(read(kMonitor + "shunt1_resistor"), "2000");
  EXPECT_EQ(*read_integer(host.files, kMonitor + "in1_input") % 8, 0);
  EXPECT_EQ(*read_integer(host.files, kMonitor + "curr1_input") % 20, 0);
}

TEST_F(SimulatedOrin, ARegisterTakesMoreThanHalfAMillisecond) {
  const auto before = host.clock.now();
  for (const char* node : {"in1_input", "curr1_input", "in2_input", "curr2_input", "in3_input", "curr3_input"}) (void)read(kMonitor + node);
  EXPECT_NEAR((host.clock.now() - before).count(), 6 * 0.55e-3, 1e-9);
}

TEST_F(SimulatedOrin, UnpoweredZonesSayTryAgain) {
  EXPECT_EQ(read("/sys/class/thermal/thermal_zone2/type"), "cv0-thermal");
  EXPECT_EQ(read("/sys/class/thermal/thermal_zone2/temp"), "error busy");
  EXPECT_EQ(read("/sys/class/thermal/thermal_zone8/type"), "tj-thermal");
  EXPECT_GT(*read_integer(host.files, "/sys/class/thermal/thermal_zone8/temp"), 25000);
}

TEST_F(SimulatedOrin, OverCurrentCountersAreThere) {
  EXPECT_EQ(read("/sys/class/hwmon/hwmon2/name"), "soctherm_oc");
  for (const char* event : {"oc1", "oc2", "oc3"}) {
    EXPECT_EQ(read("/sys/devices/platform/soctherm-oc-event/hwmon/hwmon2/" + std::string(event) + "_event_cnt"), "0");
  }
}

TEST_F(SimulatedOrin, AClockFileTakesSeventeenMillisecondsToWriteAndTheClockFiveMore) {
  const auto before = host.clock.now();
  ASSERT_EQ(write(kGpu + "max_freq", "624750000"), "fine");
  EXPECT_NEAR((host.clock.now() - before).count(), 17e-3, 1e-9);
  EXPECT_EQ(read(kGpu + "max_freq"), "624750000");
  EXPECT_EQ(machine->setting().gpu_max, Hertz(1300.5e6));
  sleep(4.9e-3);
  EXPECT_EQ(machine->setting().gpu_max, Hertz(1300.5e6));
  sleep(0.2e-3);
  EXPECT_EQ(machine->setting().gpu_max, Hertz(624.75e6));
}

}  // namespace
}  // namespace polythrottle::simulation
