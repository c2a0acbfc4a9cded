#include "study/control.h"

#include <algorithm>
#include <utility>

#include "base/stats.h"
#include "study/one_trial.h"
#include "study/proof.h"

namespace polythrottle {

ProofCount count_proofs(std::span<const Trial> history) {
  std::vector<std::pair<const Trial*, Proof>> settings;
  for (const auto& trial : history) {
    const auto proof = proof_of(trial);
    if (!proof || trial.state != TrialState::kCompleted) continue;
    const auto known = std::find_if(settings.begin(), settings.end(), [&](const auto& s) { return s.first->asked == trial.asked; });
    if (known == settings.end()) {
      settings.emplace_back(&trial, *proof);
    } else {
      known->second = std::min(known->second, *proof);
    }
  }
  ProofCount out;
  for (const auto& [trial, proof] : settings) {
    ++(proof == Proof::kProved ? out.proved : proof == Proof::kNotContradicted ? out.not_contradicted : out.unseen);
    if (proof == Proof::kUnseen && out.why_unseen.empty()) out.why_unseen = unproved_text(*trial);
  }
  return out;
}

std::optional<ActuationCost> actuation_cost(std::span<const Trial> history) {
  ActuationCost out;
  std::vector<double> times;
  double write_seconds = 0.0;
  for (const auto& trial : history) {
    const auto& metrics = trial.metrics();
    if (const auto set = metrics.find(kActuation); set != metrics.end()) times.push_back(set->second.value);
    if (const auto write = metrics.find(kWrite); write != metrics.end()) {
      const std::size_t writes = write->second.samples.value_or(1);
      out.writes += writes;
      write_seconds += write->second.value * static_cast<double>(writes);
    }
  }
  if (times.empty()) return std::nullopt;
  std::sort(times.begin(), times.end());
  out.configurations = times.size();
  out.median_seconds = sorted_quantile(times, 0.5);
  out.most_seconds = times.back();
  if (out.writes > 0) out.write_seconds = write_seconds / static_cast<double>(out.writes);
  return out;
}

std::vector<Mishap> mishaps(std::span<const Trial> history) {
  std::vector<Mishap> out;
  for (const auto& trial : history) {
    const bool counts = trial.state == TrialState::kVoid || trial.state == TrialState::kRefused || trial.state == TrialState::kFailed;
    if (!counts || trial.outcome.note == kInterruptedNote) continue;
    const auto known =
        std::find_if(out.begin(), out.end(), [&](const Mishap& m) { return m.state == trial.state && m.note == trial.outcome.note; });
    if (known == out.end()) {
      out.push_back({trial.state, trial.outcome.note, 1});
    } else {
      ++known->trials;
    }
  }
  return out;
}

}  // namespace polythrottle
