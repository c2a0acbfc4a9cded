#pragma once
// How often requests come, and how unevenly, learned as they come.

#include <optional>

#include "serving/state.h"

namespace polythrottle::serving {

/// Counts requests in bins of one `window` (the SLO: the time over which unevenness hurts) and forgets bins exponentially.
class ArrivalRate {
 public:
  /// Counts from `start`. `expected`: requests a second before any has come, worth `kPriorBins` bins of Poisson arrivals.
  explicit ArrivalRate(Seconds window, std::optional<double> expected = {}, Time start = Time(0));
  void arrived(Time now);
  /// As of `now`: bins that passed empty count.
  ArrivalEstimate estimate(Time now) const;

  static constexpr double kPriorBins = 8.0;
  static constexpr double kMemoryBins = 40.0;  ///< time constant of forgetting

 private:
  void roll(Time now);

  double window_;  // s
  double weight_ = 0.0, sum_ = 0.0, squares_ = 0.0;
  double assumed_ = kPriorBins;  ///< bins of Poisson arrivals at whatever the rate turns out to be; none if one was expected
  double bin_start_ = 0.0;
  double count_ = 0.0;
};

}  // namespace polythrottle::serving
