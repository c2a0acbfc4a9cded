#pragma once
// How well a machine could be controlled in a study: whether its clocks did as they were told, and what setting it cost.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trial/trial.h"

namespace polythrottle {

/// Completed settings by how far their clocks were seen to obey; one measured several times counts once, as the best it was seen to do.
struct ProofCount {
  std::size_t proved = 0, not_contradicted = 0, unseen = 0;
  std::string why_unseen;  ///< of the first of them
  std::size_t all() const { return proved + not_contradicted + unseen; }
};
ProofCount count_proofs(std::span<const Trial> history);

/// Time to set a configuration, over the trials in which something had to be set.
struct ActuationCost {
  std::size_t configurations = 0;
  double median_seconds = 0.0, most_seconds = 0.0;
  std::size_t writes = 0;
  std::optional<double> write_seconds;  ///< mean of all writes; absent where the knobs are no files
};
/// nullopt if nothing of the machine was set.
std::optional<ActuationCost> actuation_cost(std::span<const Trial> history);

/// Trials that say nothing, or that the machine or the workload refused, gathered by the reason.
struct Mishap {
  TrialState state = TrialState::kVoid;
  std::string note;
  std::size_t trials = 0;
};
/// In order of their first appearance; interrupted and lost trials are left out.
std::vector<Mishap> mishaps(std::span<const Trial> history);

}  // namespace polythrottle
