#include "study/scatter.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace polythrottle {
namespace {

/// One setting's logarithms with the inverse of their stated variances.
struct Repeats {
  Config config;
  std::vector<std::pair<double, double>> looks;
};

std::vector<Repeats> repeats_of(std::span<const Trial> trials, std::string_view metric) {
  std::vector<Repeats> out;
  for (const Trial& trial : trials) {
    const auto it = trial.metrics().find(metric);
    if (trial.state != TrialState::kCompleted || it == trial.metrics().end()) continue;
    const Estimate& e = it->second;
    if (!(e.value > 0.0) || !(e.std_error.value_or(0.0) > 0.0)) continue;
    const double relative = *e.std_error / e.value;
    const auto same = std::find_if(out.begin(), out.end(), [&](const Repeats& r) { return r.config == trial.asked; });
    Repeats& setting = same != out.end() ? *same : out.emplace_back(Repeats{trial.asked, {}});
    setting.looks.emplace_back(std::log(e.value), 1.0 / (relative * relative));
  }
  return out;
}

}  // namespace

double scatter_between_visits(std::span<const Trial> trials, std::string_view metric) {
  double excess = 0.0, scale = 0.0;
  for (const auto& [config, looks] : repeats_of(trials, metric)) {
    double weights = 0.0, squares = 0.0, mean = 0.0;
    for (const auto& [value, weight] : looks) weights += weight, squares += weight * weight, mean += weight * value;
    mean /= weights;
    for (const auto& [value, weight] : looks) excess += weight * (value - mean) * (value - mean);
    excess -= static_cast<double>(looks.size()) - 1.0;
    scale += weights - squares / weights;
  }
  return excess > 0.0 && scale > 0.0 ? std::sqrt(excess / scale) : 0.0;
}

void add_scatter(std::vector<Trial>& trials) {
  for (const MetricRow& row : metric_table()) {
    const double scatter = scatter_between_visits(trials, row.name);
    for (Trial& trial : trials) {
      const auto it = trial.outcome.metrics.find(row.name);
      if (it == trial.outcome.metrics.end() || !it->second.std_error) continue;
      it->second.std_error = std::hypot(*it->second.std_error, scatter * it->second.value);
    }
  }
}

}  // namespace polythrottle
