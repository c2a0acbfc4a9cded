#pragma once
// The clock domains of the CPUs, as cpufreq shows them: one folder /sys/devices/system/cpu/cpufreq/policyN each.
// Source: Linux Documentation/admin-guide/pm/cpufreq.rst, intel_pstate.rst, amd-pstate.rst.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"
#include "knob/clock_band.h"

namespace polythrottle {

struct CpuPolicy {
  int number = 0;  ///< the N of policyN: the first of its CPUs
  std::string folder;
  std::vector<Khz> table;  ///< ascending, boost clocks included where they may be used now; empty where the driver has none
  Khz lowest = 0;          ///< of the hardware
  Khz highest = 0;         ///< of the hardware, or below it the limit that the firmware imposes now (bios_limit)
  /// Highest clock without turbo, where the driver says it: base_frequency (intel_pstate), or the table without scaling_boost_frequencies.
  std::optional<Khz> base;

  std::string ceiling_path() const { return folder + "/scaling_max_freq"; }
  std::string floor_path() const { return folder + "/scaling_min_freq"; }
  Khz bottom() const { return table.empty() ? lowest : table.front(); }
  Khz top() const { return table.empty() ? highest : table.back(); }
  /// How far above its ceiling its CPUs may run, kHz. Without a table a limit becomes a ratio of the hardware: of 100 MHz, and of some
  /// 79 MHz on the P-cores of hybrid CPUs, where the kernel rounds up (Linux drivers/cpufreq/intel_pstate.c).
  Khz rounding() const { return table.empty() ? 100'000 : 0; }
  ClockBand band() const { return {.floor_path = floor_path(), .ceiling_path = ceiling_path(), .bottom = bottom()}; }
  /// The largest ceiling of this policy that is not above `wanted`, or its lowest one.
  Khz target(Khz wanted) const;
};

/// The folders policyN by N; empty where there is no cpufreq. Errors: those of Files::list but kNotFound.
Result<std::map<int, std::string>> cpu_policy_folders(const Files& files);

/// Do all its CPUs rest? Its files answered `why`: EBUSY, or they are gone (kernel 4.9).
bool is_resting(const Files& files, const std::string& folder, const Error& why);

/// Policies with a CPU online, and by number those left out because all their CPUs are offline, with the answer of their files.
struct CpuPolicies {
  std::vector<CpuPolicy> policies;  ///< in the order of their numbers; at least one
  std::map<int, Error> resting;
};
/// Only looks. Errors: kNotFound if there is no policy at all, kBusy or kNotFound if all of them rest, kPermission, kCorrupt, kIo of the
/// first that cannot be used.
Result<CpuPolicies> find_cpu_policies(const Files& files);

/// The clock of a policy in this moment; nullopt where the driver gives no number (`<unknown>`, or no such file).
/// cpuinfo_cur_freq, asked from the hardware, where we may read it (root only); else scaling_cur_freq: on x86 the measured average of the
/// last milliseconds (APERF over MPERF), elsewhere often only what was last requested. Errors: kBusy if its CPUs are offline, kIo.
Result<std::optional<Khz>> current_khz(const Files& files, const CpuPolicy& policy);

/// Adds to a failed access what helps: a policy whose CPUs all went offline answers EBUSY (kernel 4.9: has no files) until they are back.
Error explained(Error error);

/// Ceilings that at least one policy can hold exactly and that none of them is above at its lowest, so that the largest ceiling read back
/// is the level. Hertz, ascending, at least one. Without tables at most 16.
std::vector<Value> ceilings_of(const std::vector<CpuPolicy>& policies);

}  // namespace polythrottle
