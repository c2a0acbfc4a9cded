#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/cli.h"
#include "report/report.h"
#include "study/history.h"
#include "study/proof.h"

namespace polythrottle {
namespace {

std::string cell(const Trial& trial, std::string_view metric) {
  const auto it = trial.metrics().find(metric);
  return it == trial.metrics().end() ? std::string("-") : format_metric(metric, it->second.value);
}

/// What the numbers behind it count. A second look comes after so many trials, and is none of them.
const char* label_of(Advice::Kind kind) {
  if (kind == Advice::Kind::kConfirm) return "confirm";
  if (kind == Advice::Kind::kCheck) return "reference again after";
  return kind == Advice::Kind::kVerify ? "second look after" : "trial";
}

}  // namespace

Progress::Progress(bool quiet, Provenance provenance, std::size_t budget)
    : quiet_(quiet), provenance_(provenance), budget_(budget) {}

Observer Progress::observer() {
  if (quiet_) return {};
  return {[this](const Trial& trial, std::size_t number, std::size_t of) { began(trial, number, of); },
          [this](const Trial& trial, std::span<const Trial> history, const Problem* problem) { ended(trial, history, problem); }};
}

void Progress::began(const Trial& trial, std::size_t number, std::size_t of) {
  label_ = fmt::format("{} {}/{}", label_of(trial.advice.kind), number, of);
  line_.show(fmt::format("{}  {}{}now {}", label_, best_, best_.empty() ? "" : "  ", setting_text(trial.asked)));
}

void Progress::ended(const Trial& trial, std::span<const Trial> history, const Problem* problem) {
  const std::string objective = problem ? problem->objective.metric : std::string(kEnergy);
  if (problem != nullptr) {
    const auto best = recommend(*problem, history);
    best_.clear();
    if (best && best->known_to_meet) {
      const Metrics now = pooled(history, best->config), reference = pooled(history, problem->reference);
      const auto a = now.find(objective), b = reference.find(objective);
      best_ = fmt::format("best {} {}", format_metric(objective, a->second.value), to_string(provenance_));
      if (b != reference.end()) best_ += fmt::format(" ({:+.1f} %)", 100.0 * (a->second.value / b->second.value - 1.0));
      if (!problem->constraints.empty()) {
        if (const auto over = excess(problem->constraints.front(), now))
          best_ += fmt::format(", {:.1f} % below the SLO", 100.0 * (1.0 - *over));
      }
    } else {
      best_ = "none meets the SLO yet";
    }
  }
  // Time left: what is still in the budget, at the mean pace so far.
  double seconds = 0.0;
  for (const auto& t : history) seconds += t.finished - t.started;
  const std::size_t done = explored(history);
  const double left = done < budget_ ? seconds / static_cast<double>(history.size()) * static_cast<double>(budget_ - done) : 0.0;
  if (line_.terminal()) {
    // What says nothing of its setting, or that it cannot be had, is said and stays.
    const bool stays = trial.state != TrialState::kCompleted && trial.state != TrialState::kAborted;
    if (stays) line_.leave(fmt::format("{}  {}  {}: {}\n", label_, setting_text(trial.asked), to_string(trial.state), trial.outcome.note));
    line_.show(fmt::format("{}  {}  {} left", label_, best_, clock_text(left)));
    return;
  }
  const std::string latency = problem && !problem->constraints.empty() ? problem->constraints.front().metric : std::string(kLatencyMean);
  std::string line = fmt::format("{}  {}  {}", label_, setting_text(trial.asked), to_string(trial.state));
  if (trial.metrics().contains(objective)) line += fmt::format("  {} {}", cell(trial, objective), to_string(provenance_));
  if (trial.metrics().contains(latency)) line += fmt::format("  {} {}", metric_label(latency), cell(trial, latency));
  if (!trial.outcome.note.empty()) line += fmt::format("  ({})", trial.outcome.note);
  // A clock that cannot be read here is so in every trial: once is enough.
  if (const auto unproved = unproved_text(trial); !unproved.empty() && unproved != unproved_) {
    line += fmt::format("  (not proved: {})", unproved);
    unproved_ = unproved;
  }
  if (!best_.empty()) line += fmt::format("  | {}", best_);
  tell("{}\n", line);
}

}  // namespace polythrottle
