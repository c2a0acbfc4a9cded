#include "replay/duration.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace polythrottle::replay {
namespace {

struct Unit {
  std::string_view suffix;
  double seconds;
};
constexpr std::array kUnits{Unit{"s", 1.0}, Unit{"ms", 1e-3}, Unit{"us", 1e-6}, Unit{"min", 60.0}, Unit{"h", 3600.0}};
constexpr double kLongest = 1e7;

}  // namespace

Result<Seconds> parse_duration(std::string_view text) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view suffix = error == std::errc{} ? text.substr(static_cast<std::size_t>(end - text.data())) : std::string_view();
  for (const Unit& unit : kUnits) {
    if (error != std::errc{} || suffix != unit.suffix) continue;
    // 700ms is 0.7 s: 1e-3 is no number of the machine's, 1000 is.
    const double seconds = unit.seconds < 1.0 ? number / std::round(1.0 / unit.seconds) : number * unit.seconds;
    if (std::isfinite(seconds) && seconds >= 0.0 && seconds <= kLongest) return Seconds(seconds);
    return fail(Errc::kInvalid, fmt::format("'{}' is no time from 0 to 10,000,000 s", text));
  }
  const bool bare = error == std::errc{} && suffix.empty();
  const char* wrong = bare ? "has no unit" : "is no time";
  return fail(Errc::kInvalid, fmt::format("'{}' {}", text, wrong), "write 30s, 700ms, 5min or 1h");
}

std::string duration_text(Seconds time) {
  const double s = time.count();
  if (s == 0.0) return "0 s";
  if (std::abs(s) < 1e-3) return fmt::format("{:.3g} us", s * 1e6);
  if (std::abs(s) < 1.0) return fmt::format("{:.3g} ms", s * 1e3);
  return std::abs(s) < 1000.0 ? fmt::format("{:.4g} s", s) : fmt::format("{:.0f} s", s);
}

}  // namespace polythrottle::replay
