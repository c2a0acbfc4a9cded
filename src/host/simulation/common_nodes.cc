#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <memory>

#include "host/simulation/node_tables.h"

namespace polythrottle::simulation {
namespace {

const std::string kCpu = "/sys/devices/system/cpu";
/// Reading the GPU's `load` (AGX Orin, docs/hardware.md).
constexpr Seconds kLoadRead{320e-6};
/// Ticks per second of the times in /proc.
constexpr double kTicks = 100.0;
/// When this process started, in ticks after boot: field 22 of /proc/PID/stat.
constexpr long long kOurStart = 4242;

std::string joined(const std::vector<long long>& numbers) {
  std::string text;
  for (const long long number : numbers) text += (text.empty() ? "" : " ") + std::to_string(number);
  return text;
}

/// "0,3-5".
std::string list_of(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t end = i;
    while (end + 1 < cpus.size() && cpus[end + 1] == cpus[end] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (end > i) text += "-" + std::to_string(cpus[end]);
    i = end + 1;
  }
  return text;
}

std::vector<int> cpus_that_are(const Hardware& hardware, bool online) {
  std::vector<int> cpus;
  for (std::size_t i = 0; i < hardware.online.size(); ++i) {
    if (hardware.online[i] == online) cpus.push_back(static_cast<int>(i));
  }
  return cpus;
}

bool all_offline(const Hardware& hardware, const Cluster& cluster) {
  return std::none_of(cluster.cpus.begin(), cluster.cpus.end(), [&](int cpu) { return hardware.online[static_cast<std::size_t>(cpu)]; });
}

bool has_word(const std::string& words, const std::string& word) {
  return !word.empty() && (" " + words + " ").find(" " + word + " ") != std::string::npos;
}

std::string without_newline(const std::string& text) { return text.substr(0, text.find('\n')); }

/// A node that keeps the digit written to it and does nothing else.
Node switch_node(long long initial) {
  auto value = std::make_shared<long long>(initial);
  return {.read = [value] { return Answer::of(*value); },
          .write =
              [value](const std::string& text) {
                const auto number = strict_number(text);
                if (!number) return EINVAL;
                *value = *number;
                return 0;
              }};
}

std::string process_stat() {
  // Fields 1 to 24 of proc(5); only pid, state and start mean anything here.
  return std::to_string(::getpid()) + " (polythrottle) R 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 " + std::to_string(kOurStart) +
         " 0 0\n";
}

/// A random UUID; a new machine is a new boot.
std::string boot_id(std::uint64_t seed) {
  Chance chance(seed ^ 0xb007b007b007b007ULL);
  std::string text;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) text += '-';
    text += "0123456789abcdef"[i == 12 ? 4 : chance.bits() >> 60];
  }
  return text;
}

}  // namespace

void add_identity(Bench& bench, const Identity& identity) {
  NodeTree& tree = bench.tree;
  Hardware& hardware = bench.hardware;
  hardware.online.assign(static_cast<std::size_t>(identity.cpus), true);
  std::string compatible;
  for (const auto& name : identity.compatible) compatible += name + '\0';
  // Strings of the device tree end in a NUL (docs/hardware.md).
  tree.constant("/sys/firmware/devicetree/base/model", identity.model + '\0');
  tree.constant("/sys/firmware/devicetree/base/compatible", compatible);
  tree.link("/proc/device-tree", "/sys/firmware/devicetree/base");
  tree.constant("/etc/nv_tegra_release", identity.tegra_release + "\n");
  tree.constant("/etc/nvpmodel.conf", identity.power_modes);
  // Mode 0 is MAXN on both boards (docs/hardware.md).
  tree.constant("/var/lib/nvpmodel/status", "pmode:0000\n");
  tree.constant("/dev/nvhost-gpu", "");
  tree.constant("/proc/sys/kernel/hostname", identity.hostname + "\n");
  tree.constant("/proc/sys/kernel/osrelease", identity.release + "\n");
  tree.constant("/proc/version", "Linux version " + identity.release + " (simulated)\n");
  tree.constant("/proc/sys/kernel/random/boot_id", boot_id(bench.seed) + "\n");
  tree.constant("/proc/self/stat", process_stat());
  tree.constant("/proc/" + std::to_string(::getpid()) + "/stat", process_stat());
  tree.add("/proc/cpuinfo", {.read = [&hardware, part = identity.cpu_part] {
             std::string text;
             for (const int cpu : cpus_that_are(hardware, true)) text += "processor\t: " + std::to_string(cpu) + "\n" + part + "\n";
             return Answer{0, text};
           }});
  tree.add("/proc/stat", {.read = [&hardware, now = bench.now] {
             const auto online = cpus_that_are(hardware, true);
             const auto count = static_cast<double>(online.size());
             const double busy = hardware.cpu_seconds() / count;
             const auto line = [&](const std::string& name, double of) {
               return name + " " + std::to_string(std::llround(busy * of * kTicks)) + " 0 0 " +
                      std::to_string(std::llround(std::max(0.0, now().count() - busy) * of * kTicks)) + " 0 0 0 0 0 0\n";
             };
             std::string text = line("cpu ", count);
             for (const int cpu : online) text += line("cpu" + std::to_string(cpu), 1.0);
             return Answer{0, text};
           }});
}

