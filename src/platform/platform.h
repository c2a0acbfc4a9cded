#pragma once
// What this machine offers: everything that the drivers find, and the words for it.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/host.h"
#include "knob/knob.h"
#include "meter/meter.h"

namespace polythrottle {

struct Machine {
  std::vector<std::unique_ptr<Knob>> knobs;  ///< in the order in which a configuration is written
  std::vector<Absence> absent_knobs;
  std::vector<std::unique_ptr<Meter>> meters;  ///< preferred first
  std::vector<MeterAbsence> absent_meters;
  std::vector<std::unique_ptr<Gauge>> gauges;
  std::string description;  ///< "AMD EPYC, 2 logical CPUs, Linux 6.18.44"
};

/// Asks every driver. Only looks: nothing of the machine is written. The host outlives what is found.
Machine discover(Host& host, const MeterOptions& options);

/// Facts that a measurement depends on, for its provenance: hostname, kernel, cpu_model, logical_cpus, and where cpufreq has them
/// cpu_driver and governor (several, if the policies differ: "performance, powersave"). What cannot be read is left out.
std::map<std::string, std::string> machine_facts(const Host& host);

}  // namespace polythrottle
