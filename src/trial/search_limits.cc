#include "trial/search_limits.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace polythrottle {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 5> kTimes{
    {{"s", 1.0}, {"m", 60.0}, {"h", 3600.0}, {"d", 86400.0}, {"w", 604800.0}}};

constexpr const char* kGainHint = "write 0.4% or 0.004";
constexpr const char* kErrorHint = "write 1% or 0.01";
constexpr const char* kHorizonHint = "write a number of inferences (1e6), or a time at a rate (1d@8/s; units s, m, h, d, w)";

/// A finite number from 0 and what follows it.
std::optional<std::pair<double, std::string_view>> leading_number(std::string_view text) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || std::signbit(number)) return std::nullopt;
  return std::pair(number, text.substr(static_cast<std::size_t>(end - text.data())));
}

tl::unexpected<Error> no_horizon(std::string_view text) {
  return fail(Errc::kInvalid, fmt::format("'{}' is no horizon", text), kHorizonHint);
}

/// "1d" in seconds.
std::optional<double> parse_time(std::string_view text) {
  const auto number = leading_number(text);
  if (!number) return std::nullopt;
  for (const auto& [unit, seconds] : kTimes) {
    if (number->second == unit) return number->first * seconds;
  }
  return std::nullopt;
}

}  // namespace

namespace {

/// "0.4%" or "0.004", below 1.
Result<double> parse_part(std::string_view text, std::string_view noun, const char* too_much, const char* hint) {
  const auto number = leading_number(text);
  if (!number || (!number->second.empty() && number->second != "%")) {
    return fail(Errc::kInvalid, fmt::format("'{}' is no {}", text, noun), hint);
  }
  const auto& [value, unit] = *number;
  if (unit.empty() && value >= 0.1) {
    return fail(Errc::kInvalid, fmt::format("'{}' would be {:.6g} %", text, 100.0 * value),
                fmt::format("write {}% if that is meant", text));
  }
  const double ratio = unit.empty() ? value : value / 100.0;
  if (ratio >= 1.0) return fail(Errc::kInvalid, fmt::format("'{}': {}", text, too_much), hint);
  return ratio;
}

}  // namespace

Result<double> parse_min_gain(std::string_view text) { return parse_part(text, "gain", "nothing saves 100 % or more", kGainHint); }

Result<double> parse_energy_error(std::string_view text) {
  return parse_part(text, "error", "an error of 100 % or more says nothing", kErrorHint);
}

Result<double> parse_horizon(std::string_view text) {
  const std::size_t at = text.find('@');
  double count = 0.0;
  if (at == std::string_view::npos) {
    const auto number = leading_number(text);
    if (!number || !number->second.empty()) return no_horizon(text);
    count = number->first;
  } else {
    const auto seconds = parse_time(text.substr(0, at));
    const auto rate = leading_number(text.substr(at + 1));
    if (!seconds || !rate || rate->second != "/s") return no_horizon(text);
    count = *seconds * rate->first;
  }
  if (!std::isfinite(count) || count < 1.0) {
    return fail(Errc::kInvalid, fmt::format("'{}' is {:.3g} inferences", text, count), "a horizon is a finite number of at least 1");
  }
  return count;
}

}  // namespace polythrottle
