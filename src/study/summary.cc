#include "study/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "optimizer/optimizer.h"
#include "study/runner.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

Result<std::string> text_of(const StudyFacts& facts, const char* key) {
  const auto it = facts.find(key);
  if (it == facts.end())
    return fail(Errc::kCorrupt, fmt::format("the study does not say its {}", key), "it may have been killed before its first trial");
  return it->second;
}

/// Pooled metrics of a setting; where `since` is given, of the confirmation rounds from that trial on, because those were measured side by
/// side.
Side side_of(std::span<const Trial> history, const Config& config, std::optional<TrialId> since) {
  std::vector<Trial> used;
  for (const auto& trial : history) {
    if (trial.state != TrialState::kCompleted || !(trial.asked == config)) continue;
    if (since && (trial.advice.kind != Advice::Kind::kVerify || trial.id < *since)) continue;
    used.push_back(trial);
  }
  return {config, pooled(used, config), used.size()};
}

std::size_t verified(std::span<const Trial> history, const Config& config) {
  return static_cast<std::size_t>(std::count_if(history.begin(), history.end(), [&](const Trial& t) {
    return t.state == TrialState::kCompleted && t.advice.kind == Advice::Kind::kVerify && t.asked == config;
  }));
}

/// Where the confirmation of `best` began: its first round, or the reference's measurement just before it.
std::optional<TrialId> confirmed_since(std::span<const Trial> history, const Config& reference, const Config& best) {
  const Trial* before = nullptr;
  for (const auto& trial : history) {
    if (trial.advice.kind != Advice::Kind::kVerify || trial.state != TrialState::kCompleted) continue;
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
    if (trial.state != TrialState::kCompleted || trial.advice.kind == Advice::Kind::kVerify) continue;
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
}

}  // namespace

Saving compare(const Estimate& best, const Estimate& baseline) {
  Saving out;
  const double ratio = best.value / baseline.value;
  out.ratio = 1.0 - ratio;
  if (!best.std_error && !baseline.std_error && best.shared.empty() && baseline.shared.empty()) return out;
  const auto relative = [](const Estimate& e) { return e.std_error ? *e.std_error / e.value : 0.0; };
  double variance = relative(best) * relative(best) + relative(baseline) * relative(baseline);
  std::map<std::string, double> difference;
  for (const auto& s : best.shared) difference[s.source] += s.relative;
  for (const auto& s : baseline.shared) difference[s.source] -= s.relative;
  for (const auto& [source, d] : difference) variance += d * d;
  const double reach = 1.96 * std::sqrt(variance);
  out.low = 1.0 - ratio * std::exp(reach);
  out.high = 1.0 - ratio * std::exp(-reach);
  return out;
}

Result<std::vector<ConstraintSpec>> limits_of(const StudyFacts& facts) {
  std::vector<ConstraintSpec> out;
  TRY(const auto slo, text_of(facts, fact::kSlo));
  TRY(auto first, parse_slo(slo));
  out.push_back(std::move(first));
  TRY(const auto text, text_of(facts, fact::kConstraints));
  TRY(const auto list, parse_json(text));
  for (const auto& item : list) {
    if (!item.is_string()) return fail(Errc::kCorrupt, "the study's constraints are no list of texts");
    TRY(auto next, parse_constraint(item.get<std::string>()));
    out.push_back(std::move(next));
  }
  return out;
}

Result<Summary> summarize(const StudyFacts& facts, std::vector<Trial> history, const std::optional<std::vector<ConstraintSpec>>& limits) {
  Summary s;
  s.facts = facts;
  s.trials = std::move(history);
  TRY(const auto provenance, text_of(facts, fact::kProvenance));
  TRY(s.provenance, parse_provenance(provenance));
  TRY(const auto objective, text_of(facts, fact::kObjective));
  TRY(s.objective, parse_objective(objective));
  TRY(const auto reference_text, text_of(facts, fact::kReference));
  TRY(const auto reference_json, parse_json(reference_text));
  TRY(const auto reference, config_from_json(reference_json));
  s.stop_reason = "running";
  if (const auto stop = facts.find(fact::kStop); stop != facts.end()) {
    TRY(const auto json, parse_json(stop->second));
    s.stop_reason = json.value("reason", "running");
    s.stop_text = json.value("text", "");
  }
  for (const auto& t : s.trials)
    s.explored += t.advice.kind != Advice::Kind::kVerify && t.state != TrialState::kLost && t.state != TrialState::kVoid ? 1U : 0U;
  add_costs(s);
  std::vector<ConstraintSpec> specs;
  if (limits) {
    specs = *limits;
  } else {
    TRY(specs, limits_of(facts));
  }
  auto constraints = resolve_limits(specs, s.trials);
  if (!constraints) {
    const bool measured = std::any_of(s.trials.begin(), s.trials.end(), [](const Trial& t) {
      return t.advice.kind == Advice::Kind::kReference && t.state == TrialState::kCompleted;
    });
    if (constraints.error().code == Errc::kNotFound && !measured) return s;  // stopped before the reference was done
    return tl::unexpected<Error>(constraints.error());
  }
  s.constraints = std::move(*constraints);
  add_violations(s);
  if (!s.constraints.empty()) {
    s.pareto = pareto_of(s, s.constraints.front().metric);
    const Trial* fastest = nullptr;
    for (const auto& t : s.trials) {
      const auto it = t.metrics().find(s.constraints.front().metric);
      if (t.state != TrialState::kCompleted || it == t.metrics().end()) continue;
      if (fastest == nullptr || it->second.value < fastest->metrics().find(s.constraints.front().metric)->second.value) fastest = &t;
    }
    if (fastest != nullptr) s.fastest = Side{fastest->asked, fastest->metrics(), 1};
  }
  // A recommendation needs no list of candidates, only what was visited.
  static const Space no_space{};
  const auto choice = recommend(Problem{no_space, s.objective, s.constraints, reference, 0}, s.trials);
  const bool known = choice && choice->known_to_meet;
  s.confirmed = known ? verified(s.trials, choice->config) : 0;
  const auto since = s.confirmed > 0 ? confirmed_since(s.trials, reference, choice->config) : std::nullopt;
  s.reference = side_of(s.trials, reference, since);
  if (known) s.best = side_of(s.trials, choice->config, since);
  if (choice && !known) s.closest = side_of(s.trials, choice->config, {});
  if (s.best) {
    s.saving = saving_of(*s.best, *s.reference, kEnergy);
    s.improvement = saving_of(*s.best, *s.reference, s.objective.metric);
  }
  for (const auto& t : s.trials) {
    if (t.advice.kind != Advice::Kind::kFound || t.state != TrialState::kCompleted) continue;
    s.found = side_of(s.trials, t.asked, {});
    if (s.best) s.saving_found = saving_of(*s.best, *s.found, kEnergy);
  }
  return s;
}

}  // namespace polythrottle
