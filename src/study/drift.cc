#include "study/drift.h"

#include <algorithm>
#include <cmath>

#include "study/history.h"

namespace polythrottle {
namespace {

constexpr double kTolerance = 0.02;
constexpr double kStandardErrors = 3.0;

bool measures_reference(const Trial& trial, const Config& reference) {
  using Kind = Advice::Kind;
  const auto kind = trial.advice.kind;
  return trial.asked == reference && (kind == Kind::kReference || kind == Kind::kCheck || kind == Kind::kConfirm);
}

double relative(const Estimate& estimate) { return estimate.std_error.value_or(0.0) / estimate.value; }

}  // namespace

Drift find_drift(std::span<const Trial> history, const Config& reference, std::string_view metric) {
  Drift out;
  const Estimate* first = nullptr;
  TrialId before = 0, last = 0;  // the two measurements before this one
  for (const Trial& trial : history) {
    const auto seen = trial.metrics().find(metric);
    if (trial.state != TrialState::kCompleted || !measures_reference(trial, reference)) continue;
    if (seen == trial.metrics().end() || !(seen->second.value > 0.0)) continue;
    if (first == nullptr) {
      first = &seen->second;
      last = trial.id;
      continue;
    }
    Check check{.trial = trial.id, .ratio = seen->second.value / first->value};
    check.std_error = check.ratio * std::hypot(relative(seen->second), relative(*first));
    const double change = check.ratio - 1.0;
    check.off = std::abs(change) > std::max(kTolerance, kStandardErrors * check.std_error);
    if (!out.drifted && check.off && !out.checks.empty()) {
      const Check& other = out.checks.back();
      if (other.off && (other.ratio - 1.0) * change > 0.0) {
        out.drifted = true;
        out.last_good = before;
        out.found = other.trial;
        out.ratio = 0.5 * (other.ratio + check.ratio);
      }
    }
    out.checks.push_back(check);
    before = last;
    last = trial.id;
  }
  return out;
}

bool check_due(std::span<const Trial> history, const Config& reference, std::string_view metric, std::size_t every) {
  if (every == 0) return false;
  std::size_t since = 0;
  for (const Trial& trial : history) {
    // One that was void counts too: what spoils every check must not be met by checks alone.
    if (measures_reference(trial, reference) && trial.state != TrialState::kLost) {
      since = 0;
    } else if (explores(trial)) {
      ++since;
    }
  }
  if (since >= every) return true;
  const Drift drift = find_drift(history, reference, metric);
  if (since > 0 || drift.checks.empty() || !drift.checks.back().off || history.back().id != drift.checks.back().trial) return false;
  const bool off_before = drift.checks.size() > 1 && drift.checks[drift.checks.size() - 2].off;
  return !off_before;
}

}  // namespace polythrottle
