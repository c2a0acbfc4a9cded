#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>

#include "platform/jetson.h"
#include "platform/nvidia.h"
#include "platform/platform.h"

namespace polythrottle {
namespace {

/// The value behind "key : value" in /proc/cpuinfo; empty if the key is not there.
std::string cpuinfo_entry(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key)) continue;
    if (line.find_first_not_of(" \t", key.size()) != colon) continue;
    const auto first = line.find_first_not_of(" \t", colon + 1);
    if (first != std::string::npos) return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
  }
  return {};
}

/// As the device tree says it, whose strings end in a NUL.
std::string board_name(const Files& files) {
  for (const char* path : {"/sys/firmware/devicetree/base/model", "/proc/device-tree/model"}) {
    std::string model = files.read(path).value_or("");
    model.erase(std::find(model.begin(), model.end(), '\0'), model.end());
    if (!model.empty()) return model;
  }
  return {};
}

/// x86 names the CPU in cpuinfo; Arm boards name themselves there or in the device tree.
std::string cpu_model(const Files& files) {
  const std::string cpuinfo = files.read("/proc/cpuinfo").value_or("");
  for (const char* key : {"model name", "Model"}) {
    if (auto model = cpuinfo_entry(cpuinfo, key); !model.empty()) return model;
  }
  return board_name(files);
}

/// What the policies hold in one of their files, each different text once.
std::string of_policies(const Files& files, const std::string& file) {
  const std::string folder = "/sys/devices/system/cpu/cpufreq";
  std::set<std::string> texts;
  for (const auto& name : files.list(folder).value_or(std::vector<std::string>())) {
    if (!name.starts_with("policy")) continue;
    if (auto text = read_trimmed(files, folder + "/" + name + "/" + file)) texts.insert(*text);
  }
  std::string all;
  for (const auto& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

Space::Coupling coupling_of(const std::vector<std::unique_ptr<Knob>>& knobs) {
  std::set<const KnobGroup*> groups;
  for (const auto& knob : knobs) {
    if (const KnobGroup* group = knob->group()) groups.insert(group);
  }
  if (groups.empty()) return {};
  return [groups](const Config& config) {
    return std::all_of(groups.begin(), groups.end(), [&](const KnobGroup* group) { return group->allows(config); });
  };
}

}  // namespace

std::map<std::string, std::string> machine_facts(const Host& host) {
  const auto cpus = online_cpus(host.files);
  std::map<std::string, std::string> facts{
      {"hostname", read_trimmed(host.files, "/proc/sys/kernel/hostname").value_or("")},
      {"kernel", read_trimmed(host.files, "/proc/sys/kernel/osrelease").value_or("")},
      {"cpu_model", cpu_model(host.files)},
      {"logical_cpus", cpus ? std::to_string(*cpus) : ""},
      {"cpu_driver", of_policies(host.files, "scaling_driver")},
      {"governor", of_policies(host.files, "scaling_governor")},
      {"board", board_name(host.files)},
  };
  facts.merge(jetson_facts(host.files));
  facts.merge(nvidia_facts(host.files));
  std::erase_if(facts, [](const auto& fact) { return fact.second.empty(); });
  return facts;
}

MeterDiscovery discover_meters(Host& host, const MeterOptions& options) {
  std::vector<const MeterDriver*> drivers(meter_drivers().begin(), meter_drivers().end());
  std::stable_sort(drivers.begin(), drivers.end(), [](const auto* a, const auto* b) { return a->preference < b->preference; });
  MeterDiscovery all;
  for (const MeterDriver* driver : drivers) {
    auto found = driver->discover(host, options);
    append(all.meters, std::move(found.meters));
    append(all.absent, std::move(found.absent));
  }
  return all;
}

Machine discover(Host& host, const MeterOptions& options) {
  Machine machine;
  std::vector<const KnobDriver*> knob_order(knob_drivers().begin(), knob_drivers().end());
  std::stable_sort(knob_order.begin(), knob_order.end(), [](const auto* a, const auto* b) { return a->order < b->order; });
  for (const KnobDriver* driver : knob_order) {
    auto found = driver->discover(host);
    for (auto& knob : found.knobs) {
      const bool asked_for = driver->by_request || knob->by_request();
      (asked_for ? machine.knobs_by_request : machine.knobs).push_back(std::move(knob));
    }
    for (auto& absence : found.absent) absence.by_request = absence.by_request || driver->by_request;
    append(machine.absent_knobs, std::move(found.absent));
  }
  // What one driver lacks another may have: a Jetson's GPU clock is absent where an NVIDIA GPU of its own has one of that name.
  std::erase_if(machine.absent_knobs, [&](const Absence& absence) {
    return std::any_of(machine.knobs.begin(), machine.knobs.end(),
                       [&](const auto& knob) { return knob->parameter().name == absence.name; });
  });
  MeterDiscovery found_meters = discover_meters(host, options);
  machine.meters = std::move(found_meters.meters);
  machine.absent_meters = std::move(found_meters.absent);
  machine.gauges = discover_gauges(host);
  machine.coupling = coupling_of(machine.knobs);
  machine.gpu = nvidia_gpu(host.files);
  if (std::any_of(machine.knobs.begin(), machine.knobs.end(), [](const auto& knob) { return of_nvidia_gpu(*knob); })) {
    machine.gpu_notes = nvidia_notes(host.files);
  }

  const auto facts = machine_facts(host);
  const auto fact = [&](const char* key, const char* unknown) {
    const auto at = facts.find(key);
    return at == facts.end() ? std::string(unknown) : at->second;
  };
  const std::string cpus = fact("logical_cpus", "an unknown number of");
  // Jetsons call every core "ARMv8 Processor": the board's own name says more.
  machine.description = fact("board", fact("cpu_model", "unknown CPU").c_str()) + ", " + cpus +
                        (cpus == "1" ? " logical CPU" : " logical CPUs") + ", Linux " + fact("kernel", "(unknown)");
  return machine;
}

}  // namespace polythrottle
