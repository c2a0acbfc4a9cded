#pragma once
// A snapshot for Prometheus.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/snapshot.h"

namespace polythrottle::server {

/// Requests answered in time over all that have ended (answered, dropped or failed), since the start. nullopt: none has.
std::optional<double> attainment(const Snapshot& snapshot);

enum class MetricType { kCounter, kGauge, kHistogram };

/// One family of samples. A counter's name ends in _total; a unit stands behind the name, in base units (seconds, joules, ...).
struct ServerMetric {
  std::string_view name;  ///< without the prefix "polythrottle_"
  std::string_view unit;  ///< "seconds", or "" for a bare number
  MetricType type;
  std::string_view help;
  /// Appends its sample lines; nothing where the snapshot does not know it. `full` is `full_name`.
  void (*samples)(const Snapshot& snapshot, const std::string& full, std::string& out);
};
/// The one table of what the server tells.
std::span<const ServerMetric> server_metrics();
/// "polythrottle_energy_joules_total": prefix, name, unit, and _total of a counter.
std::string full_name(const ServerMetric& metric);

/// Everything in the snapshot, in the Prometheus text format 0.0.4 (content type "text/plain; version=0.0.4"): as
/// https://prometheus.io/docs/instrumenting/exposition_formats/ has it. Families of which nothing is known are left out.
std::string metrics_text(const Snapshot& snapshot);

}  // namespace polythrottle::server
