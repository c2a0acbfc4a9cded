#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake.h"
#include "meter/meter.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;

Gauge* find(const std::vector<std::unique_ptr<Gauge>>& gauges, std::string_view name) {
  for (const auto& gauge : gauges) {
    if (gauge->name() == name) return gauge.get();
  }
  return nullptr;
}

/// A machine of these nodes, and its gauges.
struct Gauged {
  explicit Gauged(std::map<std::string, std::string> nodes) : files(std::move(nodes)), gauges(discover_gauges(host)) {}
  Gauged(const Gauged&) = delete;
  Gauged& operator=(const Gauged&) = delete;
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  std::vector<std::unique_ptr<Gauge>> gauges;
  Gauge* operator[](std::string_view name) const { return find(gauges, name); }
  double value(std::string_view name) const {
    Gauge* const gauge = find(gauges, name);
    if (gauge == nullptr) return -1.0;
    const auto read = gauge->read();
    return read ? *read : -2.0;
  }
};

TEST(Gauges, GiveTheHottestSaneZoneAndTheResidentSet) {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  const std::string zones = "/sys/class/thermal/thermal_zone";
  files.nodes = {{zones + "0/temp", "27800\n"},
                 {zones + "1/temp", "-274000\n"},
                 {zones + "2/temp", "61500\n"},
                 {zones + "3/temp", "2147483\n"},
                 {"/sys/class/thermal/cooling_device0/temp", "99000\n"},
                 {"/proc/self/status", "Name:\tx\nVmHWM:\t 9999 kB\nVmRSS:\t    2048 kB\n"}};
  files.refuse_read[zones + "2/type"] = EIO;
  const auto gauges = discover_gauges(host);
  ASSERT_EQ(gauges.size(), 2u);
  EXPECT_EQ(gauges[0]->name(), "temperature_celsius");
  EXPECT_DOUBLE_EQ(*gauges[0]->read(), 61.5);
  EXPECT_EQ(gauges[1]->name(), "memory_bytes");
  EXPECT_DOUBLE_EQ(*gauges[1]->read(), 2048.0 * 1024.0);
  files.refuse_read[zones + "2/temp"] = EAGAIN;  // asleep
  EXPECT_DOUBLE_EQ(*gauges[0]->read(), 27.8);
}

TEST(Gauges, AreLeftOutWhereNothingIsToRead) {
  FakeFiles files(
      std::map<std::string, std::string>{{"/sys/class/thermal/thermal_zone0/temp", "-274000\n"}, {"/proc/self/status", "Name:\tx\n"}});
  FakeClock clock;
  Host host{files, clock};
  EXPECT_TRUE(discover_gauges(host).empty());
}

