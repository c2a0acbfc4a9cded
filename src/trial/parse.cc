// The language of limits: "p99=50ms", "1.2x", "power<=15W". Pure functions of outside text; fuzzed in tests/fuzz.

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "trial/constraint.h"

namespace polythrottle {
namespace {

struct Unit {
  std::string_view metric_unit, suffix;
  double scale;
};
constexpr std::array kUnits{
    Unit{"s", "s", 1.0},          Unit{"s", "ms", 1e-3},         Unit{"s", "us", 1e-6}, Unit{"W", "W", 1.0},    Unit{"W", "mW", 1e-3},
    Unit{"W", "kW", 1e3},         Unit{"J", "J", 1.0},           Unit{"J", "mJ", 1e-3}, Unit{"J", "kJ", 1e3},   Unit{"/s", "/s", 1.0},
    Unit{"/s", "/min", 1.0 / 60}, Unit{"/s", "", 1.0},           Unit{"", "", 1.0},     Unit{"degC", "C", 1.0}, Unit{"degC", "degC", 1.0},
    Unit{"B", "B", 1.0},          Unit{"B", "kB", 1e3},          Unit{"B", "MB", 1e6},  Unit{"B", "GB", 1e9},   Unit{"B", "KiB", 1024.0},
    Unit{"B", "MiB", 1048576.0},  Unit{"B", "GiB", 1073741824.0}};

std::string units_of(std::string_view metric_unit) {
  std::string out;
  for (const auto& u : kUnits) {
    if (u.metric_unit == metric_unit && !u.suffix.empty()) out += (out.empty() ? "" : ", ") + std::string(u.suffix);
  }
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

struct Quantity {
  double value;
  bool relative;
};

/// "50ms", "15 W", "1.2x". The number is positive and finite.
Result<Quantity> parse_quantity(std::string_view text, const MetricRow& row, std::string_view whole) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number)) {
    return fail(Errc::kInvalid, fmt::format("'{}': '{}' is no number", whole, text),
                fmt::format("write a number with a unit ({}) or a factor such as 1.2x", units_of(row.unit)));
  }
  if (number <= 0.0) return fail(Errc::kInvalid, fmt::format("'{}': the limit must be above zero", whole));
  const std::string_view suffix = trim(text.substr(static_cast<std::size_t>(end - text.data())));
  if (suffix == "x") return Quantity{number, true};
  for (const auto& u : kUnits) {
    if (u.metric_unit == row.unit && u.suffix == suffix) return Quantity{number * u.scale, false};
  }
  return fail(Errc::kInvalid,
              suffix.empty() ? fmt::format("'{}': the limit has no unit", whole)
                             : fmt::format("'{}': '{}' is no unit of {}", whole, suffix, row.alias),
              fmt::format("one of {}, or x for a multiple of the reference setting", units_of(row.unit)));
}

}  // namespace

Result<ConstraintSpec> parse_slo(std::string_view whole) {
  const std::string_view text = trim(whole);
  const std::size_t equals = text.find('=');
  // "1.2x" alone is a factor on the reference's mean.
  const std::string_view name = equals == std::string_view::npos ? "mean" : trim(text.substr(0, equals));
  const std::string_view limit = equals == std::string_view::npos ? text : trim(text.substr(equals + 1));
  const MetricRow* row = find_metric(name);
  if (row == nullptr || row->unit != "s" || !row->may_be_goal) {
    return fail(Errc::kInvalid, fmt::format("'{}': '{}' is no latency", whole, name),
                "an SLO is mean=20ms, p50=.., p95=80ms, p99=50ms, or 1.2x");
  }
  TRY(const auto quantity, parse_quantity(limit, *row, whole));
  if (equals == std::string_view::npos && !quantity.relative) {
    return fail(Errc::kInvalid, fmt::format("'{}' does not say which latency", whole),
                fmt::format("write mean={0}, p95={0} or p99={0}", limit));
  }
  return ConstraintSpec{std::string(row->name), Bound::kAtMost, quantity.value, quantity.relative, std::string(text)};
}

Result<ConstraintSpec> parse_constraint(std::string_view whole) {
  const std::string_view text = trim(whole);
  const std::size_t at = text.find_first_of("<>");
  if (at == std::string_view::npos || at + 1 >= text.size() || text[at + 1] != '=') {
    return fail(Errc::kInvalid, fmt::format("'{}' is no constraint", whole),
                "write METRIC<=LIMIT or METRIC>=LIMIT, e.g. power<=15W or throughput>=100/s");
  }
  const std::string_view name = trim(text.substr(0, at));
  const MetricRow* row = find_metric(name == "latency" ? "mean" : name);
  if (row == nullptr || !row->may_be_goal) {
    std::string names;
    for (const auto& r : metric_table()) {
      if (r.may_be_goal) names += (names.empty() ? "" : ", ") + std::string(r.alias);
    }
    return fail(Errc::kInvalid, fmt::format("'{}': unknown metric '{}'", whole, name), "one of " + names);
  }
  TRY(const auto quantity, parse_quantity(trim(text.substr(at + 2)), *row, whole));
  return ConstraintSpec{std::string(row->name), text[at] == '<' ? Bound::kAtMost : Bound::kAtLeast, quantity.value, quantity.relative,
                        std::string(text)};
}

}  // namespace polythrottle
