#include "trial/constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/stats.h"

namespace polythrottle {

Result<Objective> parse_objective(std::string_view text) {
  const MetricRow* row = find_metric(text == "latency" ? "mean" : text);
  if (row == nullptr || !row->may_be_goal) {
    std::string names = "latency";
    for (const auto& r : metric_table()) {
      if (r.may_be_goal) names += fmt::format(", {}", r.alias);
    }
    return fail(Errc::kInvalid, fmt::format("unknown objective '{}'", text), "one of " + names);
  }
  return Objective{std::string(row->name), row->less_is_better ? Direction::kMinimize : Direction::kMaximize};
}

Result<Constraint> resolve(const ConstraintSpec& spec, const Metrics& reference) {
  if (!spec.relative) return Constraint{spec.metric, spec.bound, spec.limit};
  const auto it = reference.find(spec.metric);
  if (it == reference.end()) {
    return fail(Errc::kNotFound, fmt::format("'{}' is relative to the reference setting, which gave no {}", spec.text, spec.metric));
  }
  return Constraint{spec.metric, spec.bound, spec.limit * it->second.value};
}

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kMet: return "met";
    case Verdict::kViolated: return "violated";
    case Verdict::kUndecided: return "undecided";
    case Verdict::kMissing: return "missing";
  }
  return "missing";
}

namespace {

/// Fewest observations from which the metric may be found within its limit.
std::size_t minimum_sample(std::string_view metric) {
  const MetricRow* row = find_metric(metric);
  if (row == nullptr || row->unit != "s") return 0;
  return std::max<std::size_t>(30, row->quantile > 0.5 ? minimum_quantile_sample(row->quantile) : 0);
}

/// The limit with its slack, on the side of the user.
double slackened(const Constraint& c) { return c.bound == Bound::kAtMost ? c.limit * kSlack : c.limit / kSlack; }

bool inside(const Constraint& c, double value) { return c.bound == Bound::kAtMost ? value <= slackened(c) : value >= slackened(c); }

}  // namespace

Verdict judge(const Constraint& constraint, const Metrics& metrics) {
  const auto it = metrics.find(constraint.metric);
  if (it == metrics.end() || !std::isfinite(it->second.value)) return Verdict::kMissing;
  if (!inside(constraint, it->second.value)) return Verdict::kViolated;
  if (it->second.samples && *it->second.samples < minimum_sample(constraint.metric)) return Verdict::kUndecided;
  return Verdict::kMet;
}

bool meets(const std::vector<Constraint>& constraints, const Metrics& metrics) {
  return std::all_of(constraints.begin(), constraints.end(), [&](const auto& c) { return judge(c, metrics) == Verdict::kMet; });
}

double probability_met(const Constraint& constraint, const Metrics& metrics) {
  const Verdict verdict = judge(constraint, metrics);
  if (verdict == Verdict::kMissing || verdict == Verdict::kUndecided) return 0.0;
  const Estimate& estimate = metrics.find(constraint.metric)->second;
  const MetricRow* row = find_metric(constraint.metric);
  const bool latency = row != nullptr && row->unit == "s";
  const auto error = latency ? estimate.std_error : estimate.total_std_error();
  if (!error || *error <= 0.0) return verdict == Verdict::kMet ? 1.0 : 0.0;
  const double z = (slackened(constraint) - estimate.value) / *error;
  return normal_cdf(constraint.bound == Bound::kAtMost ? z : -z);
}

std::optional<double> excess(const Constraint& constraint, const Metrics& metrics) {
  const auto it = metrics.find(constraint.metric);
  if (it == metrics.end()) return std::nullopt;
  return constraint.bound == Bound::kAtMost ? it->second.value / constraint.limit : constraint.limit / it->second.value;
}

}  // namespace polythrottle
