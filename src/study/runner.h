#pragma once
// A study from the reference setting to the confirmed choice; one trial at a time, each as docs/architecture.md lists it.

#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "optimizer/optimizer.h"
#include "study/device.h"
#include "trial/constraint.h"

namespace polythrottle {

/// What the user asked for.
struct Plan {
  Objective objective;
  std::vector<ConstraintSpec> limits;  ///< the SLO first
  std::uint64_t seed = 0;
  std::size_t budget = 20;                    ///< trials, the reference included; second looks, confirmation, void and lost ones not
  std::optional<std::size_t> max_violations;  ///< exploration ends after so many trials of it that broke a limit; at least 1
  SearchOptions search;                       ///< handed to the optimizer as it is
  std::size_t confirm_rounds = 3;             ///< of reference and best in alternation, at the end; 0 for recorded tables
  Seconds window{1};                          ///< shortest measuring window
  Seconds window_limit{20};                   ///< longest, unless the SLO's sample needs more: that sample at the SLO's latency
  double energy_error = 0.0;                  ///< relative standard error of the energy that ends a window; 0: none is asked
  Seconds settle_limit{0};                    ///< what may be left out of a load before its window, until it is steady; 0: nothing
  Seconds cool_down{0};                       ///< longest wait before a trial for the temperature of the start; 0: none
  Seconds idle{0};                            ///< over which idle power is measured before the first trial; 0: it is not
  std::size_t check_every = 0;                ///< explored trials after which the reference is measured again; 0: never
};

/// What the caller may watch. Called on the thread that runs the study; any may be empty.
struct Observer {
  /// Trial `number` of `of` begins. Confirmation counts from 1 again; a second look has the number of the trials before it.
  std::function<void(const Trial&, std::size_t number, std::size_t of)> began;
  /// It ended; `history` holds it. `problem` is absent until the reference is measured.
  std::function<void(const Trial&, std::span<const Trial> history, const Problem* problem)> ended;
  /// Keeps what the workload's program printed in this trial (never empty); answers where it is to be read. The trial's note names that
  /// where the trial failed.
  std::function<Result<std::string>(const Trial&, const std::string& text)> printed;
};

enum class StopReason {
  kBudget,
  kExhausted,
  kOptimizer,
  kViolations,  ///< as many trials broke a limit as the plan allows
  kInterrupted,
  kFault,  ///< several trials in a row were void: something is wrong with the machine, not with the settings
};
const char* to_string(StopReason reason);

struct StudyEnd {
  StopReason reason = StopReason::kBudget;
  std::string text;                      ///< one line for people
  std::optional<double> expected_gain;   ///< what the optimizer that stopped expects to have missed, relative, where it says so
  std::optional<Recommendation> choice;  ///< the setting to use, of those that were measured; absent if no trial completed
};

/// Finishes what a killed run left in this journal: running trials become lost.
Status mark_lost(Journal& journal, double wall_seconds);

/// Runs (or goes on with) the study in `journal`. `lease` holds the machine; the caller restores it.
/// Errors: whatever stops a study as a whole: the reference setting cannot be measured, the journal cannot be written, the meter died.
Result<StudyEnd> run_study(Device& device, Journal& journal, Lease* lease, Optimizer& optimizer, const Plan& plan, const Observer& observer,
                           std::stop_token stop);

/// The limits as numbers: relative ones from the first completed reference trial. Errors: kNotFound if there is none yet.
Result<std::vector<Constraint>> resolve_limits(const std::vector<ConstraintSpec>& limits, std::span<const Trial> history);

}  // namespace polythrottle
