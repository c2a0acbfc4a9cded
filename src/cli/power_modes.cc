#include "cli/power_modes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "knob/nvpmodel.h"
#include "report/report.h"

namespace polythrottle {
namespace {

std::string clock_text(double hertz) { return std::isinf(hertz) ? "no cap" : knob_text("clock_hz", hertz); }

/// "-": the mode leaves it as it is.
std::string cap_text(const std::optional<double>& cap) { return cap ? clock_text(*cap) : "-"; }

/// "345.6MHz/2035MHz": each cap once, of the clusters that the mode leaves running.
std::string cpu_cap_text(const PowerMode& mode) {
  std::set<double> caps;
  for (const auto& [cpu, hertz] : mode.cpu_max_hz) {
    if (!mode.offline.contains(cpu)) caps.insert(hertz);
  }
  std::string text;
  for (const double cap : caps) text += (text.empty() ? "" : "/") + clock_text(cap);
  return text.empty() ? "-" : text;
}

/// Where the GPU's ceiling is not where this mode puts it: who looks for lost speed, or for too much power, wants to know.
void print_contradiction(const PowerMode& mode, const Machine& machine) {
  const auto knob =
      std::find_if(machine.knobs.begin(), machine.knobs.end(), [](const auto& one) { return one->parameter().name == "gpu_max_hz"; });
  if (!mode.gpu_max_hz || knob == machine.knobs.end()) return;
  const auto now = (*knob)->read();
  if (!now) return;
  const double found = std::get<double>(*now);
  std::vector<double> table;
  for (const auto& level : (*knob)->parameter().levels) table.push_back(std::get<double>(level));
  const double lowest = power_mode_ceiling(table, *mode.gpu_max_hz, 0.0);
  const bool raised = std::any_of(table.begin(), table.end(), [&](double level) { return level >= *mode.gpu_max_hz && level < found; });
  if (!raised && found >= lowest) return;
  fmt::print("    gpu_max_hz is at {}, though this mode {} {}: something else has changed it since\n", clock_text(found),
             raised ? "caps it at" : "allows", clock_text(raised ? *mode.gpu_max_hz : lowest));
}

}  // namespace

void print_power_modes(const Files& files, const Machine& machine) {
  const auto model = read_nvpmodel(files);
  if (!model && model.error().code == Errc::kNotFound) return;
  fmt::print("\nPower modes\n");
  if (!model) {
    fmt::print("  absent ({}): {}\n", to_string(model.error().code), model.error().what);
    return;
  }
  const PowerMode* const in_force = model->in_force();
  std::size_t name_width = 4;
  std::size_t cpu_width = 7;
  for (const auto& mode : model->modes) {
    name_width = std::max(name_width, mode.name.size());
    cpu_width = std::max(cpu_width, cpu_cap_text(mode).size());
  }
  fmt::print("    {:>2}  {:<{}}  CPUs  {:>{}}  {:>8}  {:>8}\n", "ID", "name", name_width, "CPU max", cpu_width, "GPU max", "EMC max");
  for (const auto& mode : model->modes) {
    const std::string cpus = model->cpus.empty() ? "-" : std::to_string(model->cpus.size() - mode.offline.size());
    fmt::print("  {} {:>2}  {:<{}}  {:>4}  {:>{}}  {:>8}  {:>8}\n", &mode == in_force ? '*' : ' ', mode.id, mode.name, name_width, cpus,
               cpu_cap_text(mode), cpu_width, cap_text(mode.gpu_max_hz), cap_text(mode.mem_max_hz));
  }
  if (in_force != nullptr && model->set_id) {
    fmt::print("  * in force, as written by nvpmodel (in a container writing it down is all that it does)\n");
  } else if (in_force != nullptr) {
    fmt::print("  * the default: nvpmodel has not written down that another was ever set\n");
  } else if (model->set_id) {
    fmt::print("  mode {} is in force as written by nvpmodel, and is none of these\n", *model->set_id);
  }
  if (in_force != nullptr) print_contradiction(*in_force, machine);
  fmt::print("  read only: polythrottle never switches a mode; `sudo nvpmodel -m ID` does, and some modes reboot\n");
}

}  // namespace polythrottle
