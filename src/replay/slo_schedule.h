#pragma once
// An SLO that changes in time, as people write it.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle::replay {

/// From `at` on, for requests that come from then on.
struct SloChange {
  Seconds at{0};
  Seconds slo{1};
};

struct SloSchedule {
  Seconds first{1};
  std::vector<SloChange> changes;  ///< in the order of time, none at 0

  Seconds tightest() const;
  /// "250 ms, from 30 s on 700 ms".
  std::string text() const;
};

/// "700ms", or "250ms,700ms@30s". Errors: kInvalid naming --slo and the word.
Result<SloSchedule> parse_slo_schedule(std::string_view text);

}  // namespace polythrottle::replay