// --- CPUs ----------------------------------------------------------------------------------------------------------------------

void add_cpus(Bench& bench, const std::string& driver, const std::string& governors) {
  NodeTree& tree = bench.tree;
  Hardware& hardware = bench.hardware;
  const auto settle = [&hardware, later = bench.later, disturbed = bench.disturbed] {
    later(kCpuSettles, [&hardware, disturbed] {
      hardware.settle_cpu();
      disturbed();
    });
  };
  for (std::size_t index = 0; index < hardware.clusters.size(); ++index) {
    const Cluster& fixed = hardware.clusters[index];
    const auto cluster = [&hardware, index]() -> Cluster& { return hardware.clusters[index]; };
    const std::string folder = kCpu + "/cpufreq/policy" + std::to_string(fixed.first);
    for (const int cpu : fixed.cpus) tree.link(kCpu + "/cpu" + std::to_string(cpu) + "/cpufreq", folder);
    const bool old = bench.generation == Generation::kL4t49;
    // A cluster without CPUs: no files on the older kernel (docs/hardware.md), EBUSY on the newer ones (0.2, measured).
    const auto add = [&](const std::string& name, std::function<Answer()> read, std::function<int(const std::string&)> write = {}) {
      Node node;
      node.read = [&hardware, cluster, read] { return all_offline(hardware, cluster()) ? Answer::refused(EBUSY) : read(); };
      if (write) {
        node.write = [&hardware, cluster, write](const std::string& text) {
          return all_offline(hardware, cluster()) ? EBUSY : write(text);
        };
        node.write_cost = kClockWrite;
      }
      if (old) node.present = [&hardware, cluster] { return !all_offline(hardware, cluster()); };
      tree.add(folder + "/" + name, std::move(node));
    };
    const auto now_khz = [cluster, &execution = bench.execution] {
      const Cluster& c = cluster();
      if (c.governor == "userspace") return c.limits.target(c.wished);
      if (c.governor == "powersave") return c.limits.target(c.limits.min());
      // The load-driven governors raise a CPU with work to its limit and let the others fall.
      const bool high = c.governor == "performance" || execution.cpu_busy();
      return c.limits.target(high ? c.effective_max : c.effective_min);
    };
    add("affected_cpus", [&hardware, cluster] {
      std::string text;
      for (const int cpu : cluster().cpus) {
        if (hardware.online[static_cast<std::size_t>(cpu)]) text += (text.empty() ? "" : " ") + std::to_string(cpu);
      }
      return Answer::of(text);
    });
    add("related_cpus", [cluster] {
      std::string text;
      for (const int cpu : cluster().cpus) text += (text.empty() ? "" : " ") + std::to_string(cpu);
      return Answer::of(text);
    });
    add("cpuinfo_min_freq", [cluster] { return Answer::of(cluster().limits.table().front()); });
    add("cpuinfo_max_freq", [cluster] { return Answer::of(cluster().limits.table().back()); });
    add("cpuinfo_cur_freq", [now_khz] { return Answer::of(now_khz()); });
    add("cpuinfo_transition_latency", [] { return Answer::of(300000LL); });
    add("scaling_cur_freq", [now_khz] { return Answer::of(now_khz()); });
    add("scaling_driver", [driver] { return Answer::of(driver); });
    add("scaling_available_governors", [governors] { return Answer::of(governors + " "); });
    add("scaling_available_frequencies", [cluster] { return Answer::of(joined(cluster().limits.table()) + " "); });
    add(
        "scaling_governor", [cluster] { return Answer::of(cluster().governor); },
        [cluster, governors, settle](const std::string& text) {
          const std::string name = without_newline(text);
          if (!has_word(governors, name)) return EINVAL;
          cluster().governor = name;
          cluster().wished = cluster().limits.max();
          settle();
          return 0;
        });
    add(
        "scaling_min_freq", [cluster] { return Answer::of(cluster().limits.min()); },
        [cluster, settle](const std::string& text) {
          const int error = cluster().limits.write_min(text);
          if (error == 0) settle();
          return error;
        });
    add(
        "scaling_max_freq", [cluster] { return Answer::of(cluster().limits.max()); },
        [cluster, settle](const std::string& text) {
          const int error = cluster().limits.write_max(text);
          if (error == 0) settle();
          return error;
        });
    add(
        "scaling_setspeed",
        [cluster] {
          const bool ours = cluster().governor == "userspace";
          return Answer::of(ours ? std::to_string(cluster().wished) : std::string("<unsupported>"));
        },
        [cluster, settle](const std::string& text) {
          const auto number = leading_number(text);
          if (!number || cluster().governor != "userspace") return EINVAL;
          cluster().wished = cluster().limits.target(*number);
          settle();
          return 0;
        });
  }
  const auto all = static_cast<int>(hardware.online.size());
  for (int cpu = 0; cpu < all; ++cpu) {
    // Also for cpu0: on a Jetson nvpmodel writes it (docs/hardware.md).
    tree.add(kCpu + "/cpu" + std::to_string(cpu) + "/online",
             {.read = [&hardware, cpu] { return Answer::of(hardware.online[static_cast<std::size_t>(cpu)] ? 1LL : 0LL); },
              .write =
                  [&hardware, cpu, settle](const std::string& text) {
                    const auto number = strict_number(text);
                    if (!number || *number > 1) return EINVAL;
                    const auto index = static_cast<std::size_t>(cpu);
                    if (*number == 0 && hardware.online[index] && hardware.online_cores() <= 1.0) return EBUSY;
                    hardware.online[index] = *number == 1;
                    settle();
                    return 0;
                  },
              .write_cost = kClockWrite});
  }
  tree.add(kCpu + "/online", {.read = [&hardware] { return Answer::of(list_of(cpus_that_are(hardware, true))); }});
  tree.add(kCpu + "/offline", {.read = [&hardware] { return Answer::of(list_of(cpus_that_are(hardware, false))); }});
  const std::string everyone = "0-" + std::to_string(all - 1) + "\n";
  tree.constant(kCpu + "/present", everyone);
  tree.constant(kCpu + "/possible", everyone);
  hardware.settle_cpu();
}

