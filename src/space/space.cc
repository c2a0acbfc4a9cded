#include "space/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
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

/// Combinations of all levels, exactly; nullopt above 2^63.
std::optional<std::uint64_t> product_size(const std::vector<Parameter>& parameters) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 63;
  std::uint64_t product = 1;
  for (const auto& p : parameters) {
    if (p.levels.size() > kMost / product) return std::nullopt;
    product *= p.levels.size();
  }
  return product;
}

/// Neighbouring numbers in the complete product, both ends included.
struct Run {
  std::uint64_t first = 0, last = 0;
};

/// "60-77" or "60", within a product of `total`.
std::optional<Run> parse_run(std::string_view text, std::uint64_t total) {
  const auto number = [](std::string_view digits) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const std::size_t dash = text.find('-');
  const auto first = number(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : number(text.substr(dash + 1));
  if (!first || !last || *last < *first || *last >= total) return std::nullopt;
  return Run{*first, *last};
}

/// Errors: kCorrupt; never more than kMaxCandidates numbers in all.
Result<std::vector<Run>> parse_runs(std::string_view text, std::uint64_t total) {
  std::vector<Run> runs;
  std::uint64_t count = 0;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, end - at);
    const auto run = parse_run(item, total);
    if (!run) return fail(Errc::kCorrupt, fmt::format("allowed settings: '{}' is no run below {}", item.substr(0, 50), total));
    if (run->last - run->first >= kMaxCandidates - count) {
      return fail(Errc::kCorrupt, fmt::format("allowed settings: more than {}", kMaxCandidates));
    }
    count += run->last - run->first + 1;
    runs.push_back(*run);
    at = end + 1;
  }
  return runs;
}

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
  space.sort_rows();
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
  if (space.parameters_.empty() && rows.size() > 1) return fail(Errc::kInvalid, "a space without knobs has one configuration");
  for (const auto& config : rows) {
    if (config.entries().size() != space.parameters_.size()) {
      return fail(Errc::kInvalid, fmt::format("configuration '{}' does not name every knob once", config.text()));
    }
    for (const auto& p : space.parameters_) {
      const auto value = config.get(p.name);
      if (!value) return fail(Errc::kInvalid, fmt::format("configuration '{}' lacks {}", config.text(), p.name));
      const auto level = level_of(p, *value);
      if (!level) return fail(Errc::kInvalid, fmt::format("{} is no level of {}", to_text(*value), p.name));
      space.levels_.push_back(static_cast<std::uint16_t>(*level));
    }
  }
  if (const auto twice = space.sort_rows()) {
    return fail(Errc::kInvalid, fmt::format("configuration '{}' stands twice", space.config(*twice).text()));
  }
  return space;
}

Result<Space> Space::from_ranges(std::vector<Parameter> parameters, std::string_view ranges) {
  if (parameters.size() > kMaxParameters)
    return fail(Errc::kCorrupt, fmt::format("{} knobs; at most {}", parameters.size(), kMaxParameters));
  if (const auto sound = check(parameters); !sound) return fail(Errc::kCorrupt, sound.error().what);
  const auto total = product_size(parameters);
  if (!total) return fail(Errc::kCorrupt, "the knobs have too many combinations to be numbered");
  TRY(const auto runs, parse_runs(ranges == "all" ? fmt::format("0-{}", *total - 1) : std::string(ranges), *total));
  Space space;
  space.parameters_ = std::move(parameters);
  const std::size_t d = space.parameters_.size();
  for (const Run& run : runs) {
    for (std::uint64_t number = run.first; number <= run.last; ++number) {
      space.levels_.resize(space.levels_.size() + d);
      std::uint64_t rest = number;
      for (std::size_t k = d; k-- > 0; rest /= space.parameters_[k].levels.size()) {
        space.levels_[space.levels_.size() - d + k] = static_cast<std::uint16_t>(rest % space.parameters_[k].levels.size());
      }
    }
  }
  if (const auto twice = space.sort_rows()) {
    return fail(Errc::kCorrupt, fmt::format("allowed settings: '{}' stands twice", space.config(*twice).text()));
  }
  return space;
}

std::optional<CandidateId> Space::sort_rows() {
  if (parameters_.empty()) return std::nullopt;
  sorted_.resize(size());
  std::iota(sorted_.begin(), sorted_.end(), CandidateId{0});
  const auto less = [&](CandidateId a, CandidateId b) { return std::ranges::lexicographical_compare(levels(a), levels(b)); };
  if (!std::ranges::is_sorted(sorted_, less)) std::ranges::sort(sorted_, less);
  const auto twice =
      std::ranges::adjacent_find(sorted_, [&](CandidateId a, CandidateId b) { return std::ranges::equal(levels(a), levels(b)); });
  return twice == sorted_.end() ? std::nullopt : std::optional(*twice);
}

std::string Space::ranges() const {
  const auto total = product_size(parameters_);
  if (!total) return {};
  std::vector<Run> runs;
  for (std::size_t id = 0; id < size(); ++id) {
    std::uint64_t number = 0;
    const auto row = levels(static_cast<CandidateId>(id));
    for (std::size_t k = 0; k < row.size(); ++k) number = number * parameters_[k].levels.size() + row[k];
    if (!runs.empty() && runs.back().last + 1 == number) {
      runs.back().last = number;
    } else {
      runs.push_back({number, number});
    }
  }
  if (runs.size() == 1 && runs.front().first == 0 && runs.front().last + 1 == *total) return "all";
  std::string out;
  for (const Run& run : runs) {
    out += fmt::format("{}{}", out.empty() ? "" : ",", run.first);
    if (run.last > run.first) out += fmt::format("-{}", run.last);
  }
  return out;
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
  if (parameters_.empty()) return CandidateId{0};
  std::vector<std::uint16_t> wanted;
  for (const auto& p : parameters_) {
    const auto value = config.get(p.name);
    if (!value) return std::nullopt;
    const auto level = level_of(p, *value);
    if (!level) return std::nullopt;
    wanted.push_back(static_cast<std::uint16_t>(*level));
  }
  const auto at =
      std::ranges::lower_bound(sorted_, wanted, std::ranges::lexicographical_compare, [&](CandidateId id) { return levels(id); });
  if (at == sorted_.end() || !std::ranges::equal(levels(*at), wanted)) return std::nullopt;
  return *at;
}

}  // namespace polythrottle
