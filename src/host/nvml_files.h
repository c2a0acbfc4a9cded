#pragma once
// NVIDIA GPUs as files, so that knobs, meters, the lease and its record, fault injection and recorded machines need nothing of their own
// for them: what is written to /sys elsewhere is written to /nvml here, and reaches the driver through NVML. Why:
// docs/adr/0012-nvml-as-files.md.

#include <memory>
#include <string>

#include "host/host.h"
#include "host/nvml_abi.h"

namespace polythrottle {

struct NvmlMount {
  /// False: the real library is never loaded, and /nvml is what `base` has of it.
  bool load = true;
  std::string library = nvml::kLibrary;
  /// Index or UUID of the one GPU that /nvml lists; empty: all. Paths of the others work all the same, for whoever has them from a record.
  std::string gpu = {};
  /// "MIN MAX" in MHz: what the GPU was locked to before we came, as its owner says it; empty: nobody says.
  std::string found_graphics_lock = {};
  std::string found_memory_lock = {};
};

/// `base` with /nvml in it; every other path is handed on. A folder /nvml that `base` has itself (a recorded machine) is used as it is.
/// The library is loaded when /nvml is first looked at, once, and stays initialised as long as this object. `base` outlives it.
///
/// Each GPU is a folder named by its UUID, or index-N where it cannot even say that (then its nodes answer why). Nodes, one line each:
///   name, uuid, index, pci_bus_id, driver, architecture ("ampere"; "unknown (N)")
///   supported_memory_clocks, supported_graphics_clocks/<memory clock>   MHz, as the driver lists them
///   locked_graphics_clocks, locked_memory_clocks    "MIN MAX" in MHz or "unlocked"; can be written. No driver tells a lock: what is read
///   is
///                                                   what this process wrote last, or was told to be found, or "unknown"
///   power_limit_mw (can be written), power_limit_min_mw, power_limit_max_mw, power_limit_default_mw, power_limit_enforced_mw
///   graphics_clock_mhz, sm_clock_mhz, memory_clock_mhz    at this moment
///   clocks_event_reasons    why the clocks are not higher, as NVML's bits: "0x0000000000000001"
///   persistence_mode, mig_mode    0 or 1
///   energy_mj    since the driver was loaded; Volta and later
///   power_mw (Ampere but GA100, and later: averaged over 1 s), power_instant_mw, power_average_mw (over 1 s)
///   software_thermal_slowdown_ns, hardware_thermal_slowdown_ns, power_brake_slowdown_ns    time since the driver was loaded
///   temperature_celsius, utilization_percent, memory_utilization_percent, memory_used_bytes
/// Errors besides those of Files: kUnsupported where GPU or driver lack it; kNotFound for /nvml itself says whether library or driver is
/// missing; kInvalid from listing /nvml where `gpu` names none. NVML cannot say whether a write would be permitted: `writable` answers
/// by the capability SYS_ADMIN of this process, which is what the driver asks for (root where /proc does not tell).
std::unique_ptr<Files> nvml_files(Files& base, NvmlMount mount = {});

}  // namespace polythrottle
