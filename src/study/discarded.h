#pragma once
// What a study worked and waited for without counting it, and what its windows could not decide.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trial/trial.h"

namespace polythrottle {

/// Trials that bear a remark of one kind.
struct Remarked {
  std::vector<TrialId> trials;
  std::string first;  ///< the remark of the first of them, without the word it begins with
};

struct Discarded {
  double warm_up_seconds = 0.0;       ///< work before the windows: warm-up, and until the load was steady
  double most_warm_up_seconds = 0.0;  ///< in one trial
  double window_seconds = 0.0;        ///< the windows themselves
  double cool_down_seconds = 0.0;     ///< waits without load
  std::size_t cool_downs = 0;         ///< trials that waited
  Remarked undecided;                 ///< energy not known as well as was asked
  Remarked unsteady;                  ///< power or latency still moved when the window began
  Remarked warm;                      ///< not down to the temperature of the start
};
/// Over all trials that say so; studies of older versions do not.
Discarded discarded(std::span<const Trial> history);

}  // namespace polythrottle
