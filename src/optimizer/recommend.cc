#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "optimizer/optimizer.h"

namespace polythrottle {
namespace {

struct Visited {
  Recommendation recommendation;
  double excess = 0.0;     // the largest over the constraints
  double objective = 0.0;  // the less the better

  /// Less is better.
  auto rank() const {
    const bool known = recommendation.known_to_meet;
    return std::tuple(!known, known ? 0.0 : -recommendation.probability_met, known ? 0.0 : excess, objective);
  }
};

/// A repeat that crashed, was refused or had to be stopped outweighs an earlier success: such a setting is not known to work.
bool has_broken(std::span<const Trial> taught, const Config& config) {
  return std::any_of(taught.begin(), taught.end(),
                     [&](const Trial& trial) { return trial.state != TrialState::kCompleted && trial.asked == config; });
}

std::optional<Visited> visited(const Problem& problem, std::span<const Trial> taught, const Config& config) {
  const Metrics metrics = pooled(taught, config);
  const auto objective = metrics.find(problem.objective.metric);
  if (objective == metrics.end() || !std::isfinite(objective->second.value)) return std::nullopt;
  Visited result;
  result.objective = problem.objective.direction == Direction::kMinimize ? objective->second.value : -objective->second.value;
  double probability = has_broken(taught, config) ? 0.0 : 1.0;
  for (const Constraint& constraint : problem.constraints) {
    probability *= probability_met(constraint, metrics);
    result.excess = std::max(result.excess, excess(constraint, metrics).value_or(std::numeric_limits<double>::infinity()));
  }
  result.recommendation = {config, probability, probability >= kConfidence};
  return result;
}

}  // namespace

std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history) {
  const std::vector<Trial> taught = teaching(history);
  std::optional<Visited> best;
  std::vector<Config> seen;
  for (const Trial& trial : taught) {
    if (trial.state != TrialState::kCompleted || std::find(seen.begin(), seen.end(), trial.asked) != seen.end()) continue;
    seen.push_back(trial.asked);
    const auto candidate = visited(problem, taught, trial.asked);
    if (candidate && (!best || candidate->rank() < best->rank())) best = candidate;
  }
  if (!best) return std::nullopt;
  return best->recommendation;
}

}  // namespace polythrottle
