#pragma once
// How long batches of every size take in one state: predictions, asked for once and kept for the rest of a decision.

#include <algorithm>
#include <vector>

#include "base/units.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// Lives for one decision. `probability`: of the bound that is held against deadlines. `step`: what runs beside, or would if it began now.
class BatchTimes {
 public:
  BatchTimes(const ServingState& state, double probability, const std::optional<interference::Step>& step);

  /// Not more than this at a time: the tuned batch of the row in force, and of the one on its way.
  int cap() const { return cap_; }
  /// Bounds, and medians, of a batch of 1 <= size <= cap. Beside without a step is alone.
  Seconds alone(int size) { return at(size).alone; }
  Seconds beside(int size) { return at(size).beside; }
  Seconds alone_median(int size) { return at(size).alone_median; }
  Seconds beside_median(int size) { return at(size).beside_median; }
  /// Of a batch that begins when the step beside it has `step_left` to go, and ends alone where that is not enough.
  Seconds mixed(int size, Seconds step_left) { return mix(beside(size), alone(size), step_left); }
  Seconds mixed_median(int size, Seconds step_left) { return mix(beside_median(size), alone_median(size), step_left); }

  /// The bound of another prediction, at the same probability.
  Seconds bound(const interference::Prediction& prediction) const { return prediction.upper(probability_); }

  static Seconds mix(Seconds beside, Seconds alone, Seconds step_left);

 private:
  struct Entry {
    bool known = false;
    Seconds alone{0}, beside{0}, alone_median{0}, beside_median{0};
  };
  const Entry& at(int size);

  const ServingState& state_;
  double probability_;
  Seconds rested_{0};  ///< at the start of a batch alone
  Seconds cold_{0};    ///< at the start of a step that would begin now
  const std::optional<interference::Step>& step_;
  int cap_;
  std::vector<Entry> entries_;
};

/// How long a batch may wait and still end within `slack`, beside a step that is over in `step_over` if no batch comes in its way. A batch
/// that starts before that ends hardly sooner than one that waits for it, since they share the device: `length_after(wait)` is its length
/// then, and `alone` once the step is over. Negative where even at once is too late.
template <class LengthAfter>
Seconds longest_wait(Seconds slack, Seconds alone, Seconds step_over, LengthAfter length_after) {
  if (slack - alone >= step_over) return slack - alone;
  constexpr Seconds kInstant{1e-9};
  Seconds wait = slack - length_after(Seconds(0));
  for (int round = 0; round < 6; ++round) {
    const Seconds longer = slack - length_after(std::max(Seconds(0), wait));
    if (longer <= wait + kInstant) break;
    wait = longer;
  }
  return wait;
}

}  // namespace polythrottle::serving