// --- GPU -----------------------------------------------------------------------------------------------------------------------

void add_gpu(Bench& bench, const GpuNodes& nodes) {
  NodeTree& tree = bench.tree;
  Hardware& hardware = bench.hardware;
  static const std::string kGovernors = "userspace performance nvhost_podgov";
  const std::string folder = nodes.device + "/devfreq/" + nodes.name;
  for (const auto& link : nodes.links) tree.link(link, nodes.device);
  tree.link("/sys/class/devfreq/" + nodes.name, folder);
  tree.link(folder + "/device", nodes.device);
  tree.constant(nodes.device + "/of_node/name", nodes.of_name + '\0');
  tree.constant(nodes.device + "/of_node/compatible", nodes.compatible + '\0');
  tree.add(nodes.device + "/railgate_enable", switch_node(1));
  tree.add(nodes.device + "/load",
           {.read = [&hardware] { return Answer::of(std::llround(1000.0 * std::clamp(hardware.gpu_load(), 0.0, 1.0))); },
            .read_cost = kLoadRead});
  auto control = std::make_shared<std::string>("auto");
  tree.add(nodes.device + "/power/control", {.read = [control] { return Answer::of(*control); },
                                             .write =
                                                 [control](const std::string& text) {
                                                   const std::string name = without_newline(text);
                                                   if (name != "on" && name != "auto") return EINVAL;
                                                   *control = name;
                                                   return 0;
                                                 }});

  const auto settle = [&hardware, later = bench.later, disturbed = bench.disturbed] {
    later(kGpuSettles, [&hardware, disturbed] {
      hardware.settle_gpu();
      disturbed();
    });
  };
  const auto add = [&](const std::string& name, std::function<Answer()> read, std::function<int(const std::string&)> write = {}) {
    tree.add(folder + "/" + name, {.read = std::move(read), .write = std::move(write), .write_cost = kClockWrite});
  };
  // The governor hops between neighbouring levels faster than the model steps; the model's clock is their mean, and the upper one is shown.
  const auto level = [&hardware] { return Answer::of(hardware.gpu.round_up(std::llround(hardware.gpu_clock().si()))); };
  add("cur_freq", level);
  add("target_freq", level);
  add("available_frequencies", [&hardware] { return Answer::of(joined(hardware.gpu.table())); });
  add("available_governors", [] { return Answer::of(kGovernors); });
  add(
      "governor", [&hardware] { return Answer::of(hardware.gpu_governor); },
      [&hardware, disturbed = bench.disturbed](const std::string& text) {
        const std::string name = without_newline(text);
        if (!has_word(kGovernors, name)) return ENOENT;  // measured, docs/hardware.md
        hardware.gpu_governor = name;
        disturbed();
        return 0;
      });
  add(
      "min_freq", [&hardware] { return Answer::of(hardware.gpu.min()); },
      [&hardware, settle](const std::string& text) {
        const int error = hardware.gpu.write_min(text);
        if (error == 0) settle();
        return error;
      });
  add(
      "max_freq", [&hardware] { return Answer::of(hardware.gpu.max()); },
      [&hardware, settle](const std::string& text) {
        const int error = hardware.gpu.write_max(text);
        if (error == 0) settle();
        return error;
      });
  tree.add(folder + "/polling_interval", switch_node(25));
  // Governor files appear and vanish with the governor (docs/hardware.md).
  tree.add(folder + "/userspace/set_freq", {.read = [&hardware] { return Answer::of(hardware.gpu_wished); },
                                            .write =
                                                [&hardware, disturbed = bench.disturbed](const std::string& text) {
                                                  const auto number = leading_number(text);
                                                  if (!number) return EINVAL;
                                                  hardware.gpu_wished = *number;
                                                  disturbed();
                                                  return 0;
                                                },
                                            .write_cost = kClockWrite,
                                            .present = [&hardware] { return hardware.gpu_governor == "userspace"; }});
  if (bench.generation == Generation::kPmQos) tree.constant(folder + "/name", nodes.name + "\n");
}

