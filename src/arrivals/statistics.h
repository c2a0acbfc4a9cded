#pragma once
// What a schedule of arrivals is like, for reports.

#include <cstddef>
#include <optional>

#include "arrivals/arrivals.h"

namespace polythrottle {

struct ArrivalStatistics {
  std::size_t requests = 0;          ///< in the time looked at
  double rate = 0.0;                 ///< requests a second
  std::optional<double> dispersion;  ///< variance over mean of the counts in whole windows: 0 even, 1 as Poisson's, more in bursts. None of
                                     ///< fewer than two windows or without a request
};
/// Of the requests from the schedule's start until `duration`; a part of a window at the end is left out of the dispersion. Errors:
/// kInvalid unless both are positive and `duration` is finite, or for more than 100 million requests or windows.
Result<ArrivalStatistics> arrival_statistics(Arrivals schedule, Seconds duration, Seconds window);

}  // namespace polythrottle
