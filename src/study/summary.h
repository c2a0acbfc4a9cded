#pragma once
// What a study found, computed from its journal alone: `tune` prints it at the end, `show` prints it again.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "trial/constraint.h"
#include "trial/trial.h"

namespace polythrottle {

/// Keys of StudyFacts. Those marked * must be the same when a study is resumed.
namespace fact {
inline constexpr char kProgram[] = "program";  ///< version that made it
inline constexpr char kDevice[] = "device";    ///< * as typed
inline constexpr char kDeviceText[] = "device_description";
inline constexpr char kModel[] = "model";              ///< path as typed; absent for a recorded table
inline constexpr char kSha256[] = "sha256";            ///< * of the model, or of the recorded table
inline constexpr char kSpace[] = "space";              ///< * JSON list of parameters
inline constexpr char kCandidates[] = "candidates";    ///< * number of them
inline constexpr char kReference[] = "reference";      ///< * JSON configuration
inline constexpr char kFound[] = "found";              ///< JSON configuration of the machine's knobs before us; absent without any
inline constexpr char kObjective[] = "objective";      ///< * metric name
inline constexpr char kSlo[] = "slo";                  ///< * as typed
inline constexpr char kConstraints[] = "constraints";  ///< * JSON list, as typed
inline constexpr char kLoad[] = "load";                ///< * "closed loop", or the arrivals of an open one
inline constexpr char kMeter[] = "meter";              ///< * name
inline constexpr char kBoundary[] = "meter_boundary";
inline constexpr char kProvenance[] = "energy_provenance";  ///< measured, estimated, recorded, simulated
inline constexpr char kOptimizer[] = "optimizer";           ///< *
inline constexpr char kSeed[] = "seed";                     ///< *
inline constexpr char kBudget[] = "budget";
inline constexpr char kConditions[] = "conditions";  ///< * JSON: what else a measurement depends on (--dim, --window, ...)
inline constexpr char kOptions[] = "options";        ///< JSON: what `--resume` needs to set the study up again
inline constexpr char kMachine[] = "machine";        ///< JSON: host, kernel, CPU
inline constexpr char kNotes[] = "notes";            ///< JSON list of remarks made before the first trial
inline constexpr char kStop[] = "stop";              ///< JSON {reason, text}; absent while it runs
}  // namespace fact

/// A setting and what is known of it.
struct Side {
  Config config;
  Metrics metrics;         ///< pooled over its completed trials, or over confirmation rounds alone where there are any
  std::size_t trials = 0;  ///< that went into it
};

struct Saving {
  double ratio = 0.0;         ///< 1 - value(best) / value(baseline)
  std::optional<double> low;  ///< 95 % interval, shared meter errors included as far as they do not cancel; absent where no error is known
  std::optional<double> high;
  bool spans_zero() const { return low && high && *low <= 0.0 && *high >= 0.0; }
};

struct Violation {
  TrialId trial = 0;
  Config config;
  std::string metric;
  double value = 0.0;
  double limit = 0.0;
  double excess = 0.0;  ///< value / limit for an upper limit, limit / value for a lower one
};

struct Summary {
  StudyFacts facts;
  Provenance provenance = Provenance::kMeasured;
  Objective objective;
  std::vector<Constraint> constraints;
  std::optional<Side> reference;
  std::optional<Side> found;          ///< measured, because it differs from the reference
  std::optional<Side> best;           ///< absent where no setting is known to meet the limits
  std::optional<Side> closest;        ///< then: the nearest to it
  std::optional<Side> fastest;        ///< least value of the first limit's metric seen
  std::optional<Saving> saving;       ///< of energy, best against reference; absent where there are no joules
  std::optional<Saving> improvement;  ///< the same of the objective, where that may be another metric
  std::optional<Saving> saving_found;
  std::size_t confirmed = 0;  ///< rounds of reference and best in alternation
  std::vector<Violation> violations;
  std::vector<Trial> trials;
  std::size_t explored = 0;     ///< trials that count against the budget
  std::vector<TrialId> pareto;  ///< completed trials that no other beats in both objective and first limit's metric, by latency
  double search_seconds = 0.0;  ///< sum over trials
  std::optional<double> search_joules;
  std::string stop_reason, stop_text;  ///< "running" if it has not stopped
};

/// 95 % interval of 1 - best / baseline from two estimates: statistical errors in quadrature, shared ones by their difference, on the
/// logarithm. Absent if neither side knows an error.
Saving compare(const Estimate& best, const Estimate& baseline);

/// `limits`: instead of the study's own, to ask about another SLO without a new measurement. Errors: kCorrupt if facts are missing or
/// unreadable; kNotFound if a relative limit needs a reference that was not measured.
Result<Summary> summarize(const StudyFacts& facts, std::vector<Trial> history,
                          const std::optional<std::vector<ConstraintSpec>>& limits = {});

/// The study's limits as it was made with. Errors: kCorrupt.
Result<std::vector<ConstraintSpec>> limits_of(const StudyFacts& facts);

}  // namespace polythrottle
