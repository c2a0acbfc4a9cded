#pragma once
// The numbers of a replay that have a mean over seeds: one table for text and JSON.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "replay/compare.h"

namespace polythrottle {

/// How a number stands in a table.
enum class ReplayUnit { kCount, kPercent, kSeconds, kJoules, kRatio, kNumber };

struct ReplayMetric {
  std::string_view name;   ///< as in JSON
  std::string_view label;  ///< for people
  ReplayUnit unit = ReplayUnit::kNumber;
  bool of_jobs = false;    ///< says nothing without a job
  bool simulated = false;  ///< a measurement of the board: its provenance stands beside it
  std::optional<double> (*value)(const replay::ReplayResult& run);
};
std::span<const ReplayMetric> replay_metrics();

/// Over the runs that have the number; nullopt if none has.
std::optional<replay::Estimate> over_seeds(const ReplayMetric& metric, const replay::ContenderRuns& contender);

}  // namespace polythrottle
