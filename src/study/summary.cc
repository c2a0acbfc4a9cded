#include "study/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "optimizer/optimizer.h"
#include "study/history.h"
#include "study/runner.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

/// Pooled metrics of a setting; where `since` is given, of the confirmation rounds from that trial on, because those were measured side by
/// side.
Side side_of(std::span<const Trial> history, const Config& config, std::optional<TrialId> since) {
  std::vector<Trial> used;
  for (const auto& trial : history) {
    if (trial.state != TrialState::kCompleted || !(trial.asked == config)) continue;
    if (since && (trial.advice.kind != Advice::Kind::kConfirm || trial.id < *since)) continue;
    used.push_back(trial);
  }
  return {config, pooled(used, config), used.size()};
}

bool completed(const Trial& trial, Advice::Kind kind) { return trial.state == TrialState::kCompleted && trial.advice.kind == kind; }

std::size_t confirmed(std::span<const Trial> history, const Config& config) {
  return static_cast<std::size_t>(std::count_if(history.begin(), history.end(),
                                                [&](const Trial& t) { return completed(t, Advice::Kind::kConfirm) && t.asked == config; }));
}

/// Where the confirmation of `best` began: its first round, or the reference's measurement just before it.
std::optional<TrialId> confirmed_since(std::span<const Trial> history, const Config& reference, const Config& best) {
  const Trial* before = nullptr;
  for (const auto& trial : history) {
    if (!completed(trial, Advice::Kind::kConfirm)) continue;
    if (trial.asked == best) return before != nullptr && !(best == reference) ? before->id : trial.id;
    before = trial.asked == reference ? &trial : before;
  }
  return std::nullopt;
}

std::optional<Saving> saving_of(const Side& best, const Side& baseline, std::string_view metric) {
  const auto a = best.metrics.find(metric), b = baseline.metrics.find(metric);
  if (a == best.metrics.end() || b == baseline.metrics.end() || b->second.value <= 0.0) return std::nullopt;
  if (best.config == baseline.config) return Saving{0.0, 0.0, 0.0};
  return compare(a->second, b->second);
}

/// Trials that nothing beats in both objective and latency.
std::vector<TrialId> pareto_of(const Summary& s, const std::string& against) {
  struct Point {
    TrialId id;
    double cost, latency;
  };
  std::vector<Point> points;
  const double sign = s.objective.direction == Direction::kMinimize ? 1.0 : -1.0;
  for (const auto& trial : s.trials) {
    if (trial.state != TrialState::kCompleted || repeats(trial.advice.kind)) continue;
    const auto cost = trial.metrics().find(s.objective.metric), latency = trial.metrics().find(against);
    if (cost != trial.metrics().end() && latency != trial.metrics().end()) {
      points.push_back({trial.id, sign * cost->second.value, latency->second.value});
    }
  }
  std::sort(points.begin(), points.end(),
            [](const Point& a, const Point& b) { return std::tie(a.latency, a.cost) < std::tie(b.latency, b.cost); });
  std::vector<TrialId> front;
  double least = INFINITY;
  for (const auto& p : points) {
    if (p.cost < least) front.push_back(p.id), least = p.cost;
  }
  return front;
}

void add_violations(Summary& s) {
  for (const auto& trial : s.trials) {
    for (const auto& c : s.constraints) {
      if (judge(c, trial.metrics()) != Verdict::kViolated) continue;
      s.violations.push_back(
          {trial.id, trial.asked, c.metric, trial.metrics().find(c.metric)->second.value, c.limit, *excess(c, trial.metrics())});
    }
  }
}

void add_costs(Summary& s) {
  s.explored = explored(s.trials);
  s.second_looks = static_cast<std::size_t>(
      std::count_if(s.trials.begin(), s.trials.end(), [](const Trial& t) { return t.advice.kind == Advice::Kind::kVerify; }));
  bool all_known = true;
  double joules = 0.0;
  for (const auto& trial : s.trials) {
    if (trial.finished > trial.started) s.search_seconds += trial.finished - trial.started;
    const auto energy = trial.metrics().find(kTrialEnergy);
    if (energy != trial.metrics().end()) {
      joules += energy->second.value;
    } else if (trial.state == TrialState::kCompleted) {
      all_known = false;
    }
  }
  if (all_known && joules > 0.0) s.search_joules = joules;
  s.proofs = count_proofs(s.trials);
  s.actuation = actuation_cost(s.trials);
  s.mishaps = mishaps(s.trials);
  s.discarded = discarded(s.trials);
  s.checks = static_cast<std::size_t>(
      std::count_if(s.trials.begin(), s.trials.end(), [](const Trial& t) { return t.advice.kind == Advice::Kind::kCheck; }));
}

/// Latencies observed in the trials that broke a limit on latency; nullopt where one of them does not say how many.
std::optional<std::size_t> requests_in_violation(const Summary& s) {
  std::size_t sum = 0;
  for (const auto& trial : s.trials) {
    std::size_t here = 0;
    for (const auto& c : s.constraints) {
      const MetricRow* row = find_metric(c.metric);
      if (row == nullptr || row->unit != "s" || judge(c, trial.metrics()) != Verdict::kViolated) continue;
      const auto samples = trial.metrics().find(c.metric)->second.samples;
      if (!samples) return std::nullopt;
      here = std::max(here, *samples);
    }
    sum += here;
  }
  return sum;
}

