#include "study/history.h"

#include <algorithm>

namespace polythrottle {

const Trial* first_reference(std::span<const Trial> history) {
  const auto it = std::find_if(history.begin(), history.end(), [](const Trial& t) {
    return t.advice.kind == Advice::Kind::kReference && t.state == TrialState::kCompleted;
  });
  return it == history.end() ? nullptr : &*it;
}

bool explores(const Trial& trial) {
  return !repeats(trial.advice.kind) && trial.state != TrialState::kLost && trial.state != TrialState::kVoid;
}

std::size_t explored(std::span<const Trial> history) {
  return static_cast<std::size_t>(std::count_if(history.begin(), history.end(), explores));
}

bool broke_a_limit(const Trial& trial, std::span<const Constraint> constraints) {
  if (trial.state == TrialState::kAborted) return true;
  return std::any_of(constraints.begin(), constraints.end(),
                     [&](const Constraint& c) { return judge(c, trial.metrics()) == Verdict::kViolated; });
}

std::size_t searched_in_violation(std::span<const Trial> history, std::span<const Constraint> constraints) {
  return static_cast<std::size_t>(std::count_if(history.begin(), history.end(), [&](const Trial& t) {
    const bool searched = t.advice.kind == Advice::Kind::kTry || t.advice.kind == Advice::Kind::kFound;
    return searched && broke_a_limit(t, constraints);
  }));
}

}  // namespace polythrottle
