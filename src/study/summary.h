#pragma once
// What a study found, computed from its journal alone: `tune` prints it at the end, `show` prints it again.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "study/baseline.h"
#include "study/control.h"
#include "study/discarded.h"
#include "study/drift.h"
#include "study/facts.h"
#include "study/stale.h"
#include "trial/constraint.h"
#include "trial/trial.h"

namespace polythrottle {

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
  std::size_t confirmed = 0;     ///< rounds of reference and best in alternation
  std::size_t second_looks = 0;  ///< trials in which the optimizer measured a setting again, on its own account
  std::vector<Violation> violations;
  std::vector<Trial> trials;
  std::size_t explored = 0;     ///< trials that count against the budget
  std::vector<TrialId> pareto;  ///< completed trials that no other beats in both objective and first limit's metric, by latency
  double search_seconds = 0.0;  ///< sum over trials
  std::optional<double> search_joules;
  /// Latencies observed in trials that broke a limit on latency (docs/terms.md); absent where a source does not count them.
  std::optional<std::size_t> requests_in_violation;
  std::optional<double> repaid_after_inferences;  ///< until the best setting saved `search_joules`; absent where no saving is shown
  std::optional<double> repaid_after_seconds;     ///< the same at the best setting's throughput
  ProofCount proofs;                              ///< settings whose clocks were watched; none where no setting claims one
  std::optional<ActuationCost> actuation;         ///< absent where nothing of the machine was set
  std::vector<Mishap> mishaps;                    ///< void, refused and failed trials
  Discarded discarded;                            ///< what was worked and waited for in vain, and what stayed undecided
  Drift drift;                                    ///< of the reference, in the objective
  std::size_t checks = 0;                         ///< trials in which the reference was measured again to see it
  std::optional<Baseline> baseline;               ///< absent in studies that did not look
  std::optional<Stale> stale;                     ///< marked as not to be relied on
  std::string stop_reason, stop_text;             ///< "running" if it has not stopped
  std::optional<double> expected_missed;          ///< what the optimizer that stopped expects to have missed, relative
};

/// 95 % interval of 1 - best / baseline from two estimates: statistical errors in quadrature, shared ones by their difference, on the
/// logarithm. Absent if neither side knows an error.
Saving compare(const Estimate& best, const Estimate& baseline);

/// `limits`: instead of the study's own, to ask about another SLO without a new measurement; then, and where the study holds no choice of
/// its optimizer, the best is chosen from what was measured alone. Errors: kCorrupt if facts are missing or unreadable; kNotFound if a
/// relative limit needs a reference that was not measured.
Result<Summary> summarize(const StudyFacts& facts, std::vector<Trial> history,
                          const std::optional<std::vector<ConstraintSpec>>& limits = {});

}  // namespace polythrottle
