#include "knob/nvpmodel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr double kNone = std::numeric_limits<double>::infinity();

/// As on an Orin Nano with JetPack 6: paths of two kernels, clocks of more than 32 bits, a mode that takes CPUs offline.
const std::string kOrinNano =
    "# comment < POWER_MODEL ID=9 NAME=NONE >\r\n"
    "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
    "CORE_0 /sys/devices/system/cpu/cpu0/online\n"
    "CORE_1 /sys/devices/system/cpu/cpu1/online\n"
    "< PARAM TYPE=FILE NAME=GPU_POWER_CONTROL_ENABLE >\n"
    "GPU_PWR_CNTL_EN /sys/devices/gpu.0/power/control\n"
    "< PARAM TYPE=CLOCK NAME=CPU_A78_0 >\n"
    "FREQ_TABLE /sys/devices/system/cpu/cpu0/cpufreq/scaling_available_frequencies\n"
    "MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq\n"
    "MIN_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq\n"
    "MAX_FREQ_KNEXT /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq\n"
    "< PARAM TYPE=CLOCK NAME=GPU >\n"
    "MAX_FREQ /sys/devices/17000000.ga10b/devfreq/17000000.ga10b/max_freq\n"
    "MAX_FREQ_KNEXT /sys/devices/platform/17000000.gpu/devfreq_dev/max_freq\n"
    "< PARAM TYPE=CLOCK NAME=EMC >\n"
    "MAX_FREQ /sys/kernel/nvpmodel_emc_cap/emc_iso_cap\n"
    "MAX_FREQ_KNEXT /sys/kernel/nvpmodel_clk_cap/emc\n"
    "\n"
    "< POWER_MODEL ID=0 NAME=15W >\n"
    "CPU_ONLINE CORE_0 1\n"
    "CPU_ONLINE CORE_1 1\n"
    "GPU_POWER_CONTROL_ENABLE GPU_PWR_CNTL_EN on\n"
    "CPU_A78_0 MIN_FREQ 729600\n"
    "CPU_A78_0 MAX_FREQ 1497600 # kHz\n"
    "GPU MIN_FREQ 0\n"
    "GPU MAX_FREQ 612000000\n"
    "EMC MAX_FREQ 2133000000\n"
    "DLA0_CORE MAX_FREQ 614400000\n"
    "< POWER_MODEL ID=1 NAME=25W >\n"
    "CPU_A78_0 MAX_FREQ 1344000\n"
    "GPU MAX_FREQ 918000000\n"
    "EMC MAX_FREQ 3199000000\n"
    "< POWER_MODEL NAME=MAXN_SUPER ID=2 >\n"
    "CPU_A78_0 MAX_FREQ -1\n"
    "GPU MAX_FREQ -1\n"
    "EMC MAX_FREQ 0\n"
    "< POWER_MODEL ID=3 NAME=7W >\n"
    "CPU_ONLINE CORE_0 1\n"
    "CPU_ONLINE CORE_1 0\n"
    "GPU MAX_FREQ 408000000\n"
    "< PM_CONFIG DEFAULT=1 >\n"
    "< FAN_CONFIG DEFAULT=quiet >\n"
    "GPU MAX_FREQ 1\n";

const PowerMode& mode(const NvpModel& model, int id) {
  for (const auto& one : model.modes) {
    if (one.id == id) return one;
  }
  throw std::runtime_error("no such mode");
}

