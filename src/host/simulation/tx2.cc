// Jetson TX2 developer kit, JetPack 4.6 (L4T R32.6.1, kernel 4.9). Paths and layouts: docs/hardware.md.

#include <cerrno>
#include <memory>

#include "host/simulation/node_tables.h"

namespace polythrottle::simulation {
namespace {

/// A triggered conversion of three channels, then shunt and bus register: what one read of in_power costs while running_mode is 0
/// ("each read powers the chip up, converts, reads, powers down", driver text in docs/hardware.md).
constexpr Seconds kTriggered{3 * 2.2e-3};
/// The driver's own constant for continuous mode: 64 averages.
constexpr int kContinuousSamples = 64;

/// The IIO folder of L4T 4.9's ina3221x. Everything but the measurements is a plain variable.
void add_monitor(Bench& bench, std::size_t index, const std::string& folder) {
  NodeTree& tree = bench.tree;
  Hardware& hardware = bench.hardware;
  const auto chip = [&hardware, index]() -> Ina3221& { return hardware.monitors[index].chip; };
  auto mode = std::make_shared<long long>(0);
  const std::string iio = folder + "/iio:device" + std::to_string(index);
  tree.link(folder + "/iio_device", iio);
  tree.constant(iio + "/name", "ina3221x\n");
  tree.add(iio + "/running_mode", {.read = [mode] { return Answer::of(*mode); },
                                   .write =
                                       [mode, chip](const std::string& text) {
                                         // 1 and 0 force a mode, below 0 is automatic: triggered, for no alert is set.
                                         const bool automatic = text.starts_with('-') && strict_number(text.substr(1));
                                         const auto number = strict_number(text);
                                         if (!number && !automatic) return EINVAL;
                                         *mode = number && *number > 0 ? 1 : 0;
                                         chip().set_samples(*mode == 1 ? kContinuousSamples : 1);
                                         return 0;
                                       }});
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const std::string ch = std::to_string(channel);
    tree.constant(iio + "/rail_name_" + ch, chip().channels()[channel].label + "\n");
    const auto measured = [&](const std::string& name, int registers, auto text) {
      tree.add(iio + "/" + name,
               {.read = [chip, channel, text] { return text(chip().registers(channel)); },
                .read_cost_now = [mode, registers] { return (*mode == 1 ? Seconds(0) : kTriggered) + registers * kRegisterRead; }});
    };
    using Registers = Ina3221::Registers;
    measured("in_voltage" + ch + "_input", 1, [](const Registers& now) { return Answer::of(now.millivolts); });
    measured("in_current" + ch + "_input", 1, [](const Registers& now) { return Answer::of(now.milliamperes); });
    // mW = mV * mA / 1000 in integers, from one shunt and one bus register.
    measured("in_power" + ch + "_input", 2, [](const Registers& now) { return Answer::of(now.millivolts * now.milliamperes / 1000); });
    measured("ui_input_" + ch, 2,
             [](const Registers& now) { return Answer::of(std::to_string(now.millivolts) + " " + std::to_string(now.milliamperes)); });
    tree.constant(iio + "/warn_current_limit_" + ch, "32760 ma\n");
    tree.constant(iio + "/crit_current_limit_" + ch, "32760 ma\n");
    tree.constant(iio + "/polling_delay_" + ch, "0 ms\n");
  }
}

/// The head of every section of nvpmodel.conf and what mode 0, the one in force, sets (names, ids and format: docs/hardware.md).
const std::string kPowerModes =
    "< PARAM TYPE=CLOCK NAME=GPU >\n"
    "MIN_FREQ /sys/devices/17000000.gp10b/devfreq/17000000.gp10b/min_freq\n"
    "MAX_FREQ /sys/devices/17000000.gp10b/devfreq/17000000.gp10b/max_freq\n"
    "< PARAM TYPE=CLOCK NAME=EMC >\n"
    "MAX_FREQ /sys/kernel/nvpmodel_emc_cap/emc_iso_cap\n"
    "< POWER_MODEL ID=0 NAME=MAXN >\n"
    "GPU MIN_FREQ 0\nGPU MAX_FREQ -1\nEMC MAX_FREQ 0\n"
    "< POWER_MODEL ID=1 NAME=MAXQ >\n"
    "< POWER_MODEL ID=2 NAME=MAXP_CORE_ALL >\n"
    "< POWER_MODEL ID=3 NAME=MAXP_CORE_ARM >\n"
    "< POWER_MODEL ID=4 NAME=MAXP_CORE_DENVER >\n"
    "< PM_CONFIG DEFAULT=3 >\n";

}  // namespace

