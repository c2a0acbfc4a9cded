#pragma once
// When a latency limit is broken beyond doubt, so that a trial need not go on.

#include <cstddef>

#include "base/units.h"

namespace polythrottle {

/// Watches latencies as they come. It errs on the side of going on: a limit counts as broken only above kTolerance times itself, with
/// at least 10 observations, at 99.9 % confidence.
class LimitWatch {
 public:
  /// A trial meets its SLO up to 1.01 times the SLO.
  static constexpr double kTolerance = 1.01;

  /// `quantile` in (0, 1), or 0 for the mean. Latencies that come `cluster` at a time belong together (the requests of one batch) and weigh
  /// as much as one observation.
  LimitWatch(Seconds limit, double quantile, std::size_t cluster = 1);

  /// Takes one more latency. True if the limit is certainly broken: for a quantile q, if k of n latencies are above it with
  /// P(X <= k - 1) > 0.999 for X ~ Binomial(n, 1 - q); for the mean, if its lower 99.9 % bound is above it.
  bool add(Seconds latency);

 private:
  double limit_, quantile_;
  std::size_t cluster_;
  std::size_t count_ = 0, above_ = 0;
  double mean_ = 0.0, squares_ = 0.0;  // Welford's running mean and sum of squared differences
};

}  // namespace polythrottle