TEST(NvpModel, ReadsModesAndTheirCapsAndNothingElse) {
  const auto model = parse_nvpmodel(kOrinNano);
  ASSERT_TRUE(model);
  ASSERT_EQ(model->modes.size(), 4u);
  EXPECT_EQ(model->default_id, 1);
  EXPECT_EQ(model->set_id, std::nullopt);
  EXPECT_THAT(model->cpus, ElementsAre(0, 1));
  EXPECT_EQ(mode(*model, 0).label(), "0 15W");
  EXPECT_THAT(mode(*model, 0).cpu_max_hz, ElementsAre(Pair(0, 1497.6e6)));
  EXPECT_EQ(mode(*model, 0).gpu_max_hz, 612e6);
  EXPECT_EQ(mode(*model, 0).mem_max_hz, 2133e6);
  EXPECT_THAT(mode(*model, 0).offline, IsEmpty());
  EXPECT_EQ(mode(*model, 1).mem_max_hz, 3199e6);  // beyond 32 bits
  EXPECT_EQ(mode(*model, 2).name, "MAXN_SUPER");
  EXPECT_THAT(mode(*model, 2).cpu_max_hz, ElementsAre(Pair(0, kNone)));
  EXPECT_EQ(mode(*model, 2).gpu_max_hz, kNone);
  EXPECT_EQ(mode(*model, 2).mem_max_hz, kNone);
  EXPECT_THAT(mode(*model, 3).cpu_max_hz, IsEmpty());
  EXPECT_EQ(mode(*model, 3).mem_max_hz, std::nullopt);
  EXPECT_THAT(mode(*model, 3).offline, ElementsAre(1));
  EXPECT_EQ(mode(*model, 3).gpu_max_hz, 408e6);  // the line behind FAN_CONFIG belongs to no mode
}

TEST(NvpModel, TheNamesOfClocksAreOfTheBoard) {
  const auto model = parse_nvpmodel(
      "< PARAM TYPE=CLOCK NAME=CPU_DENVER >\nMAX_FREQ /sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq\n"
      "< PARAM TYPE=CLOCK NAME=LITTLE >\nMAX_FREQ /sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq\n"
      "< PARAM TYPE=CLOCK NAME=GPC >\nMAX_FREQ /sys/class/devfreq/gpu-gpc-0/max_freq\n"
      "< PARAM TYPE=CLOCK NAME=NVD >\nMAX_FREQ /sys/class/devfreq/gpu-nvd-0/max_freq\n"
      "< POWER_MODEL ID=0 NAME=X >\nCPU_DENVER MAX_FREQ 1400000\nLITTLE MAX_FREQ 1200000\nGPC MAX_FREQ 1386000000\nNVD MAX_FREQ 5\n");
  ASSERT_TRUE(model);
  EXPECT_THAT(model->modes[0].cpu_max_hz, ElementsAre(Pair(1, 1400e6), Pair(4, 1200e6)));
  EXPECT_EQ(model->modes[0].gpu_max_hz, 1386e6);
  EXPECT_EQ(model->modes[0].cpu_cap({1, 2}), 1400e6);
  EXPECT_EQ(model->modes[0].cpu_cap({1, 4}), 1200e6);
  EXPECT_EQ(model->modes[0].cpu_cap({0, 3}), std::nullopt);
}

TEST(NvpModel, ReadsThePlainPathsOfTheFirstTx2Too) {
  const auto model = parse_nvpmodel(
      "< POWER_MODEL ID=1 NAME=MAXQ >\n/sys/devices/system/cpu/cpu1/online 0\n"
      "/sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq 0\n/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq 1200000\n"
      "/sys/devices/17000000.gp10b/devfreq/17000000.gp10b/max_freq 850000000\n/sys/kernel/nvpmodel_emc_cap/emc_iso_cap 1331200000\n"
      "< PM_CONFIG DEFAULT=1 >\n");
  ASSERT_TRUE(model);
  const PowerMode& maxq = *model->in_force();
  EXPECT_THAT(maxq.cpu_max_hz, ElementsAre(Pair(0, 1200e6)));
  EXPECT_THAT(maxq.offline, ElementsAre(1));
  EXPECT_EQ(maxq.gpu_max_hz, 850e6);
  EXPECT_EQ(maxq.mem_max_hz, 1331.2e6);
}

