#pragma once
// How far a piece of work is, when its speed changes on the way.

#include <algorithm>

#include "serving/state.h"

namespace polythrottle::serving {

/// A batch or a step in progress: the share that is done, and how long the whole of it would take at the present speed.
class Progress {
 public:
  Progress() = default;
  Progress(Time now, Seconds whole) : since_(now), whole_(whole) {}
  /// From now on the whole of it takes so long.
  void change(Time now, Seconds whole) {
    done_ = share(now);
    since_ = now;
    whole_ = whole;
  }
  /// In [0, 1]. While nothing is known of its length, nothing is known to be done.
  double share(Time now) const {
    if (whole_ <= Seconds(0)) return done_;
    return std::min(1.0, done_ + (now - since_) / whole_);
  }
  Seconds left(Time now) const { return (1.0 - share(now)) * whole_; }

 private:
  double done_ = 0.0;
  Time since_{0};
  Seconds whole_{0};
};

}  // namespace polythrottle::serving
