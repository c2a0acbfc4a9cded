#include "trial/metric.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace polythrottle {
namespace {

constexpr std::array kTable{
    MetricRow{kEnergy, "energy", "J", 0, true, "energy of the window divided by the inferences it answered"},
    MetricRow{kLatencyMean, "mean", "s", 0, true, "mean latency of a batch (closed loop) or a request (open loop)"},
    MetricRow{kLatencyP50, "p50", "s", 0.5, true, "median latency"},
    MetricRow{kLatencyP95, "p95", "s", 0.95, true, "95th percentile of latency"},
    MetricRow{kLatencyP99, "p99", "s", 0.99, true, "99th percentile of latency"},
    MetricRow{kPower, "power", "W", 0, true, "energy of the window divided by its length"},
    MetricRow{kThroughput, "throughput", "/s", 0, false, "inferences answered per second"},
    MetricRow{kTemperature, "temperature", "degC", 0, true, "hottest thermal zone at the end of the window"},
    MetricRow{kMemory, "memory", "B", 0, true, "resident memory of the process that runs the model, at the end of the window"},
    MetricRow{kGpuTemperature, "gpu_temperature", "degC", 0, true, "temperature of the NVIDIA card at the end of the window"},
    MetricRow{kSystemMemory, "system_memory", "B", 0, true, "memory of the whole machine in use, at the end of the window"},
    MetricRow{kGpuMemory, "gpu_memory", "B", 0, true, "memory of the NVIDIA card in use by all its programs, at the end of the window"},
    MetricRow{kCpuUtilization, "cpu_utilization", "", 0, true, "part of the time that the CPUs were busy, mean over all", false},
    MetricRow{kGpuUtilization, "gpu_utilization", "", 0, true, "part of the time in which the GPU ran anything, as its driver says", false},
    MetricRow{kEnergyProxy, "energy_proxy", "", 0, true, "a recorded table's own stand-in for energy; not joules"},
    MetricRow{kGpuClockSeen, "gpu_clock", "Hz", 0, true, "clock the GPU was seen to run at under load, mean", false},
    MetricRow{kMemoryClockSeen, "mem_clock", "Hz", 0, true, "clock the memory was seen to run at under load, mean", false},
    MetricRow{kCpuClockSeen, "cpu_clock", "Hz", 0, true, "clock the CPUs were seen to run at under load, mean", false},
    MetricRow{kTrialEnergy, "trial_energy", "J", 0, true, "energy of the whole trial, warm-up included: what the search cost", false, true},
    MetricRow{kActuation, "actuation", "s", 0, true, "time to set the configuration, reading back included", false, true},
    MetricRow{kWrite, "write", "s", 0, true, "time of one write to a node of the machine, mean over those of the configuration", false,
              true},
    MetricRow{kWarmUpTime, "warm_up", "s", 0, true, "work before the window that was not counted: warm-up, and until the load was steady",
              false, true},
    MetricRow{kWindowTime, "window", "s", 0, true, "length of the window", false, true},
    MetricRow{kCoolDownTime, "cool_down", "s", 0, true, "wait without load for the temperature that the study started at", false, true},
    MetricRow{kStartTemperature, "start_temperature", "degC", 0, true, "hottest thermal zone before the trial's load", false, true},
};

}  // namespace

const char* to_string(Provenance provenance) {
  switch (provenance) {
    case Provenance::kMeasured: return "measured";
    case Provenance::kEstimated: return "estimated";
    case Provenance::kRecorded: return "recorded";
    case Provenance::kSimulated: return "simulated";
  }
  return "estimated";
}

Result<Provenance> parse_provenance(std::string_view text) {
  for (auto p : {Provenance::kMeasured, Provenance::kEstimated, Provenance::kRecorded, Provenance::kSimulated}) {
    if (text == to_string(p)) return p;
  }
  return fail(Errc::kCorrupt, fmt::format("unknown provenance '{}'", text));
}

double Estimate::shared_relative() const {
  double sum = 0.0;
  for (const auto& s : shared) sum += s.relative * s.relative;
  return std::sqrt(sum);
}

double Estimate::shared_difference(const Estimate& other) const {
  std::map<std::string_view, double> difference;
  for (const auto& s : shared) difference[s.source] += s.relative;
  for (const auto& s : other.shared) difference[s.source] -= s.relative;
  double sum = 0.0;
  for (const auto& [source, d] : difference) sum += d * d;
  return std::sqrt(sum);
}

std::optional<double> Estimate::total_std_error() const {
  if (!std_error && shared.empty()) return std::nullopt;
  return std::hypot(std_error.value_or(0.0), shared_relative() * value);
}

std::span<const MetricRow> metric_table() { return kTable; }

const MetricRow* find_metric(std::string_view name) {
  for (const auto& row : kTable) {
    if (row.name == name || row.alias == name) return &row;
  }
  return nullptr;
}

std::string format_metric(std::string_view name, double value) {
  if (name.ends_with("_ratio") && std::isfinite(value)) return fmt::format("{:.1f} %", 100.0 * value);
  const MetricRow* row = find_metric(name);
  if (std::isfinite(value) && name.ends_with("_ratio")) return fmt::format("{:.1f} %", 100.0 * value);
  return format_si(value, row ? row->unit : "");
}

std::string format_si(double value, std::string_view unit) {
  if (!std::isfinite(value)) return "-";
  if (unit == "degC") return fmt::format("{:.1f} degC", value);
  if (unit == "/s") return fmt::format("{:.4g} /s", value);
  struct Prefix {
    double scale;
    const char* text;
  };
  constexpr std::array<Prefix, 6> kPrefixes{{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1.0, ""}, {1e-3, "m"}, {1e-6, "u"}}};
  const double size = std::abs(value);
  const Prefix* chosen = &kPrefixes[3];
  if (size > 0.0) {
    chosen = &kPrefixes.back();
    for (const auto& p : kPrefixes) {
      // Rounding to four digits must not print 1000 of the smaller unit.
      if (size >= p.scale * 0.99995) {
        chosen = &p;
        break;
      }
    }
  }
  // Seconds above a thousand stay seconds: nobody reads kiloseconds.
  if (unit == "s" && size >= 1.0) chosen = &kPrefixes[3];
  const double scaled = value / chosen->scale;
  // Four digits with trailing zeros, but no lone decimal point behind a whole number.
  return std::abs(scaled) >= 999.95 ? fmt::format("{:.0f} {}{}", scaled, chosen->text, unit)
                                    : fmt::format("{:#.4g} {}{}", scaled, chosen->text, unit);
}

}  // namespace polythrottle
