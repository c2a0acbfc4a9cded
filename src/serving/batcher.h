#pragma once
// Dynamic batching under deadlines: which waiting requests run together, when, and which are not worth running.

#include <optional>
#include <vector>

#include "serving/batch_times.h"
#include "serving/policy.h"

namespace polythrottle::serving {

struct BatchRules {
  bool wait = true;            ///< for a larger batch, as long as the earliest deadline allows; else what is there runs
  bool leave_room = true;      ///< no batch so long that a request which comes just behind its start could not be served in time
  bool drop_hopeless = true;   ///< requests that cannot make it even at once and by themselves; else only those past their deadline
  bool sees_steps = true;      ///< predictions know of the step that runs beside; else all are of batches alone
  bool expects_steps = false;  ///< a step runs beside all the time, whether one does now or not
  int cap = 0;                 ///< not more at a time; 0: what the configuration takes
};

struct BatchPlan {
  std::vector<Decision::Drop> drops;
  int run = 0;               ///< so many requests, after the drops; 0: none now
  std::optional<Time> wake;  ///< decide again then
  DecisionRecord about;
};

/// Pure. The batch is the largest whose bound meets the earliest deadline; while all that wait fit into it and there is room for one more,
/// it waits until a batch with one more could only just make that deadline. Where no bound fits, the largest whose median does; where that
/// does not either (then nothing is dropped as hopeless by these rules), all that fit.
BatchPlan plan_batch(const ServingState& state, const BatchRules& rules, BatchTimes& times);

/// The largest batch that leaves room for those that come while it runs: t(b) + t(what comes meanwhile) <= SLO. At least 1. `beside`: with
/// a step beside.
int cap_with_room(const ServingState& state, BatchTimes& times, bool beside);

}  // namespace polythrottle::serving