// --- Memory --------------------------------------------------------------------------------------------------------------------

void add_emc(Bench& bench) {
  NodeTree& tree = bench.tree;
  Hardware& hardware = bench.hardware;
  const std::string clock = "/sys/kernel/debug/bpmp/debug/clk/emc";
  using Write = int (EmcLimits::*)(std::string_view);
  const auto add = [&](const std::string& path, std::function<Answer()> read, Write write) {
    tree.add(path, {.read = std::move(read),
                    .write =
                        [&hardware, write, later = bench.later, disturbed = bench.disturbed](const std::string& text) {
                          const int error = (hardware.emc.*write)(text);
                          if (error != 0) return error;
                          later(kMemSettles, [&hardware, disturbed] {
                            const Hertz before = hardware.mem_clock();
                            hardware.settle_emc();
                            if (hardware.mem_clock() != before) disturbed();
                          });
                          return 0;
                        },
                    .write_cost = kClockWrite});
  };
  // A write waits for BPMP, which then answers the rate it has set; the traffic feels it a little later.
  add(
      clock + "/rate", [&hardware] { return Answer::of(hardware.emc.rate()); }, &EmcLimits::write_rate);
  add(
      clock + "/mrq_rate_locked", [&hardware] { return Answer::of(hardware.emc.locked()); }, &EmcLimits::write_locked);
  add(
      clock + "/state", [&hardware] { return Answer::of(hardware.emc.state()); }, &EmcLimits::write_state);
  add(
      clock + "/min_rate", [&hardware] { return Answer::of(hardware.emc.min_rate()); }, &EmcLimits::write_min_rate);
  add(
      clock + "/max_rate", [&hardware] { return Answer::of(hardware.emc.max_rate()); }, &EmcLimits::write_max_rate);
  add(
      "/sys/kernel/nvpmodel_emc_cap/emc_iso_cap", [&hardware] { return Answer::of(hardware.emc.cap()); }, &EmcLimits::write_cap);
  std::vector<long long> khz;
  for (const long long hertz : hardware.emc.table()) khz.push_back(hertz / 1000);
  tree.constant("/sys/kernel/debug/bpmp/debug/emc/possible_rates", joined(khz) + " (kHz)\n");
  // Percent in use = this / current clock in kHz (docs/hardware.md).
  const std::string activity =
      bench.generation == Generation::kL4t49 ? "/sys/kernel/actmon_avg_activity/mc_all" : "/sys/kernel/debug/cactmon/mc_all";
  tree.add(activity, {.read = [&hardware] { return Answer::of(std::llround(hardware.memory_load() * hardware.mem_clock().si() * 1e-3)); }});
}

