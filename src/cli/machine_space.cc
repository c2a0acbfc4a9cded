#include "cli/machine_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/cli.h"
#include "cli/open_device.h"
#include "platform/nvidia.h"
#include "study/device.h"

namespace polythrottle {
namespace {

const Value& reference_level(const Parameter& p) {
  const bool lowest = p.role == Role::kBatch || p.role == Role::kClockFloor || p.name == "instances";
  return lowest ? p.levels.front() : p.levels.back();
}

/// Leaves the wanted levels of a machine's knob.
Status restrict_levels(Parameter& p, const std::vector<std::string>& texts) {
  std::vector<Value> keep;
  for (const auto& text : texts) {
    TRY(auto level, parse_level(p, text));
    keep.push_back(std::move(level));
  }
  std::erase_if(p.levels, [&](const Value& level) { return std::find(keep.begin(), keep.end(), level) == keep.end(); });
  return {};
}

/// "cpu4_hz", which moves a part of what "cpu_hz" moves.
bool is_split_clock(std::string_view name) {
  if (!name.starts_with("cpu") || !name.ends_with("_hz") || name.size() < 7) return false;
  name.remove_prefix(3);
  name.remove_suffix(3);
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_cpu_clock(std::string_view name) { return name == "cpu_hz" || is_split_clock(name); }

/// Two knobs must not write one file: who asks for a clock of some CPUs does without the clock of all.
Status leave_out_ganged(const Machine& machine, std::map<std::string, std::vector<std::string>>& wanted, std::vector<std::string>& notes) {
  std::string split;
  for (const auto& knob : machine.knobs_by_request) {
    const auto it = wanted.find(knob->parameter().name);
    if (it != wanted.end() && !it->second.empty() && is_split_clock(it->first)) split += (split.empty() ? "" : ", ") + it->first;
  }
  if (split.empty()) return {};
  if (const auto all = wanted.find("cpu_hz"); all != wanted.end()) {
    if (all->second.empty()) return {};
    return fail(Errc::kInvalid, fmt::format("--knob cpu_hz moves the same clocks as {}", split), "name the one or the others");
  }
  wanted["cpu_hz"] = {};
  notes.push_back(fmt::format("cpu_hz is left out, since {} was asked for; CPU clocks not named stay as they were found", split));
  return {};
}

}  // namespace

Result<std::vector<int>> own_levels(const std::string& name, const std::vector<std::string>& texts, int reference) {
  if (texts.empty()) return std::vector<int>{reference};
  std::vector<int> out;
  for (const auto& text : texts) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > 65536) {
      return fail(Errc::kInvalid, fmt::format("--knob {}: '{}' is no whole number from 1 to 65536", name, text));
    }
    out.push_back(number);
  }
  std::sort(out.begin(), out.end());
  if (std::adjacent_find(out.begin(), out.end()) != out.end()) return fail(Errc::kInvalid, fmt::format("--knob {} repeats a level", name));
  return out;
}