void add_tx2(Bench& bench) {
  Hardware& hardware = bench.hardware;
  add_identity(bench, {.model = "quill",
                       .compatible = {"nvidia,p2597-0000+p3310-1000", "nvidia,quill", "nvidia,tegra186"},
                       .release = "4.9.253-tegra",
                       .tegra_release = "# R32 (release), REVISION: 6.1, GCID: 27863751, BOARD: t186ref, EABI: aarch64, DATE: Mon Jul 26 "
                                        "19:36:31 UTC 2021",
                       .hostname = "tx2-simulated",
                       .cpu_part = "model name\t: ARMv8 Processor rev 3 (v8l)\nCPU implementer\t: 0x41\nCPU part\t: 0xd07\n",
                       .power_modes = kPowerModes,
                       .cpus = 6});
  std::vector<long long> khz;
  for (const Hertz level : hardware.board.cpu_levels) khz.push_back(static_cast<long long>(level.si() * 1e-3 + 0.5));
  // A57 is set through cpu0, Denver through cpu1 (docs/hardware.md).
  hardware.clusters.push_back({.first = 0, .cpus = {0, 3, 4, 5}, .limits = CpufreqLimits(bench.generation, khz)});
  hardware.clusters.push_back({.first = 1, .cpus = {1, 2}, .limits = CpufreqLimits(bench.generation, khz)});
  add_cpus(bench, "tegra_cpufreq", "interactive conservative ondemand userspace powersave performance schedutil");
  add_gpu(bench, {.device = "/sys/devices/17000000.gp10b",
                  .name = "17000000.gp10b",
                  .of_name = "gp10b",
                  .compatible = "nvidia,tegra186-gp10b",
                  .links = {"/sys/devices/gpu.0"}});
  add_emc(bench);
  bench.tree.add("/sys/kernel/debug/clk/emc/clk_rate",
                 {.read = [&hardware] { return Answer::of(static_cast<long long>(hardware.mem_clock().si() + 0.5)); }});

  // Shunts: VDD_SYS_GPU moves in steps of 77 mW = 19.2 V x 4 mA and VDD_IN in 152 mA = 19 x 8 mA (tegrastats line in docs/hardware.md).
  // The split of what is neither GPU, CPU nor memory among the rails is ours; only VDD_IN is their sum.
  const auto chip = [&](std::vector<Channel> channels, std::uint64_t salt) {
    return Ina3221(std::move(channels), 1, bench.seed ^ salt, bench.noise);
  };
  hardware.monitors.push_back({chip({{"VDD_SYS_GPU", 19.2, 0.010}, {"VDD_SYS_SOC", 19.2, 0.010}, {"VDD_4V0_WIFI", 4.8, 0.010}}, 0x40),
                               {RailShare{.gpu = 1.0}, RailShare{.other = 0.45}, RailShare{.other = 0.01}}});
  hardware.monitors.push_back({chip({{"VDD_IN", 19.2, 0.005}, {"VDD_SYS_CPU", 19.2, 0.010}, {"VDD_SYS_DDR", 4.8, 0.010}}, 0x41),
                               {RailShare{1.0, 1.0, 1.0, 1.0}, RailShare{.cpu = 1.0}, RailShare{.memory = 1.0}}});
  // On the carrier board and above the module: its converters lose some of what the module draws.
  hardware.monitors.push_back({chip({{"VDD_MUX", 19.2, 0.020}, {"VDD_5V0_IO_SYS", 5.0, 0.005}, {"VDD_3V3_SYS", 3.3, 0.010}}, 0x42),
                               {RailShare{1.05, 1.05, 1.05, 1.3}, RailShare{.other = 0.15}, RailShare{.other = 0.1}}});
  const std::string driver = "/sys/bus/i2c/drivers/ina3221x/0-00";
  for (std::size_t i = 0; i < hardware.monitors.size(); ++i) add_monitor(bench, i, driver + "4" + std::to_string(i));

  // PMIC-Die answers 100 degC whatever happens; programs leave it out (docs/hardware.md). Half a degree is what the zones resolve.
  using Kind = Zone::Kind;
  add_thermal(bench,
              {{"BCPU-therm", Kind::kDie, -0.5},
               {"MCPU-therm", Kind::kDie, -0.5},
               {"GPU-therm", Kind::kDie, 0.0, true},
               {"PLL-therm", Kind::kDie, -0.5},
               {"Tboard_tegra", Kind::kBoard},
               {"Tdiode_tegra", Kind::kDie, -1.5},
               {"PMIC-Die", Kind::kConstant, 100.0},
               {"thermal-fan-est", Kind::kDie, -1.0}},
              0.5, {"gpu-balanced", "cpu-balanced"});
  bench.tree.constant("/sys/devices/pwm-fan/target_pwm", "80\n");
}

}  // namespace polythrottle::simulation