TEST(ThrottleEvents, AddUpTheOverCurrentCountersSinceBoot) {
  const auto files = real_files(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-agx-orin-jp5");
  FakeClock clock;
  Host host{*files, clock};
  bool seen = false;
  for (const auto& gauge : discover_gauges(host)) {
    EXPECT_EQ(gauge->counts(), gauge->name() == "throttle_events");
    if (!gauge->counts()) continue;
    seen = true;
    EXPECT_EQ(*gauge->read(), 3.0);
  }
  EXPECT_TRUE(seen);
}

TEST(Gauges, TellClocksUtilizationAndMemoryOfABoard) {
  const std::string policies = "/sys/devices/system/cpu/cpufreq/policy";
  const Gauged machine({{policies + "0/scaling_cur_freq", "1000000\n"},
                        {policies + "4/scaling_cur_freq", "2000000\n"},
                        {"/sys/class/devfreq/17000000.ga10b/cur_freq", "1300500000\n"},
                        {"/sys/class/devfreq/gpu-nvd-0/cur_freq", "1\n"},
                        {"/sys/kernel/debug/bpmp/debug/clk/emc/rate", "3199000000\n"},
                        {"/sys/devices/17000000.ga10b/load", "437\n"},
                        {"/proc/meminfo", "MemTotal:       32000000 kB\nMemFree: 1 kB\nMemAvailable:   24000000 kB\n"}});
  EXPECT_EQ(machine.value("cpu_clock_hertz"), 1.5e9);
  EXPECT_EQ(machine.value("gpu_clock_hertz"), 1.3005e9);
  EXPECT_EQ(machine.value("mem_clock_hertz"), 3.199e9);
  EXPECT_DOUBLE_EQ(machine.value("gpu_utilization_ratio"), 0.437);
  EXPECT_EQ(machine.value("system_memory_bytes"), 8e6 * 1024.0);
  for (const auto& gauge : machine.gauges) EXPECT_FALSE(gauge->counts()) << gauge->name();
}

TEST(Gauges, UnderstandTheLoadOfARockchip) {
  const Gauged machine(
      {{"/sys/class/devfreq/fb000000.gpu/load", "45@600000000Hz\n"}, {"/sys/class/devfreq/fb000000.gpu/cur_freq", "600000000\n"}});
  EXPECT_DOUBLE_EQ(machine.value("gpu_utilization_ratio"), 0.45);
  EXPECT_EQ(machine.value("gpu_clock_hertz"), 6e8);
}

TEST(Gauges, TellTheNvidiaCardThatIsTuned) {
  const Gauged machine({{"/nvml/GPU-b/index", "1\n"},
                        {"/nvml/GPU-b/name", "other\n"},
                        {"/nvml/GPU-b/temperature_celsius", "90\n"},
                        {"/nvml/GPU-a/index", "0\n"},
                        {"/nvml/GPU-a/name", "tuned\n"},
                        {"/nvml/GPU-a/temperature_celsius", "45\n"},
                        {"/nvml/GPU-a/utilization_percent", "80\n"},
                        {"/nvml/GPU-a/memory_used_bytes", "1073741824\n"},
                        {"/nvml/GPU-a/graphics_clock_mhz", "1410\n"},
                        {"/nvml/GPU-a/memory_clock_mhz", "1215\n"}});
  EXPECT_EQ(machine.value("gpu_temperature_celsius"), 45.0);
  EXPECT_DOUBLE_EQ(machine.value("gpu_utilization_ratio"), 0.8);
  EXPECT_EQ(machine.value("gpu_memory_bytes"), 1073741824.0);
  EXPECT_EQ(machine.value("gpu_clock_hertz"), 1.41e9);
  EXPECT_EQ(machine.value("mem_clock_hertz"), 1.215e9);
}

TEST(Gauges, SkipWhatSleepsAndNeverCallItZero) {
  const std::string clock = "/sys/class/devfreq/17000000.gpu/cur_freq";
  Gauged machine(std::map<std::string, std::string>{{clock, "0\n"}, {"/sys/devices/gpu.0/load", "10\n"}});
  Gauge* const gated = machine["gpu_clock_hertz"];
  ASSERT_NE(gated, nullptr) << "it will wake up";
  EXPECT_EQ(gated->read().error().code, Errc::kBusy);
  machine.files.nodes[clock] = "306000000\n";
  EXPECT_EQ(*gated->read(), 3.06e8);
  machine.files.refuse_read["/sys/devices/gpu.0/load"] = EAGAIN;
  EXPECT_EQ(machine["gpu_utilization_ratio"]->read().error().code, Errc::kBusy);
}

TEST(CpuUtilization, IsThatSinceItWasReadBefore) {
  Gauged machine(std::map<std::string, std::string>{{"/proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n"}});
  EXPECT_NEAR(machine.value("cpu_utilization_ratio"), 0.2, 1e-12) << "since boot";
  EXPECT_NEAR(machine.value("cpu_utilization_ratio"), 0.2, 1e-12) << "no time has passed";
  machine.files.nodes["/proc/stat"] = "cpu  160 0 120 710 110 0 0 0 50 0\n";
  EXPECT_NEAR(machine.value("cpu_utilization_ratio"), 0.8, 1e-12) << "guests are in user time already";
  machine.files.nodes["/proc/stat"] = "cpu0 1 2 3\n";
  EXPECT_EQ(machine["cpu_utilization_ratio"]->read().error().code, Errc::kCorrupt);
}

TEST(ThrottleEvents, SayWhatHappenedBetweenTwoReadings) {
  const std::string hwmon = "/sys/class/hwmon/hwmon";
  const std::string thermal = "/sys/class/thermal/cooling_device";
  const std::string cpu = "/sys/devices/system/cpu/cpu";
  Gauged machine({{hwmon + "0/name", "soctherm_oc\n"},
                  {hwmon + "0/oc2_event_cnt", "7\n"},
                  {hwmon + "1/name", "ina3221\n"},
                  {hwmon + "1/curr1_crit_alarm", "0\n"},
                  {hwmon + "2/name", "nct6775\n"},
                  {hwmon + "2/curr1_crit_alarm", "1\n"},
                  {thermal + "0/type", "cpufreq-cpu0\n"},
                  {thermal + "0/cur_state", "2\n"},
                  {thermal + "1/type", "gpu-throttle-alert\n"},
                  {thermal + "1/cur_state", "0\n"},
                  {thermal + "2/type", "pwm-fan\n"},
                  {thermal + "2/cur_state", "0\n"},
                  {cpu + "0/thermal_throttle/core_throttle_count", "3\n"},
                  {cpu + "0/thermal_throttle/package_throttle_count", "4\n"}});
  Gauge* const events = machine["throttle_events"];
  ASSERT_NE(events, nullptr);
  ASSERT_TRUE(events->counts());
  const double before = *events->read();
  EXPECT_EQ(before, 14.0) << "since boot, and a clock that was held down already";
  EXPECT_EQ(events->what(), "");
  const std::pair<std::pair<std::string, std::string>, const char*> happenings[] = {
      {{hwmon + "0/oc2_event_cnt", "9\n"}, "average over-current (oc2)"},
      {{hwmon + "1/curr1_crit_alarm", "1\n"}, "over-current (curr1)"},
      {{thermal + "0/cur_state", "3\n"}, "held down by heat (cpufreq-cpu0)"},
      {{thermal + "1/cur_state", "1\n"}, "held down by heat (gpu-throttle-alert)"},
      {{cpu + "0/thermal_throttle/core_throttle_count", "4\n"}, "a CPU core too hot"},
      {{cpu + "0/thermal_throttle/package_throttle_count", "5\n"}, "a CPU package too hot"}};
  double last = before;
  for (const auto& [change, words] : happenings) {
    std::string& node = machine.files.nodes[change.first];
    const std::string usual = node;
    node = change.second;
    const double now = *events->read();
    EXPECT_GT(now, last) << words;
    EXPECT_EQ(events->what(), words);
    last = now;
    if (usual == "0\n") node = usual;
  }
  machine.files.nodes[thermal + "2/cur_state"] = "5\n";
  machine.files.nodes[thermal + "0/cur_state"] = "0\n";
  EXPECT_EQ(*events->read(), last) << "a fan slows nothing down, and cooling off is no event";
}

TEST(ThrottleEvents, WhatCannotBeReadForAMomentIsNoEventWhenItCanAgain) {
  const std::string count = "/sys/class/hwmon/hwmon0/oc1_event_cnt";
  Gauged machine(std::map<std::string, std::string>{{"/sys/class/hwmon/hwmon0/name", "soctherm_oc\n"}, {count, "7\n"}});
  Gauge* const events = machine["throttle_events"];
  machine.files.refuse_read[count] = EAGAIN;
  EXPECT_EQ(*events->read(), 7.0);
  machine.files.refuse_read.clear();
  EXPECT_EQ(*events->read(), 7.0);
  EXPECT_EQ(events->what(), "");
}

TEST(ThrottleEvents, OfAnNvidiaCardAreHeatAndBrakeAndNoPowerLimit) {
  std::map<std::string, std::string> nodes{
      {"/nvml/GPU-a/index", "0\n"}, {"/nvml/GPU-a/name", "NVIDIA L4\n"}, {"/nvml/GPU-a/clocks_event_reasons", "0x0000000000000004\n"}};
  Gauged by_bits(nodes);
  Gauge* events = by_bits["throttle_events"];
  ASSERT_NE(events, nullptr);
  const double before = *events->read();
  EXPECT_EQ(*events->read(), before) << "it keeps to its power limit";
  by_bits.files.nodes["/nvml/GPU-a/clocks_event_reasons"] = "0x0000000000000024\n";
  EXPECT_GT(*events->read(), before);
  EXPECT_THAT(events->what(), HasSubstr("heat"));

  nodes["/nvml/GPU-a/clocks_event_reasons"] = "0x0000000000000020\n";
  nodes["/nvml/GPU-a/hardware_thermal_slowdown_ns"] = "5000000\n";
  Gauged by_time(nodes);
  events = by_time["throttle_events"];
  const double since = *events->read();
  EXPECT_EQ(*events->read(), since) << "where the time is told it decides";
  by_time.files.nodes["/nvml/GPU-a/hardware_thermal_slowdown_ns"] = "6000000\n";
  EXPECT_EQ(*events->read(), since + 1.0);
  EXPECT_EQ(events->what(), "GPU slowed itself down against heat");
}

}  // namespace
}  // namespace polythrottle
