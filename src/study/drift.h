#pragma once
// Whether a machine is still what it was: the reference measured again now and then, against its first measurement.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trial/trial.h"

namespace polythrottle {

/// A later measurement of the reference over the first.
struct Check {
  TrialId trial = 0;
  double ratio = 1.0;
  double std_error = 0.0;  ///< of the ratio: both statistical errors; what the meter does wrong in the same way each time cancels
  bool off = false;        ///< by more than 2 % and three of its errors
};

struct Drift {
  std::vector<Check> checks;  ///< in order
  /// Two checks in a row are off, on the same side: visits to one setting scatter too, and one that is off alone says no more than that.
  bool drifted = false;
  TrialId last_good = 0;  ///< the last measurement of the reference before the first of those two
  TrialId found = 0;      ///< that first one
  double ratio = 1.0;     ///< the mean of the two
};

/// Of `metric`, over completed trials that measured `reference` as the reference, as a check or as a confirmation.
Drift find_drift(std::span<const Trial> history, const Config& reference, std::string_view metric);

/// Should the reference be measured again before the next trial is explored? After `every` explored trials since it was last tried, and
/// once more at once where that measurement was off and the one before it was not. 0: never.
bool check_due(std::span<const Trial> history, const Config& reference, std::string_view metric, std::size_t every);

}  // namespace polythrottle
