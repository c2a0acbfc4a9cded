#pragma once
// What is wanted: an objective and limits, as people write them and as trials are judged by them.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "trial/metric.h"

namespace polythrottle {

enum class Direction { kMinimize, kMaximize };
struct Objective {
  std::string metric{kEnergy};
  Direction direction = Direction::kMinimize;
};
/// "energy", "power", "latency", "throughput", or any metric's name. Errors: kInvalid with the list.
Result<Objective> parse_objective(std::string_view text);

enum class Bound { kAtMost, kAtLeast };

/// A limit as written; may be relative to the reference setting until that is measured.
struct ConstraintSpec {
  std::string metric;
  Bound bound = Bound::kAtMost;
  double limit = 0.0;     ///< SI; or the factor where `relative`
  bool relative = false;  ///< limit = factor x the reference's value of the metric
  std::string text;       ///< as the user wrote it
};

/// A limit with its number.
struct Constraint {
  std::string metric;
  Bound bound = Bound::kAtMost;
  double limit = 0.0;  ///< SI
};

/// SLO: "p99=50ms", "p95=80ms", "p50=..", "mean=20ms", "1.2x" (of the reference's mean), "p99=1.2x". Units s, ms, us.
/// Errors: kInvalid, naming what was not understood.
Result<ConstraintSpec> parse_slo(std::string_view text);
/// Constraint: METRIC<=LIMIT or METRIC>=LIMIT, e.g. "power<=15W", "throughput>=100/s", "temperature<=70C", "memory<=2GB", "power<=0.8x".
/// Errors: kInvalid.
Result<ConstraintSpec> parse_constraint(std::string_view text);

/// Puts the reference's value into a relative limit. Errors: kNotFound if the reference lacks the metric.
Result<Constraint> resolve(const ConstraintSpec& spec, const Metrics& reference);

/// Slack on every limit: measured equality must not flip a coin (docs/terms.md).
inline constexpr double kSlack = 1.01;
/// A recommendation needs at least this probability of meeting every limit.
inline constexpr double kConfidence = 0.85;

enum class Verdict {
  kMet,
  kViolated,
  kUndecided,  ///< too small a sample for the percentile; treated as not met
  kMissing,    ///< the metric was not measured; never passes
};
const char* to_string(Verdict verdict);

/// Judges one limit on a trial's own estimate: met when the point estimate is within limit x slack. A percentile needs its minimum sample
/// (mean 30, p95 59, p99 299), except to be found violated.
Verdict judge(const Constraint& constraint, const Metrics& metrics);
/// All met.
bool meets(const std::vector<Constraint>& constraints, const Metrics& metrics);
/// P(true value within limit x slack) for a normal error; 0 or 1 where the error is unknown, 0 if missing or undecided. Only the
/// statistical error counts for latencies; the shared one of the meter counts for power.
double probability_met(const Constraint& constraint, const Metrics& metrics);
/// How far outside: value / limit (at most), limit / value (at least); 1.3 is 30 % over. nullopt if missing.
std::optional<double> excess(const Constraint& constraint, const Metrics& metrics);

}  // namespace polythrottle