// --- Heat ----------------------------------------------------------------------------------------------------------------------

void add_thermal(Bench& bench, const std::vector<Zone>& zones, double step, const std::vector<std::string>& cooling) {
  NodeTree& tree = bench.tree;
  Hardware& hardware = bench.hardware;
  const Constants& constants = hardware.board.constants;
  for (std::size_t i = 0; i < zones.size(); ++i) {
    const Zone& zone = zones[i];
    const std::string folder = "/sys/class/thermal/thermal_zone" + std::to_string(i);
    tree.constant(folder + "/type", zone.type + "\n");
    tree.constant(folder + "/mode", "enabled\n");
    tree.add(folder + "/temp", {.read = [&hardware, zone, step] {
               const double die = hardware.temperature().si();
               const double ambient = hardware.board.constants.ambient_celsius;
               double celsius = die + zone.offset;
               if (zone.kind == Zone::Kind::kOff) return Answer::refused(EAGAIN);
               if (zone.kind == Zone::Kind::kConstant) celsius = zone.offset;
               // The board lags behind the die; half the rise is what the owners' logs show between Tboard and the die.
               if (zone.kind == Zone::Kind::kBoard) celsius = ambient + 0.5 * (die - ambient);
               return Answer::of(static_cast<long long>(std::floor(std::floor(celsius / step) * step * 1e3)));
             }});
    if (zone.throttles) {
      tree.constant(folder + "/trip_point_0_temp", std::to_string(std::llround(constants.throttle_celsius * 1e3)) + "\n");
      tree.constant(folder + "/trip_point_0_hyst", std::to_string(std::llround(constants.throttle_hysteresis * 1e3)) + "\n");
      tree.constant(folder + "/trip_point_0_type", "passive\n");
    }
  }
  for (std::size_t i = 0; i < cooling.size(); ++i) {
    const std::string folder = "/sys/class/thermal/cooling_device" + std::to_string(i);
    tree.constant(folder + "/type", cooling[i] + "\n");
    tree.constant(folder + "/max_state", "1\n");
    const bool ours = cooling[i].find("gpu") != std::string::npos;
    tree.add(folder + "/cur_state", {.read = [&hardware, ours] { return Answer::of(ours && hardware.throttled() ? 1LL : 0LL); }});
  }
}

}  // namespace polythrottle::simulation
