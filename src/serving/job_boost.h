#pragma once
// Clocks raised while a job is pending, where the job then ends for less energy than at the clocks that serve the requests alone.

#include <cstddef>
#include <optional>

#include "serving/load_table.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// What the pending jobs cost in a row, against serving without them in the row that the rate asks for.
struct JobCost {
  Seconds finish{0};    ///< until the last job ends: its work at the row's speeds, in the time that inference leaves
  Joules energy;        ///< finish x (power busy in the row - power of serving in the base row)
  bool in_time = true;  ///< every job ends before its deadline
};

/// nullopt where it cannot be said: no job that is not paused, no busy power, a predictor that is not calibrated, a row that inference
/// fills by itself, or one where the smallest piece of a job does not fit under the SLO with the requests that come meanwhile: a job waits
/// there for ever.
std::optional<JobCost> job_cost(const ServingState& state, const LoadTable& table, std::size_t row, std::size_t base);

struct Boost {
  std::size_t row = 0;
  JobCost cost;
  std::optional<JobCost> at_base;
};
/// Pure. Of the rows that serve the rate x headroom: that of least energy among those in which every job ends in time; where there is
/// none, the one that ends soonest. `now`, the row in force, is kept unless another saves more than `min_gain` of it. nullopt: stay in
/// `base`, where no change is worth `switch_cost`, or nothing can be said.
std::optional<Boost> job_boost(const ServingState& state, const LoadTable& table, std::size_t base, double headroom, Joules switch_cost,
                               double min_gain);

}  // namespace polythrottle::serving