Result<MachineSpace> make_machine_space(std::span<const Parameter> own, Machine& machine,
                                        std::map<std::string, std::vector<std::string>> wanted, const TuneOptions& options,
                                        const Space::Coupling& allowed, Runs runs) {
  MachineSpace out;
  std::vector<Parameter> parameters(own.begin(), own.end());
  bool on_gpu = runs == Runs::kOnGpu;
  TRY_STATUS(leave_out_ganged(machine, wanted, out.notes));
  for (auto& knob : machine.knobs_by_request) {
    if (wanted.contains(knob->parameter().name)) machine.knobs.push_back(std::move(knob));
  }
  for (auto& knob : machine.knobs) {
    Parameter p = knob->parameter();
    if (is_cpu_clock(p.name) && runs == Runs::kOnGpu) p.role = Role::kHostClock;
    if (const auto it = wanted.find(p.name); it != wanted.end()) {
      const bool off = it->second.empty();
      if (!off) {
        const Value usual = reference_level(p);
        TRY_STATUS(restrict_levels(p, it->second));
        if (std::find(p.levels.begin(), p.levels.end(), usual) == p.levels.end() &&
            options.reference.find(p.name + '=') == std::string::npos) {
          return fail(Errc::kInvalid, fmt::format("--knob {} leaves out the reference level {}", p.name, to_text(usual)),
                      fmt::format("keep it, or say --reference {}=...", p.name));
        }
      }
      wanted.erase(it);
      if (off) continue;  // neither moved nor part of the space
    } else if (runs == Runs::kOnCpu && of_nvidia_gpu(*knob)) {
      continue;  // a GPU of its own does nothing for a network on the CPU, unless it is asked for by name
    }
    if (of_nvidia_gpu(*knob)) on_gpu = true;
    parameters.push_back(std::move(p));
    out.knobs.push_back(std::move(knob));
  }
  if (!wanted.empty()) {
    std::string names;
    for (const auto& p : parameters) names += (names.empty() ? "" : ", ") + p.name;
    return fail(Errc::kInvalid, fmt::format("--knob: this machine has no knob '{}'", wanted.begin()->first),
                "it has " + names + "; 'polythrottle probe' says more");
  }
  for (const auto& p : parameters) out.reference.set(p.name, reference_level(p));
  TRY(out.reference, parse_reference(options.reference, parameters, out.reference));
  const auto together = [&](const Config& c) { return (!allowed || allowed(c)) && (!machine.coupling || machine.coupling(c)); };
  TRY(out.space, Space::product(std::move(parameters), together, out.reference));
  if (!out.space.find(out.reference)) {
    return fail(Errc::kInvalid, fmt::format("the reference {} is not in the space", out.reference.text()), "--reference names another");
  }
  out.on_gpu = on_gpu;
  if (on_gpu && !machine.gpu.empty()) {
    machine.description += ", " + machine.gpu;
    out.notes.insert(out.notes.end(), machine.gpu_notes.begin(), machine.gpu_notes.end());
  }
  if (!out.space.thinned().empty()) out.notes.push_back(out.space.thinned());
  return out;
}

Status fill_device(Device& device, Machine& machine, MachineSpace parts, const TuneOptions& options) {
  const std::string wanted = wanted_meter(options.meters);
  if (wanted.empty() && !parts.on_gpu) {
    std::erase_if(machine.meters, [](const auto& meter) { return meter->info().gpu_alone; });
  }
  TRY(device.energy_meter, choose_meter(machine.meters, machine.absent_meters, wanted));
  if (!options.dry_run) TRY_STATUS(device.energy_meter->prepare());
  const MeterInfo& info = device.energy_meter->info();
  device.space = std::move(parts.space);
  device.reference = std::move(parts.reference);
  device.knobs = std::move(parts.knobs);
  device.gauges = std::move(machine.gauges);
  // Clocks and utilization fall to rest with the end of the work, when a trial reads its gauges.
  std::erase_if(device.gauges, [](const auto& gauge) {
    const MetricRow* row = find_metric(gauge->name());
    return !gauge->counts() && row != nullptr && !row->may_be_goal;
  });
  device.description = machine.description;
  device.energy_provenance = info.estimated ? Provenance::kEstimated : Provenance::kMeasured;
  device.meter = info.name;
  device.meter_boundary = fmt::format("meter {}, {}; error {}", info.name, info.boundary, info.error);
  for (const auto& row : metric_table()) {
    const bool gauged =
        std::any_of(device.gauges.begin(), device.gauges.end(), [&](const auto& g) { return g->name() == row.name && !g->counts(); });
    const bool of_a_gauge = row.name == kTemperature || row.name == kMemory || row.name == kGpuTemperature || row.name == kSystemMemory ||
                            row.name == kGpuMemory || row.name == kCpuUtilization || row.name == kGpuUtilization;
    if (row.name != kEnergyProxy && (!of_a_gauge || gauged)) device.metrics.emplace_back(row.name);
  }
  device.notes.insert(device.notes.end(), parts.notes.begin(), parts.notes.end());
  for (const auto& remark : info.remarks) device.notes.push_back(fmt::format("meter {}: {}", info.name, remark));
  if (info.estimated && wanted.empty()) {  // who named it knows
    for (const auto& absence : machine.absent_meters) {
      device.notes.push_back(fmt::format("energy is estimated; meter {}: {}", absence.name, absence.why.text()));
    }
  }
  return {};
}

}  // namespace polythrottle
