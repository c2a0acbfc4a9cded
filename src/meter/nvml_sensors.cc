#include "meter/nvml_sensors.h"

#include <algorithm>
#include <array>
#include <vector>

namespace polythrottle {
namespace {

/// On A100 and H100 the power sensor sees a quarter of the time (arXiv 2312.02741; SC24); taken for all of their chips, GA100 and GH100.
constexpr double kUnseenPart = 0.75;

constexpr Seconds kLookEvery{0.005};
constexpr Seconds kShortestWatch{1.0};
constexpr Seconds kLongestWatch{3.0};
constexpr int kEnoughChanges = 8;

bool is_ga100(std::string_view name) {
  constexpr std::array<std::string_view, 5> kNames{"A100", "A800", "A30", "DRIVE-PG199", "CMP 170HX"};
  return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view each) { return name.find(each) != std::string_view::npos; }) &&
         name.find("A30M") == std::string_view::npos && name.find("A3000") == std::string_view::npos;
}

/// Not there, said apart from there and not answering.
bool is_lack(const Error& error) { return error.code == Errc::kUnsupported || error.code == Errc::kNotFound; }

}  // namespace

Result<double> NvmlSensors::read_counter(const Files& files) const {
  TRY(const long long millijoules, read_integer(files, counter));
  if (millijoules < 0) return fail(Errc::kCorrupt, "read " + counter + ": an energy below 0");
  return static_cast<double>(millijoules) * 1e-3;
}

Result<double> NvmlSensors::read_power(const Files& files) const {
  TRY(const long long milliwatts, read_integer(files, power));
  const double watts = static_cast<double>(milliwatts) * 1e-3;
  if (watts > 0.0 && watts <= kMostWattsPerGpu) return watts;
  return fail(Errc::kCorrupt, "read " + power + ": " + std::to_string(milliwatts) + " mW cannot be what a GPU draws",
              "look at nvidia-smi -q -d POWER; a newer driver or a reset of the GPU may help");
}

Result<NvmlSensors> find_nvml_sensors(const Files& files, const NvmlGpu& gpu) {
  if (read_trimmed(files, gpu.folder + "/mig_mode").value_or("0") == "1") {
    return fail(Errc::kUnsupported,
                "measure the energy of " + gpu.text() + ": MIG is on, and the driver shows the whole card's power to each of its instances",
                "measure the whole card with MIG off (nvidia-smi -mig 0, as root, with nothing running), or use --external-meter");
  }
  NvmlSensors out;
  const std::string architecture = read_trimmed(files, gpu.folder + "/architecture").value_or("unknown");
  const bool ga100 = architecture == "ampere" && is_ga100(gpu.name);
  if (ga100 || architecture == "hopper") out.part_unseen = kUnseenPart;
  // nvml.h: power_mw is of the moment up to Ampere's GA100, and the mean of a second on all others from Ampere on.
  const bool averages = !ga100 && architecture_from(architecture, "ampere");
  struct Node {
    const char* name;
    Seconds averaging;
  };
  std::optional<Error> no_power;
  for (const Node& node :
       {Node{"power_instant_mw", Seconds(0)}, Node{"power_mw", Seconds(averages ? 1.0 : 0.0)}, Node{"power_average_mw", Seconds(1.0)}}) {
    out.power = gpu.folder + "/" + node.name;
    out.averaging = node.averaging;
    const auto watts = out.read_power(files);
    if (watts) break;
    no_power = no_power && is_lack(watts.error()) ? no_power : watts.error();
    out.power.clear();
  }
  out.counter = gpu.folder + "/energy_mj";
  if (const auto energy = out.read_counter(files); !energy) {
    if (!is_lack(energy.error()) && out.power.empty()) return tl::unexpected<Error>(energy.error());
    out.no_counter = energy.error();
    out.counter.clear();
  }
  if (out.counter.empty() && out.power.empty()) {
    if (!is_lack(*no_power)) return tl::unexpected<Error>(*no_power);
    return fail(Errc::kUnsupported,
                "measure the energy of " + gpu.text() + ": it has neither an energy counter (" + out.no_counter->what + ") nor power (" +
                    no_power->what + ")",
                "virtual GPUs and some laptops have none; --external-meter reads one that you have");
  }
  return out;
}

Result<GpuCrossCheck> watch_sensors(Host& host, const NvmlSensors& sensors) {
  std::vector<GpuLook> looks;
  int changes = 0;
  const auto began = host.clock.now();
  for (auto next = began;; next += kLookEvery) {
    GpuLook look;
    if (!sensors.power.empty()) {
      TRY(look.watts, sensors.read_power(host.files));
    }
    if (!sensors.counter.empty()) {
      TRY(look.counter, sensors.read_counter(host.files));
    }
    look.at = host.clock.now();  // the counter's, which is compared by its changes
    if (!looks.empty() && (look.counter ? looks.back().counter != look.counter : looks.back().watts != look.watts)) ++changes;
    looks.push_back(look);
    const Seconds watched = look.at - began;
    if ((watched >= kShortestWatch && changes >= kEnoughChanges) || watched >= kLongestWatch) break;
    next = std::max(next, look.at - kLookEvery);
    host.clock.sleep_until(next + kLookEvery);
  }
  return cross_check(looks);
}

}  // namespace polythrottle
