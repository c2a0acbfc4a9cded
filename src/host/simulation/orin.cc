// Jetson AGX Orin 32 GB developer kit, JetPack 5 (L4T R35.4.1, kernel 5.10). Paths and layouts: docs/hardware.md.

#include <algorithm>
#include <cerrno>

#include "host/simulation/node_tables.h"

namespace polythrottle::simulation {
namespace {

/// The mainline driver's hwmon folder (drivers/hwmon/ina3221.c): volts and amperes, no power.
void add_monitor(Bench& bench, std::size_t index, const std::string& folder, int number) {
  NodeTree& tree = bench.tree;
  Hardware& hardware = bench.hardware;
  const auto chip = [&hardware, index]() -> Ina3221& { return hardware.monitors[index].chip; };
  const std::string hwmon = folder + "/hwmon/hwmon" + std::to_string(number);
  tree.link("/sys/class/hwmon/hwmon" + std::to_string(number), hwmon);
  tree.constant(hwmon + "/name", "ina3221\n");
  const auto measured = [&](const std::string& name, auto read) {
    tree.add(hwmon + "/" + name, {.read = read, .read_cost = kRegisterRead});
  };
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const std::string ch = std::to_string(channel + 1);
    const std::string shunt = std::to_string(channel + 4);
    tree.constant(hwmon + "/in" + ch + "_label", chip().channels()[channel].label + "\n");
    tree.constant(hwmon + "/in" + ch + "_enable", "1\n");
    tree.constant(hwmon + "/shunt" + ch + "_resistor",
                  std::to_string(static_cast<long long>(chip().channels()[channel].shunt_ohms * 1e6 + 0.5)) + "\n");
    measured("in" + ch + "_input", [chip, channel] { return Answer::of(chip().registers(channel).millivolts); });
    measured("curr" + ch + "_input", [chip, channel] { return Answer::of(chip().registers(channel).milliamperes); });
    measured("in" + shunt + "_input",
             [chip, channel] { return Answer::of(static_cast<long long>(chip().registers(channel).shunt_millivolts)); });
    tree.constant(hwmon + "/curr" + ch + "_max", "32760\n");
    tree.constant(hwmon + "/curr" + ch + "_crit", "32760\n");
    tree.constant(hwmon + "/curr" + ch + "_max_alarm", "0\n");
    tree.constant(hwmon + "/curr" + ch + "_crit_alarm", "0\n");
  }
  tree.constant(hwmon + "/in7_label", "sum of shunt voltages\n");
  measured("in7_input", [chip] {
    double sum = 0.0;
    for (std::size_t channel = 0; channel < 3; ++channel) sum += chip().registers(channel).shunt_millivolts;
    return Answer::of(static_cast<long long>(sum));
  });
  tree.add(hwmon + "/samples", {.read = [chip] { return Answer::of(static_cast<long long>(chip().samples())); },
                                .write =
                                    [chip](const std::string& text) {
                                      const auto wanted = strict_number(text);
                                      if (!wanted) return EINVAL;
                                      chip().set_samples(static_cast<int>(std::min<long long>(*wanted, 1024)));
                                      return 0;
                                    }});
  // The driver rounds up: 6.6 ms reads 7 (measured, docs/hardware.md).
  tree.add(hwmon + "/update_interval",
           {.read = [chip] { return Answer::of(static_cast<long long>(chip().cycle().count() * 1e3 + 0.999)); }});
}

/// The head of every section of nvpmodel.conf and what mode 0, the one in force, sets (names, ids and format: docs/hardware.md).
const std::string kPowerModes =
    "< PARAM TYPE=CLOCK NAME=GPU >\n"
    "MIN_FREQ /sys/devices/17000000.ga10b/devfreq/17000000.ga10b/min_freq\n"
    "MAX_FREQ /sys/devices/17000000.ga10b/devfreq/17000000.ga10b/max_freq\n"
    "< PARAM TYPE=CLOCK NAME=EMC >\n"
    "MAX_FREQ /sys/kernel/nvpmodel_emc_cap/emc_iso_cap\n"
    "< POWER_MODEL ID=0 NAME=MAXN >\n"
    "GPU MIN_FREQ 0\nGPU MAX_FREQ -1\nEMC MAX_FREQ 0\n"
    "< POWER_MODEL ID=1 NAME=MODE_15W >\n"
    "< POWER_MODEL ID=2 NAME=MODE_30W >\n"
    "< POWER_MODEL ID=3 NAME=MODE_50W >\n"
    "< PM_CONFIG DEFAULT=2 >\n";

}  // namespace

