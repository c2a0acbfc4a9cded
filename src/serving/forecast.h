#pragma once
// What would become of every deadline if a step of fine-tuning began now: a look ahead under pessimistic arrivals.

#include "serving/batch_times.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// Requests to come, as many and as early as chance will hardly make them: by time u after now,
///   r u + z sqrt(D r u + (e u)^2),  e = sqrt(D r / seconds)
/// of them, with the rate r and the dispersion D seen so far; e is what is not known of the rate. z = 0 is the mean, D = 0 (an even stream)
/// the mean for every z. Where nothing is known of the rate they all come at once.
class ArrivalCurve {
 public:
  ArrivalCurve(const ArrivalEstimate& seen, double z);
  /// When the n-th (from 1) comes, after now; infinite where none does.
  Seconds at(double n) const;

 private:
  double rate_;
  double chance_;  ///< z^2 D r
  double square_;  ///< r^2 - (z e)^2
  bool known_;
};

/// Would all deadlines of requests that wait, run, or come before the step has ended be met, under that curve and the bounds of `times`?
/// Batches are formed as `plan_batch` forms them, beside the step until it ends and alone from there on. `step` must be the one that
/// `times` was made with. Pure; its cost grows with the number of batches during the step.
bool deadlines_hold(const ServingState& state, const interference::Step& step, double z, int cap, BatchTimes& times);

}  // namespace polythrottle::serving
