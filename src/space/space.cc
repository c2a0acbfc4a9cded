#include "space/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace polythrottle {
namespace {

constexpr std::size_t kMaxLevels = 65'535;

Status check(const std::vector<Parameter>& parameters) {
  std::set<std::string> names;
  for (const auto& p : parameters) {
    if (!names.insert(p.name).second) return fail(Errc::kInvalid, fmt::format("two knobs are named {}", p.name));
    if (p.levels.empty()) return fail(Errc::kInvalid, fmt::format("knob {} has no level", p.name));
    if (p.levels.size() > kMaxLevels) return fail(Errc::kInvalid, fmt::format("knob {} has {} levels", p.name, p.levels.size()));
    if (std::set<Value>(p.levels.begin(), p.levels.end()).size() != p.levels.size()) {
      return fail(Errc::kInvalid, fmt::format("knob {} repeats a level", p.name));
    }
  }
  return {};
}

std::optional<std::size_t> level_of(const Parameter& parameter, const Value& value) {
  const auto it = std::find(parameter.levels.begin(), parameter.levels.end(), value);
  if (it == parameter.levels.end()) return std::nullopt;
  return static_cast<std::size_t>(it - parameter.levels.begin());
}

double combinations(const std::vector<Parameter>& parameters) {
  double product = 1.0;
  for (const auto& p : parameters) product *= static_cast<double>(p.levels.size());
  return product;
}

/// Drops every second level of the parameter with the most, but never an end nor the kept value.
void halve_largest(std::vector<Parameter>& parameters, const Config& keep) {
  auto& largest = *std::max_element(parameters.begin(), parameters.end(),
                                    [](const auto& a, const auto& b) { return a.levels.size() < b.levels.size(); });
  const auto kept = keep.get(largest.name);
  std::vector<Value> levels;
  for (std::size_t i = 0; i < largest.levels.size(); ++i) {
    if (i % 2 == 0 || i + 1 == largest.levels.size() || (kept && largest.levels[i] == *kept)) levels.push_back(largest.levels[i]);
  }
  largest.levels = std::move(levels);
}

}  // namespace

namespace {

/// Rows of level indices of every allowed combination, first parameter slowest; nullopt as soon as there are more than kMaxCandidates.
std::optional<std::vector<std::uint16_t>> allowed_rows(const std::vector<Parameter>& parameters, const Space::Coupling& allowed) {
  const std::size_t d = parameters.size();
  std::vector<std::uint16_t> rows, row(d, 0);
  Config config;
  for (const auto& p : parameters) config.set(p.name, p.levels.front());
  for (bool more = true; more;) {
    if (!allowed || allowed(config)) {
      if (rows.size() >= kMaxCandidates * std::max<std::size_t>(d, 1)) return std::nullopt;
      rows.insert(rows.end(), row.begin(), row.end());
    }
    more = false;
    for (std::size_t k = d; k-- > 0 && !more;) {
      more = ++row[k] < parameters[k].levels.size();
      if (!more) row[k] = 0;
      config.set(parameters[k].name, parameters[k].levels[row[k]]);
    }
  }
  return rows;
}

}  // namespace

Result<Space> Space::product(std::vector<Parameter> parameters, const Coupling& allowed, const Config& keep) {
  TRY_STATUS(check(parameters));
  Space space;
  const double full = combinations(parameters);
  auto rows = allowed_rows(parameters, allowed);
  while (!rows) {
    const double before = combinations(parameters);
    halve_largest(parameters, keep);
    // A parameter of at most three levels cannot be thinned further: then the space stays too large, and that is an error.
    if (combinations(parameters) >= before) {
      return fail(Errc::kOutOfRange, fmt::format("{:.0f} combinations cannot be thinned to {}", full, kMaxCandidates), "fix some knobs");
    }
    rows = allowed_rows(parameters, allowed);
  }
  if (!parameters.empty() && rows->empty()) return fail(Errc::kOutOfRange, "no combination of the knobs is allowed");
  space.parameters_ = std::move(parameters);
  space.levels_ = std::move(*rows);
  if (combinations(space.parameters_) < full) {
    space.thinned_ = fmt::format("thinned to {} combinations: every second level of the knobs with most levels left out", space.size());
  }
  return space;
}

Result<Space> Space::list(std::vector<Parameter> parameters, std::span<const Config> rows) {
  TRY_STATUS(check(parameters));
  if (rows.empty()) return fail(Errc::kOutOfRange, "the space is empty");
  if (rows.size() > kMaxCandidates) {
    return fail(Errc::kOutOfRange, fmt::format("{} configurations; at most {} are searched", rows.size(), kMaxCandidates));
  }
  Space space;
  space.parameters_ = std::move(parameters);
  std::set<std::vector<std::uint16_t>> seen;
  for (const auto& config : rows) {
    if (config.entries().size() != space.parameters_.size()) {
      return fail(Errc::kInvalid, fmt::format("configuration '{}' does not name every knob once", config.text()));
    }
    std::vector<std::uint16_t> row;
    for (const auto& p : space.parameters_) {
      const auto value = config.get(p.name);
      if (!value) return fail(Errc::kInvalid, fmt::format("configuration '{}' lacks {}", config.text(), p.name));
      const auto level = level_of(p, *value);
      if (!level) return fail(Errc::kInvalid, fmt::format("{} is no level of {}", to_text(*value), p.name));
      row.push_back(static_cast<std::uint16_t>(*level));
    }
    if (!seen.insert(row).second) return fail(Errc::kInvalid, fmt::format("configuration '{}' stands twice", config.text()));
    space.levels_.insert(space.levels_.end(), row.begin(), row.end());
  }
  return space;
}

std::span<const std::uint16_t> Space::levels(CandidateId id) const {
  return std::span(levels_).subspan(id * parameters_.size(), parameters_.size());
}

Config Space::config(CandidateId id) const {
  Config config;
  const auto row = levels(id);
  for (std::size_t k = 0; k < parameters_.size(); ++k) config.set(parameters_[k].name, parameters_[k].levels[row[k]]);
  return config;
}

std::optional<CandidateId> Space::find(const Config& config) const {
  std::vector<std::uint16_t> wanted;
  for (const auto& p : parameters_) {
    const auto value = config.get(p.name);
    if (!value) return std::nullopt;
    const auto level = level_of(p, *value);
    if (!level) return std::nullopt;
    wanted.push_back(static_cast<std::uint16_t>(*level));
  }
  const std::size_t d = wanted.size();
  for (std::size_t id = 0; id < size(); ++id) {
    if (std::equal(wanted.begin(), wanted.end(), levels_.begin() + static_cast<std::ptrdiff_t>(id * d)))
      return static_cast<CandidateId>(id);
  }
  return std::nullopt;
}

}  // namespace polythrottle