/// When the best setting has saved as many joules as the search took. Left out where no saving is shown.
void add_repayment(Summary& s) {
  if (!s.search_joules || !s.saving || s.objective.metric != kEnergy || s.saving->ratio <= 0.0 || s.saving->spans_zero()) return;
  const double saved_each = s.reference->metrics.find(kEnergy)->second.value * s.saving->ratio;
  s.repaid_after_inferences = *s.search_joules / saved_each;
  const auto rate = s.best->metrics.find(kThroughput);
  if (rate != s.best->metrics.end() && rate->second.value > 0.0) {
    s.repaid_after_seconds = *s.repaid_after_inferences / rate->second.value;
  }
}

Status add_stop(Summary& s) {
  s.stop_reason = "running";
  const auto stop = s.facts.find(fact::kStop);
  if (stop == s.facts.end()) return {};
  TRY(const auto json, parse_json(stop->second));
  const auto text = [&](const char* key, std::string otherwise) {
    const auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : otherwise;
  };
  s.stop_reason = text("reason", "running");
  s.stop_text = text("text", "");
  if (const auto gain = json.find("expected_gain"); gain != json.end() && gain->is_number()) s.expected_missed = gain->get<double>();
  return {};
}

std::optional<Side> fastest_of(const Summary& s, const std::string& metric) {
  const Trial* fastest = nullptr;
  for (const auto& t : s.trials) {
    const auto it = t.metrics().find(metric);
    if (t.state != TrialState::kCompleted || it == t.metrics().end()) continue;
    if (fastest == nullptr || it->second.value < fastest->metrics().find(metric)->second.value) fastest = &t;
  }
  if (fastest == nullptr) return std::nullopt;
  return Side{fastest->asked, fastest->metrics(), 1};
}

/// What the optimizer recommended under the study's own limits; else, and where nobody measured that, the best of what was measured.
Result<std::optional<Recommendation>> answer_of(const Summary& s, const Config& reference, bool own_limits) {
  if (own_limits) {
    TRY(auto chosen, choice_of(s.facts));
    const bool measured = chosen && std::any_of(s.trials.begin(), s.trials.end(), [&](const Trial& t) {
                            return t.state == TrialState::kCompleted && t.asked == chosen->config;
                          });
    if (measured) return chosen;
  }
  static const Space no_space{};  // what was measured needs no list of candidates
  return recommend(Problem{no_space, s.objective, s.constraints, reference, 0}, s.trials);
}

void add_sides(Summary& s, const Config& reference, const std::optional<Recommendation>& choice) {
  const bool known = choice && choice->known_to_meet;
  s.confirmed = known ? confirmed(s.trials, choice->config) : 0;
  const auto since = s.confirmed > 0 ? confirmed_since(s.trials, reference, choice->config) : std::nullopt;
  s.reference = side_of(s.trials, reference, since);
  if (known) s.best = side_of(s.trials, choice->config, since);
  if (choice && !known) s.closest = side_of(s.trials, choice->config, {});
  if (s.best) {
    s.saving = saving_of(*s.best, *s.reference, kEnergy);
    s.improvement = saving_of(*s.best, *s.reference, s.objective.metric);
  }
  for (const auto& t : s.trials) {
    if (!completed(t, Advice::Kind::kFound)) continue;
    s.found = side_of(s.trials, t.asked, {});
    if (s.best) s.saving_found = saving_of(*s.best, *s.found, kEnergy);
  }
}

/// Everything that needs limits with numbers.
Status judge_trials(Summary& s, const Config& reference, bool own_limits) {
  add_violations(s);
  s.requests_in_violation = requests_in_violation(s);
  if (!s.constraints.empty()) {
    s.pareto = pareto_of(s, s.constraints.front().metric);
    s.fastest = fastest_of(s, s.constraints.front().metric);
  }
  TRY(const auto choice, answer_of(s, reference, own_limits));
  add_sides(s, reference, choice);
  add_repayment(s);
  return {};
}

}  // namespace

Saving compare(const Estimate& best, const Estimate& baseline) {
  Saving out;
  const double ratio = best.value / baseline.value;
  out.ratio = 1.0 - ratio;
  if (!best.std_error && !baseline.std_error && best.shared.empty() && baseline.shared.empty()) return out;
  const auto relative = [](const Estimate& e) { return e.std_error ? *e.std_error / e.value : 0.0; };
  const double reach = 1.96 * std::hypot(relative(best), relative(baseline), best.shared_difference(baseline));
  out.low = 1.0 - ratio * std::exp(reach);
  out.high = 1.0 - ratio * std::exp(-reach);
  return out;
}

Result<Summary> summarize(const StudyFacts& facts, std::vector<Trial> history, const std::optional<std::vector<ConstraintSpec>>& limits) {
  Summary s;
  s.facts = facts;
  s.trials = std::move(history);
  TRY(const auto provenance, fact_text(facts, fact::kProvenance));
  TRY(s.provenance, parse_provenance(provenance));
  TRY(const auto objective, fact_text(facts, fact::kObjective));
  TRY(s.objective, parse_objective(objective));
  TRY(const auto reference, reference_of(facts));
  TRY_STATUS(add_stop(s));
  TRY(s.baseline, baseline_of(facts));
  s.stale = stale_of(facts);
  s.drift = find_drift(s.trials, reference, s.objective.metric);
  if (limits) s.expected_missed.reset();  // expected under the study's own limits
  add_costs(s);
  std::vector<ConstraintSpec> specs;
  if (limits) {
    specs = *limits;
  } else {
    TRY(specs, limits_of(facts));
  }
  auto constraints = resolve_limits(specs, s.trials);
  if (!constraints) {
    const bool measured = first_reference(s.trials) != nullptr;
    if (constraints.error().code == Errc::kNotFound && !measured) return s;  // stopped before the reference was done
    return tl::unexpected<Error>(constraints.error());
  }
  s.constraints = std::move(*constraints);
  TRY_STATUS(judge_trials(s, reference, !limits));
  return s;
}

}  // namespace polythrottle
