#include "report/discarded.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "report/report.h"

namespace polythrottle {
namespace {

constexpr std::size_t kMostNamed = 8;

std::string trials_text(const std::vector<TrialId>& trials) {
  std::string out = trials.size() == 1 ? "trial" : "trials";
  for (std::size_t i = 0; i < std::min(trials.size(), kMostNamed); ++i) out += fmt::format("{} {}", i == 0 ? "" : ",", trials[i]);
  if (trials.size() > kMostNamed) out += fmt::format(" and {} more", trials.size() - kMostNamed);
  return out;
}

/// "Undecided in trials 3, 7: energy is known to 2.3 % only (...)."
std::string remarked(const char* word, const Remarked& what) {
  if (what.trials.empty()) return {};
  return fmt::format("{} in {}: {}{}.\n", word, trials_text(what.trials), what.trials.size() > 1 ? "first, " : "", what.first);
}

std::string drift_text(const Summary& s) {
  const Drift& drift = s.drift;
  if (!drift.drifted) {
    if (s.checks == 0) return {};
    double most = 0.0;
    for (const Check& check : drift.checks) most = std::abs(check.ratio - 1.0) > std::abs(most) ? check.ratio - 1.0 : most;
    return fmt::format("The reference was measured again {}: no drift of its {} was found (at most {:+.1f} %).\n",
                       counted(drift.checks.size(), "time", "times"), metric_label(s.objective.metric), 100.0 * most);
  }
  std::string out =
      fmt::format("Drift: the reference's {} was {:+.1f} % off its first measurement in trial {} and after; trial {} was the last good one",
                  metric_label(s.objective.metric), 100.0 * (drift.ratio - 1.0), drift.found, drift.last_good);
  if (drift.found > drift.last_good + 1) {
    out += drift.found == drift.last_good + 2 ? fmt::format(". Trial {} lies between", drift.last_good + 1)
                                              : fmt::format(". Trials {} to {} lie between", drift.last_good + 1, drift.found - 1);
    out += ", under conditions that nobody knows";
  }
  return out + (s.confirmed > 0 ? ". The saving rests on the confirmation, which measured both sides in alternation.\n"
                                : ". Nothing was confirmed in alternation: the comparison with the reference may be the drift's doing.\n");
}

}  // namespace

std::string render_discarded(const Summary& s) {
  const Discarded& d = s.discarded;
  std::string out;
  if (d.window_seconds > 0.0) {
    out = fmt::format("Discarded: {:.1f} s of work before the windows ({:.1f} s), until warm and steady; at most {:.1f} s in a trial",
                      d.warm_up_seconds, d.window_seconds, d.most_warm_up_seconds);
    if (d.cool_downs > 0)
      out += fmt::format("; {:.0f} s of cooling down before {}", d.cool_down_seconds, counted(d.cool_downs, "trial", "trials"));
    out += ".\n";
  }
  out += remarked("Undecided", d.undecided) + remarked("Not steady", d.unsteady) + remarked("Still warm", d.warm);
  return out + drift_text(s);
}

std::string render_idle(const Summary& s) {
  if (!s.baseline) return {};
  if (!s.baseline->idle_watts) {
    return s.baseline->idle_failure.empty() ? std::string() : "Idle power could not be measured: " + s.baseline->idle_failure + ".\n";
  }
  const Estimate& idle = *s.baseline->idle_watts;
  std::string error;
  if (idle.std_error && *idle.std_error > 5e-5 * idle.value) error = fmt::format(" +-{:.2g} %", 100.0 * *idle.std_error / idle.value);
  std::string out = fmt::format("Idle power before the first trial, as found: {}{} ({})", format_metric(kPower, idle.value), error,
                                to_string(s.provenance));
  const auto total = s.reference ? s.reference->metrics.find(kPower) : Metrics::const_iterator{};
  if (s.reference && total != s.reference->metrics.end() && total->second.value > 0.0) {
    out += fmt::format(", {:.0f} % of the reference's", 100.0 * idle.value / total->second.value);
  }
  return out + "; it is in every joule above, and not subtracted.\n";
}

Json discarded_json(const Discarded& d) {
  return {{"warm_up_seconds", d.warm_up_seconds},
          {"most_warm_up_seconds", d.most_warm_up_seconds},
          {"window_seconds", d.window_seconds},
          {"cool_down_seconds", d.cool_down_seconds},
          {"undecided_trials", d.undecided.trials},
          {"unsteady_trials", d.unsteady.trials},
          {"warm_trials", d.warm.trials}};
}

Json drift_json(const Drift& drift) {
  if (drift.checks.empty()) return nullptr;
  Json out{{"drifted", drift.drifted}, {"checks", Json::array()}};
  for (const Check& check : drift.checks) {
    out["checks"].push_back({{"trial", check.trial}, {"ratio", check.ratio}, {"std_error", check.std_error}});
  }
  if (drift.drifted) {
    out["ratio"] = drift.ratio;
    out["last_good_trial"] = drift.last_good;
    out["found_in_trial"] = drift.found;
  }
  return out;
}

}  // namespace polythrottle
