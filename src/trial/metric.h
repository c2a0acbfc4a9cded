#pragma once
// Names, units and help of everything that is measured: the one table from which journal, reports and --help are made.

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace polythrottle {

/// Where a number comes from. The word stands wherever the number stands.
enum class Provenance { kMeasured, kEstimated, kRecorded, kSimulated };
const char* to_string(Provenance provenance);
Result<Provenance> parse_provenance(std::string_view text);

/// An error that is the same in every trial made with one meter (a gain, a coefficient of a power model), so that it cancels in a ratio as
/// far as two trials share it. `relative` is the change of ln(value) when the source is off by one standard deviation.
struct SharedError {
  std::string source;
  double relative = 0.0;
  friend bool operator==(const SharedError&, const SharedError&) = default;
};

/// A measured quantity, SI.
struct Estimate {
  double value = 0.0;
  std::optional<double> std_error;     ///< statistical, of this trial alone; nullopt where nothing is known of it
  std::optional<std::size_t> samples;  ///< how many observations; nullopt where the source does not say (recorded tables)
  std::vector<SharedError> shared;     ///< systematic, common to all trials of the meter
  friend bool operator==(const Estimate&, const Estimate&) = default;

  /// Combined relative standard error of `shared`.
  double shared_relative() const;
  /// What is left of the shared errors of both in the ratio of this and `other`, relative: a gain cancels, an offset as far as both have it.
  double shared_difference(const Estimate& other) const;
  /// Statistical and shared error together, absolute; nullopt where the statistical one is unknown and there is no shared one.
  std::optional<double> total_std_error() const;
};

/// By full metric name, e.g. "energy_joules_per_inference".
using Metrics = std::map<std::string, Estimate, std::less<>>;

struct MetricRow {
  std::string_view name;   ///< with SI unit, as in JSON and SQL
  std::string_view alias;  ///< as people write it: "energy", "p99", "power"
  std::string_view unit;   ///< "J", "s", "W", "/s", "degC", "B", "Hz"
  double quantile;         ///< 0.5, 0.95, 0.99 for percentiles of latency, else 0
  bool less_is_better;
  std::string_view help;
  bool may_be_goal = true;    ///< may it be an objective or a limit?
  bool of_the_trial = false;  ///< says how it was measured, nothing of the setting
};
std::span<const MetricRow> metric_table();
/// By name or alias.
const MetricRow* find_metric(std::string_view name_or_alias);

inline constexpr std::string_view kEnergy = "energy_joules_per_inference";
inline constexpr std::string_view kLatencyMean = "latency_mean_seconds";
inline constexpr std::string_view kLatencyP50 = "latency_p50_seconds";
inline constexpr std::string_view kLatencyP95 = "latency_p95_seconds";
inline constexpr std::string_view kLatencyP99 = "latency_p99_seconds";
inline constexpr std::string_view kPower = "power_watts";
inline constexpr std::string_view kThroughput = "throughput_per_second";
inline constexpr std::string_view kTemperature = "temperature_celsius";
inline constexpr std::string_view kMemory = "memory_bytes";
inline constexpr std::string_view kGpuTemperature = "gpu_temperature_celsius";
inline constexpr std::string_view kSystemMemory = "system_memory_bytes";
inline constexpr std::string_view kGpuMemory = "gpu_memory_bytes";
inline constexpr std::string_view kCpuUtilization = "cpu_utilization_ratio";
inline constexpr std::string_view kGpuUtilization = "gpu_utilization_ratio";
inline constexpr std::string_view kEnergyProxy = "energy_proxy";
inline constexpr std::string_view kTrialEnergy = "trial_energy_joules";
inline constexpr std::string_view kGpuClockSeen = "gpu_clock_hertz";
inline constexpr std::string_view kMemoryClockSeen = "mem_clock_hertz";
inline constexpr std::string_view kCpuClockSeen = "cpu_clock_hertz";
inline constexpr std::string_view kWarmUpTime = "warm_up_seconds";
inline constexpr std::string_view kWindowTime = "window_seconds";
inline constexpr std::string_view kCoolDownTime = "cool_down_seconds";
inline constexpr std::string_view kStartTemperature = "start_temperature_celsius";
inline constexpr std::string_view kActuation = "actuation_seconds";
inline constexpr std::string_view kWrite = "write_seconds";

/// "12.3 ms", "1.20 J": a value of this metric for people, three significant digits, SI prefix.
std::string format_metric(std::string_view name, double value);
/// The same of a value in `unit`: "J", "s", "W", ...
std::string format_si(double value, std::string_view unit);

}  // namespace polythrottle
