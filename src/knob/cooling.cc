#include "knob/cooling.h"

#include <algorithm>

#include "host/cooling_devices.h"

namespace polythrottle {
namespace {

constexpr const char* kFolder = "/sys/class/thermal";

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
