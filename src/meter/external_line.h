#pragma once
// One line of an external meter's script: docs/external-meter.md.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle {

/// "SECONDS WATTS".
struct ExternalReading {
  double seconds = 0.0;  ///< of the script's own clock
  double watts = 0.0;    ///< not negative
};

/// "# polythrottle-meter boundary="wall socket" error=2% refresh=1": what the script says of itself.
struct ExternalHeader {
  std::string boundary;                 ///< empty: it does not say
  std::optional<double> error_percent;  ///< 1 standard deviation of the gain
  std::optional<Seconds> refresh;
};

/// Nothing for an empty line and for any other that begins with #.
using ExternalLine = std::variant<std::monostate, ExternalReading, ExternalHeader>;

/// Above what a machine that somebody tunes draws.
inline constexpr double kMostExternalWatts = 1e5;

/// Errors: kCorrupt, with the line quoted (cut, and without bytes that would disturb a terminal).
Result<ExternalLine> parse_external_line(std::string_view line);

}  // namespace polythrottle
