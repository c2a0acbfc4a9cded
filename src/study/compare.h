#pragma once
// What repeated runs tell together: means with errors, and the ratio of two programs. Pure statistics.
//
// Three kinds of error meet here (docs/energy.md). A run's *own* error is independent of other runs and therefore part of how much runs
// scatter; it is not added to the scatter again, but the standard error is never less than what the own errors alone make it (identical
// readings of a coarse counter are no proof of exactness). *Shared* errors are the same in all runs and never average out.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "trial/metric.h"

namespace polythrottle {

/// One quantity of one run, SI.
struct RunValue {
  double value = 0.0;
  double own_error = 0.0;      ///< 1 standard deviation, independent of other runs
  std::vector<double> shared;  ///< per error source of the meter: what `value` would gain if that were off by +1 standard deviation
  /// Of a part of it, all alike.
  RunValue over(double divisor) const;
};

struct Interval {
  double low = 0.0, high = 0.0;
};

/// The mean of runs.
struct MeanOfRuns {
  Estimate estimate;                 ///< std_error: of the mean, without shared errors; absent where nothing is known of it
  std::optional<Interval> interval;  ///< 95 %, shared errors included; of one run without its scatter. Absent where no error is known
  bool scatter_known = false;        ///< from two runs on
  double lowest = 0.0, highest = 0.0;
};

/// At least one run. sources: names of the entries of `RunValue::shared`. The interval joins Student's t for what scatters and the normal
/// one for shared errors in quadrature.
MeanOfRuns mean_of_runs(std::span<const RunValue> runs, const std::vector<std::string>& sources);

/// Both programs, run next to one another.
struct RunPair {
  RunValue a, b;
  bool b_first = false;
};

/// b / a.
struct RatioOfRuns {
  double ratio = 1.0;
  std::optional<Interval> interval;  ///< 95 %; absent with one pair
  std::size_t pairs = 0;
  bool shows_difference() const { return interval && (interval->low > 1.0 || interval->high < 1.0); }
};

/// From the logarithms of the ratios in the pairs, so that what drifts slowly cancels; that the second of a pair runs on another machine
/// than the first (warmer, for one) is estimated and taken out where both orders occur. Shared errors remain as far as the two differ in
/// them. Errors: kInvalid without pairs; kOutOfRange for a value that is not above zero (the meter did not move in a short run).
Result<RatioOfRuns> ratio_of_runs(std::span<const RunPair> pairs, const std::vector<std::string>& sources);

}  // namespace polythrottle
