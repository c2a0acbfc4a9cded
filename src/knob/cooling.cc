#include "knob/cooling.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace polythrottle {
namespace {

constexpr const char* kFolder = "/sys/class/thermal";

/// Names by which drivers register (Linux Documentation/driver-api/thermal/sysfs-api.rst: `type`, `cur_state`, 0 is no cooling).
bool lowers_clocks(std::string_view type) {
  // cpufreq_cooling.c and devfreq_cooling.c, today's names and those before 5.12.
  constexpr std::array<std::string_view, 4> kBeginnings{"cpufreq-", "thermal-cpufreq-", "devfreq-", "thermal-devfreq-"};
  // Device trees of NVIDIA Jetson: the firmware slows the unit of that zone down.
  constexpr std::string_view kAlert = "-throttle-alert";
  // drivers/acpi/processor_thermal.c: first a lower limit for cpufreq, then duty cycles.
  constexpr std::string_view kAcpi = "Processor";
  return type == kAcpi || type.ends_with(kAlert) ||
         std::any_of(kBeginnings.begin(), kBeginnings.end(), [&](std::string_view name) { return type.starts_with(name); });
}

}  // namespace

std::vector<std::string> cooling_now(const Files& files) {
  std::vector<std::string> active;
  const auto names = files.list(kFolder);
  if (!names) return active;
  for (const auto& name : *names) {
    if (!name.starts_with("cooling_device")) continue;
    const std::string folder = std::string(kFolder) + "/" + name;
    const auto type = read_trimmed(files, folder + "/type");
    if (!type || !lowers_clocks(*type) || read_integer(files, folder + "/cur_state").value_or(0) <= 0) continue;
    if (std::find(active.begin(), active.end(), *type) == active.end()) active.push_back(*type);
  }
  return active;
}

Status cool_enough(const Files& files, std::span<Knob* const> knobs) {
  if (std::none_of(knobs.begin(), knobs.end(), [](const Knob* knob) { return knob->parameter().unit == "Hz"; })) return {};
  const auto active = cooling_now(files);
  if (active.empty()) return {};
  std::string names;
  for (const auto& type : active) names += (names.empty() ? "" : ", ") + type;
  return fail(Errc::kBusy,
              "take the machine: it is hot and holds its clocks down (" + names + "), so what is found now is not its owner's setting",
              "let it cool, then again");
}

}  // namespace polythrottle
