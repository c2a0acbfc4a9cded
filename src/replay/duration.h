#pragma once
// Spans of time as people write them.

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle::replay {

/// "30s", "700ms", "250us", "5min", "1h": from 0 to 10,000,000 s. Errors: kInvalid, beginning with the text, for anything else, also for a
/// number without a unit.
Result<Seconds> parse_duration(std::string_view text);
/// "700 ms", "30 s", "2.5 s".
std::string duration_text(Seconds time);

}  // namespace polythrottle::replay
