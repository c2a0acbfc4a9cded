#include "study/trial_budget.h"

#include <algorithm>

#include "base/stats.h"

namespace polythrottle {

Budget trial_budget(const Plan& plan, const Advice& advice, const Problem* problem, std::uint64_t seed) {
  Budget budget;
  budget.at_least = plan.window;
  budget.at_most = plan.window_limit;
  budget.seed = seed;
  for (const auto& limit : plan.limits) {
    const MetricRow* row = find_metric(limit.metric);
    if (row != nullptr && row->quantile > 0.5) budget.samples = std::max(budget.samples, minimum_quantile_sample(row->quantile));
  }
  if (problem != nullptr && advice.kind == Advice::Kind::kTry) {
    for (const auto& c : problem->constraints) {
      const MetricRow* row = find_metric(c.metric);
      if (row == nullptr || row->unit != "s" || c.bound != Bound::kAtMost) continue;
      budget.limit = Seconds(c.limit);
      budget.quantile = row->quantile;
      break;
    }
  }
  // A setting that meets the SLO answers within it, so its sample is complete after so long; before the reference is measured a relative
  // limit is not known yet.
  double slowest = problem == nullptr ? plan.window_limit.count() / 2.0 : 0.0;
  for (const auto& limit : plan.limits) {
    const MetricRow* row = find_metric(limit.metric);
    if (row != nullptr && row->unit == "s" && !limit.relative) slowest = limit.limit;
  }
  if (problem != nullptr) {
    for (const auto& c : problem->constraints) {
      const MetricRow* row = find_metric(c.metric);
      if (row != nullptr && row->unit == "s" && c.bound == Bound::kAtMost) slowest = std::max(slowest, c.limit);
    }
  }
  budget.at_most = std::max(budget.at_most, Seconds(1.1 * kSlack * slowest * static_cast<double>(budget.samples)));
  budget.at_most += plan.settle_limit;  // what is left out is no part of the window
  return budget;
}

SizingRule sizing_rule(const Plan& plan, const Budget& budget) {
  return {.shortest = plan.window,
          .limit = plan.window_limit,
          .settle_limit = plan.settle_limit,
          .energy_error = plan.energy_error,
          .samples = budget.samples};
}

}  // namespace polythrottle
