#pragma once
// What this machine offers: everything that the drivers find, and the words for it.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/host.h"
#include "knob/knob.h"
#include "meter/meter.h"
#include "space/space.h"

namespace polythrottle {

struct Machine {
  std::vector<std::unique_ptr<Knob>> knobs;             ///< in the order in which a configuration is written
  std::vector<std::unique_ptr<Knob>> knobs_by_request;  ///< to be put behind the others where somebody asks for one by name
  std::vector<Absence> absent_knobs;
  std::string gpu;                     ///< the NVIDIA GPU that is tuned, "GPU 0 (NVIDIA A100-PCIE-40GB)"; empty without one
  std::vector<std::string> gpu_notes;  ///< what to know before the knobs of an NVIDIA GPU are moved; empty without them
  /// Which settings of these knobs go together (gpu_min_hz <= gpu_max_hz); absent: all. Valid while the knobs live; names that are none of
  /// theirs, and knobs that are missing from a configuration, do not count.
  Space::Coupling coupling;
  std::vector<std::unique_ptr<Meter>> meters;  ///< preferred first
  std::vector<MeterAbsence> absent_meters;
  std::vector<std::unique_ptr<Gauge>> gauges;
  std::string description;  ///< "AMD EPYC, 2 logical CPUs, Linux 6.18.44"; a board says its own name
};

/// Asks the meters' drivers alone; preferred first. Only looks. The host outlives what is found.
MeterDiscovery discover_meters(Host& host, const MeterOptions& options);

/// Asks every driver. Only looks: nothing of the machine is written. The host outlives what is found.
Machine discover(Host& host, const MeterOptions& options);

/// Facts that a measurement depends on, for its provenance: hostname, kernel, cpu_model, logical_cpus, and where cpufreq has them
/// cpu_driver and governor (several, if the policies differ: "performance, powersave"); on boards with a device tree, board; on a Jetson
/// also l4t and power_mode; of an NVIDIA GPU that is no part of a Jetson gpu, gpu_uuid and gpu_driver. What cannot be read is left out.
std::map<std::string, std::string> machine_facts(const Host& host);

}  // namespace polythrottle