void add_orin(Bench& bench) {
  Hardware& hardware = bench.hardware;
  add_identity(bench, {.model = "Jetson AGX Orin Developer Kit",
                       .compatible = {"nvidia,p3737-0000+p3701-0000", "nvidia,p3701-0000", "nvidia,tegra234"},
                       .release = "5.10.120-tegra",
                       .tegra_release = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug  1 "
                                        "19:57:35 UTC 2023",
                       .hostname = "orin-simulated",
                       .cpu_part = "model name\t: ARMv8 Processor rev 1 (v8l)\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n",
                       .power_modes = kPowerModes,
                       .cpus = 12});
  std::vector<long long> khz;
  for (const Hertz level : hardware.board.cpu_levels) khz.push_back(static_cast<long long>(level.si() * 1e-3 + 0.5));
  for (const int first : {0, 4, 8}) {
    hardware.clusters.push_back(
        {.first = first, .cpus = {first, first + 1, first + 2, first + 3}, .limits = CpufreqLimits(bench.generation, khz)});
  }
  add_cpus(bench, "tegra194", "conservative ondemand userspace powersave performance schedutil");
  add_gpu(bench, {.device = "/sys/devices/platform/17000000.ga10b",
                  .name = "17000000.ga10b",
                  .of_name = "ga10b",
                  .compatible = "nvidia,ga10b",
                  .links = {"/sys/devices/17000000.ga10b", "/sys/devices/gpu.0", "/sys/devices/platform/gpu.0"}});
  add_emc(bench);

  // All shunts 2 mOhm (arch/arm64/boot/dts/nvidia/tegra234-p3701.dtsi), so 20 mA a step: 4968 and 1091 mW in a tegrastats line
  // (docs/hardware.md) are 4.968 V x 1000 mA and 4.960 V x 220 mA. The memory's rail is fed from the 5 V rail and is not to be added to it
  // (there as hearsay; the sum of the other three is then the board).
  const auto chip = [&](std::vector<Channel> channels, std::uint64_t salt) {
    return Ina3221(std::move(channels), 1, bench.seed ^ salt, bench.noise);
  };
  hardware.monitors.push_back({chip({{"VDD_GPU_SOC", 19.8, 0.002}, {"VDD_CPU_CV", 19.8, 0.002}, {"VIN_SYS_5V0", 5.05, 0.002}}, 0x40),
                               {RailShare{.gpu = 1.0, .other = 0.6}, RailShare{.cpu = 1.0}, RailShare{.memory = 1.0, .other = 0.4}}});
  hardware.monitors.push_back({chip({{"NC", 0.0, 0.002}, {"VDDQ_VDD2_1V8AO", 5.05, 0.002}, {"NC", 0.0, 0.002}}, 0x41),
                               {RailShare{}, RailShare{.memory = 0.85}, RailShare{}}});
  add_monitor(bench, 0, "/sys/bus/i2c/drivers/ina3221/1-0040", 3);
  add_monitor(bench, 1, "/sys/bus/i2c/drivers/ina3221/1-0041", 4);

  const std::string counters = "/sys/devices/platform/soctherm-oc-event/hwmon/hwmon2";
  bench.tree.link("/sys/class/hwmon/hwmon2", counters);
  bench.tree.constant(counters + "/name", "soctherm_oc\n");
  for (const char* event : {"oc1", "oc2", "oc3"}) {
    bench.tree.constant(counters + "/" + event + "_event_cnt", "0\n");
    bench.tree.constant(counters + "/" + event + "_throt_en", "1\n");
  }

  // Zones of parts without power answer EAGAIN (docs/hardware.md); the others resolve 1/32 of a degree.
  using Kind = Zone::Kind;
  add_thermal(bench,
              {{"cpu-thermal", Kind::kDie, -1.0},
               {"gpu-thermal", Kind::kDie, -0.5, true},
               {"cv0-thermal", Kind::kOff},
               {"cv1-thermal", Kind::kOff},
               {"cv2-thermal", Kind::kOff},
               {"soc0-thermal", Kind::kDie, -2.0},
               {"soc1-thermal", Kind::kDie, -2.5},
               {"soc2-thermal", Kind::kDie, -2.0},
               {"tj-thermal", Kind::kDie, 0.0, true},
               {"tboard-thermal", Kind::kBoard},
               {"tdiode-thermal", Kind::kDie, -1.5}},
              1.0 / 32.0, {"cpu-throttle-alert", "gpu-throttle-alert", "hot-surface-alert"});
  bench.tree.constant("/sys/devices/platform/pwm-fan/hwmon/hwmon1/pwm1", "80\n");
}

}  // namespace polythrottle::simulation