TEST(NvpModel, WhatIsNoNumberIsLeftOut) {
  const auto model = parse_nvpmodel(
      "< POWER_MODEL ID=x NAME=A >\nGPU MAX_FREQ 1\n< POWER_MODEL ID=-1 NAME=B >\n"
      "< POWER_MODEL ID=7 >\nGPU MAX_FREQ 99999999999999999999999\nEMC MAX_FREQ fast\nGPU\nEMC MAX_FREQ\n< PM_CONFIG DEFAULT=quick >\n");
  ASSERT_TRUE(model);
  ASSERT_EQ(model->modes.size(), 1u);
  EXPECT_EQ(model->modes[0].label(), "7");
  EXPECT_EQ(model->modes[0].gpu_max_hz, std::nullopt);
  EXPECT_EQ(model->modes[0].mem_max_hz, std::nullopt);
  EXPECT_EQ(model->default_id, std::nullopt);
  EXPECT_EQ(model->in_force(), nullptr);
  for (const char* text : {"", "GPU MAX_FREQ 1\n", "< PM_CONFIG DEFAULT=0 >\n", "<>", "<"}) {
    const auto none = parse_nvpmodel(text);
    ASSERT_FALSE(none) << text;
    EXPECT_EQ(none.error().code, Errc::kCorrupt);
  }
}

TEST(NvpModel, InForceIsWhatWasSetLastElseTheDefault) {
  FakeFiles files;
  EXPECT_EQ(read_nvpmodel(files).error().code, Errc::kNotFound);
  files.nodes["/etc/nvpmodel.conf"] = kOrinNano;
  EXPECT_EQ(read_nvpmodel(files)->in_force()->id, 1);  // never switched
  files.nodes["/var/lib/nvpmodel/status"] = "pmode:0003\nfmode:quiet\n";
  auto model = read_nvpmodel(files);
  EXPECT_EQ(model->set_id, 3);
  EXPECT_EQ(model->in_force()->name, "7W");
  files.nodes["/var/lib/nvpmodel/status"] = "pmode:0009";
  model = read_nvpmodel(files);
  EXPECT_EQ(model->set_id, 9);
  EXPECT_EQ(model->in_force(), nullptr);  // a mode of another file
  files.nodes["/etc/nvpmodel.conf"] = "";
  EXPECT_EQ(read_nvpmodel(files).error().code, Errc::kCorrupt);
}

TEST(NvpModel, TheStatusIsDecimalWithLeadingZeros) {
  FakeFiles files;
  EXPECT_EQ(nvpmodel_status(files), std::nullopt);
  const auto status = [&](const char* text) {
    files.nodes["/var/lib/nvpmodel/status"] = text;
    return nvpmodel_status(files);
  };
  EXPECT_EQ(status("pmode:0000"), 0);
  EXPECT_EQ(status("pmode:0010 fmode:cool\n"), 10);
  EXPECT_EQ(status("fmode:cool\npmode:0008\n"), 8);
  for (const char* wrong : {"", "pmode:", "pmode:x", "pmode:-1", "pmode:99999999999", "mode:1"}) EXPECT_EQ(status(wrong), std::nullopt);
}

TEST(PowerModeCeiling, IsTheHighestLevelWithinTheCapOrWhereTheLimitWasFound) {
  const std::vector<double> table{114.75e6, 1032.75e6, 1134.75e6, 1300.5e6};
  EXPECT_EQ(power_mode_ceiling(table, 1032.75e6, 114.75e6), 1032.75e6);
  EXPECT_EQ(power_mode_ceiling(table, 1120e6, 114.75e6), 1032.75e6);
  EXPECT_EQ(power_mode_ceiling(table, 1120e6, 1134.75e6), 1134.75e6);  // nvpmodel rounded up
  EXPECT_EQ(power_mode_ceiling(table, 1120e6, 1300.5e6), 1300.5e6);    // somebody raised it: the machine runs there already
  EXPECT_EQ(power_mode_ceiling(table, 2000e6, 114.75e6), 1300.5e6);
  EXPECT_EQ(power_mode_ceiling(table, kNone, 114.75e6), 1300.5e6);
  EXPECT_EQ(power_mode_ceiling(table, 1.0, 114.75e6), 114.75e6);
}

}  // namespace
}  // namespace polythrottle
