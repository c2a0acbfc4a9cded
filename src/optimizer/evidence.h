#pragma once
// What trials say, as numbers a field can learn from.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "optimizer/optimizer.h"
#include "surrogate/field.h"

namespace polythrottle {

/// How a metric's values become the numbers that are modelled: less is better, and 0 is the reference.
struct Modelled {
  bool negated = false;   ///< more of the metric is better
  bool logarithm = true;  ///< ln(value / zero); else (value - zero) / scale
  double zero = 1.0;      ///< the metric's unit
  double scale = 1.0;     ///< the metric's unit
  double of(double value) const;
  double deviation(double value, double std_error) const;
  double back(double modelled) const;
};

/// A setting that was measured.
struct Visit {
  CandidateId id = 0;
  bool complete = false;   ///< the objective is known
  bool broken = false;     ///< refused, failed, or stopped early for no limit's sake
  bool decided = false;    ///< in one of its looks every limit's metric is there, with as large a sample as its percentile needs
  bool doubted = false;    ///< measured once, and so far above what all else says that it should be measured again
  std::size_t looks = 0;   ///< completed trials
  std::size_t trials = 0;  ///< those, and trials that were stopped early, refused or failed
  bool has_error = false;  ///< its trials state an error, so that another look can differ
};

/// A metric and how it is modelled.
struct ModelledMetric {
  std::string name;
  Modelled how;
};

bool is_latency(std::string_view metric);
bool is_energy(std::string_view metric);
/// nullopt where it is missing or not finite.
std::optional<double> value_of(const Metrics& metrics, std::string_view metric);

/// Zero is the reference's value, so that the prior's constants fit; without one, the median of what there is. `limit` also decides whether
/// a logarithm exists. nullopt where no trial has the metric.
std::optional<Modelled> modelled(const std::string& metric, std::optional<double> limit, std::span<const Trial> taught,
                                 const Config& reference);

/// What the trials say of one metric, as observations of `output`. Aborted ones count only where they broke a limit on that very metric and
/// nobody has looked there for longer. A drift of the reference over time is taken off (`drift_of`). Where a setting was looked at more
/// than once and one look is far above the lowest, that look keeps next to no weight.
std::vector<FieldObservation> observations_of(const ModelledMetric& metric, int output, const Problem& problem,
                                              std::span<const Trial> taught);

/// Puts what an estimate states of its error into an observation. False where that error is so large that it says nothing.
bool state_error(FieldObservation& observation, const Modelled& how, const Estimate& estimate);

/// Change of the modelled metric per second, seen at three or more measurements of the reference: their straight line in time, if its slope
/// is beyond three of its standard errors (the scatter about the line included); else 0.
double drift_of(const ModelledMetric& metric, const Problem& problem, std::span<const Trial> taught);

/// What has been measured, by candidate.
std::vector<Visit> visits_of(const Problem& problem, std::span<const Trial> taught);

/// Weight that an observation loses which is not believed: factor on its variance.
inline constexpr double kDisbelief = 200.0;

}  // namespace polythrottle
