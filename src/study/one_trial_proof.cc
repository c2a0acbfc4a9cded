// The last part of a trial: whether its setting stood all the time, and its clocks did as they were told.

#include <algorithm>

#include "base/stats.h"
#include "study/one_trial_parts.h"
#include "study/read_back.h"

namespace polythrottle {

using namespace one_trial;

namespace {

/// Did a trial with these values complete, and its clock with it? One whose clock could not be read says nothing.
bool obeyed_before(std::span<const Trial> history, const Config& config, const std::vector<std::string>& knobs) {
  return std::any_of(history.begin(), history.end(), [&](const Trial& t) {
    const auto proof = proof_of(t);
    return t.state == TrialState::kCompleted && proof && *proof != Proof::kUnseen &&
           std::all_of(knobs.begin(), knobs.end(), [&](const auto& name) { return t.asked.get(name) == config.get(name); });
  });
}

/// The metric that keeps what a knob's clock did.
std::string_view clock_metric(std::string_view knob) {
  if (knob.starts_with("gpu_")) return kGpuClockSeen;
  if (knob.starts_with("mem_")) return kMemoryClockSeen;
  return knob.starts_with("cpu_") ? kCpuClockSeen : std::string_view();
}

}  // namespace

/// What was measured is this setting's only if it stood all the time, and still stands.
std::optional<Outcome> OneTrial::changed(const Attempt& trial) const {
  const Config& config = trial.advice.config;
  const auto now = lease_->now();
  if (!now) return ended(TrialState::kVoid, now.error().text());
  auto changes = trial.watched.changed;
  Outcome spoiled = ended(TrialState::kVoid, {});
  spoiled.got = overlaid(config, *now);
  for (const auto& knob : device_.knobs) {
    const Parameter& parameter = knob->parameter();
    const auto expected = config.get(parameter.name), seen = now->get(parameter.name);
    const bool known =
        std::any_of(changes.begin(), changes.end(), [&](const ForeignChange& c) { return c.parameter.name == parameter.name; });
    if (expected && seen && *expected != *seen && !known) changes.push_back({parameter, *expected, *seen});
  }
  if (changes.empty()) return std::nullopt;
  std::string what;
  const bool lower = std::all_of(changes.begin(), changes.end(),
                                 [](const ForeignChange& c) { return claims_a_clock(c.parameter) && c.seen < c.expected; });
  const std::string heat = lower ? held_down_text() : "";
  for (const auto& change : changes) {
    what += fmt::format("{}{}={}", what.empty() ? "" : " ", change.parameter.name, spoken(change.parameter, change.seen));
    spoiled.got.set(change.parameter.name, change.seen);
  }
  spoiled.note = heat.empty() ? fmt::format("somebody else set {} meanwhile{}", what, running_here())
                              : fmt::format("the machine went down to {} meanwhile{}", what, heat);
  return spoiled;
}

/// Keeps what the clocks did, and refuses or voids a trial whose clocks did not do as they were told.
void OneTrial::prove(const Attempt& trial, Outcome& outcome) const {
  if (outcome.state != TrialState::kCompleted && outcome.state != TrialState::kAborted) return;
  Metrics clocks;
  for (const auto& trace : trial.watched.clocks) {
    const auto metric = clock_metric(trace.knob);
    if (trace.hertz.empty() || metric.empty()) continue;
    clocks.emplace(metric, Estimate{mean(trace.hertz), {}, trace.hertz.size(), {}});
  }
  const auto proof = polythrottle::prove(claimed_clocks(device_.knobs, trial.advice.config, trial.watched.clocks), !device_.open_loop);
  if (proof && proof->proof == Proof::kContradicted) {
    const bool obeyed = proof->held_for_a_while || obeyed_before(trial.history, trial.advice.config, proof->knobs);
    const Config got = outcome.got;
    outcome = ended(obeyed ? TrialState::kVoid : TrialState::kRefused, proof->text + (obeyed ? running_here() : ""));
    outcome.got = got;
  }
  if (proof) outcome.notes.push_back(proof_remark(*proof));
  outcome.metrics.merge(clocks);
}

}  // namespace polythrottle
