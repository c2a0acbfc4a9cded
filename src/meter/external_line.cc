#include "meter/external_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace polythrottle {
namespace {

constexpr std::string_view kHeader = "# polythrottle-meter";
constexpr std::string_view kBlank = " \t\r\v\f";
constexpr std::size_t kLongestQuote = 60;
constexpr double kMostSeconds = 1e12;  ///< beyond, a double no longer tells milliseconds apart well

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string quoted(std::string_view line) {
  std::string out = "'" + std::string(line.substr(0, kLongestQuote)) + (line.size() > kLongestQuote ? "...'" : "'");
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

tl::unexpected<Error> no_reading(std::string_view line, const std::string& why) {
  return fail(Errc::kCorrupt, quoted(line) + ": " + why, "a reading is SECONDS WATTS, a line that begins with # a comment");
}

/// Finite.
std::optional<double> number(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// The next NAME=VALUE or NAME="VALUE"; takes it off `rest`.
std::optional<std::pair<std::string_view, std::string_view>> next_pair(std::string_view& rest) {
  const auto equals = rest.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const auto name = rest.substr(0, equals);
  rest.remove_prefix(equals + 1);
  const bool quotes = rest.starts_with('"');
  if (quotes) rest.remove_prefix(1);
  const auto end = quotes ? rest.find('"') : std::min(rest.find_first_of(kBlank), rest.size());
  if (end == std::string_view::npos) return std::nullopt;
  const auto value = rest.substr(0, end);
  rest = trimmed(rest.substr(std::min(end + (quotes ? 1 : 0), rest.size())));
  return std::pair(name, value);
}

Result<ExternalLine> parse_header(std::string_view line) {
  ExternalHeader header;
  for (std::string_view rest = trimmed(line.substr(kHeader.size())); !rest.empty();) {
    const auto pair = next_pair(rest);
    if (!pair) return fail(Errc::kCorrupt, quoted(line) + ": behind polythrottle-meter stand NAME=VALUE or NAME=\"VALUE\"");
    const auto& [name, value] = *pair;
    if (name == "boundary") {
      header.boundary = value;
      std::replace_if(
          header.boundary.begin(), header.boundary.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
      continue;
    }
    auto digits = trimmed(value);
    if (name == "error" && digits.ends_with('%')) digits = trimmed(digits.substr(0, digits.size() - 1));
    const auto told = number(digits);
    if (name == "error" && told && *told >= 0.0 && *told <= 100.0) {
      header.error_percent = *told;
    } else if (name == "refresh" && told && *told > 0.0 && *told <= 3600.0) {
      header.refresh = Seconds(*told);
    } else {
      return fail(Errc::kCorrupt,
                  fmt::format("{}: {} is not understood", quoted(line), quoted(std::string(name) + "=" + std::string(value))),
                  "boundary=\"TEXT\", error=PERCENT%, refresh=SECONDS");
    }
  }
  return header;
}

}  // namespace

Result<ExternalLine> parse_external_line(std::string_view line) {
  const auto text = trimmed(line);
  if (text.starts_with(kHeader) && (text.size() == kHeader.size() || kBlank.find(text[kHeader.size()]) != std::string_view::npos)) {
    return parse_header(text);
  }
  if (text.empty() || text.starts_with('#')) return ExternalLine();
  const auto gap = text.find_first_of(kBlank);
  if (gap == std::string_view::npos) return no_reading(text, "one word, and two numbers are expected");
  const auto seconds = number(text.substr(0, gap));
  const auto watts = number(trimmed(text.substr(gap)));
  if (!seconds || std::abs(*seconds) > kMostSeconds) return no_reading(text, "no time in seconds");
  if (!watts) return no_reading(text, "no power in watts");
  if (*watts < 0.0) return no_reading(text, "a power below 0 W");
  if (*watts > kMostExternalWatts) return no_reading(text, "more than 100 kW");
  return ExternalReading{*seconds, std::abs(*watts)};  // -0 is 0
}

}  // namespace polythrottle
