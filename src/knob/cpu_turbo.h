#pragma once
// Whether the CPUs may run above their base clock.
// Source: Linux Documentation/admin-guide/pm/intel_pstate.rst (no_turbo) and cpufreq.rst (boost); drivers/cpufreq/intel_pstate.c.

#include <string>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle {

/// The one switch of a machine. Writing it changes what the limits of every policy read: with intel_pstate, no_turbo hides a higher
/// ceiling and lets it come back; the kernel's own boost code (tables with boost clocks, amd-pstate) sets every ceiling to the new highest
/// clock, whatever it was.
struct TurboSwitch {
  std::string path;
  bool inverted = false;  ///< 1 is off: intel_pstate's no_turbo

  /// Errors: those of `read_integer`; kBusy while the driver is off.
  Result<bool> read(const Files& files) const;
  /// Errors: kPermission where firmware keeps turbo off (no_turbo refuses with EPERM, also root), or for want of rights.
  Status write(Files& files, bool on) const;
};

/// intel_pstate/no_turbo, else cpufreq/boost. Only looks. Errors: kNotFound; kBusy if intel_pstate is off; kPermission.
Result<TurboSwitch> find_turbo(const Files& files);

}  // namespace polythrottle
