#include "study/posterior.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/stats.h"
#include "study/history.h"
#include "study/runner.h"
#include "study/scatter.h"

namespace polythrottle {
namespace {

constexpr double kReach = 1.96;  // standard deviations on either side of a 95 % interval
/// How far the latency seen before a trial was stopped may be from that of a whole one, relative: as far as in the belief.
constexpr double kStoppedError = 0.2;

Result<std::uint64_t> seed_of(const StudyFacts& facts) {
  TRY(const auto text, fact_text(facts, fact::kSeed));
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc{} || end != text.data() + text.size()) return fail(Errc::kCorrupt, "the study's seed is no number");
  return seed;
}

bool knows(const Trial& trial, const std::string& metric) {
  const auto it = trial.metrics().find(metric);
  return it != trial.metrics().end() && std::isfinite(it->second.value);
}

/// What a posterior needs of the trials. Errors: kNotFound with what is missing.
Status check_trials(const Summary& s) {
  constexpr const char* kGoOn = "go on with polythrottle tune --resume --study FILE";
  const Trial* first = first_reference(s.trials);
  if (first == nullptr || !s.reference || !knows(*first, s.objective.metric)) {
    return fail(Errc::kNotFound, "the study never measured its reference setting, so nothing in it can be compared", kGoOn);
  }
  const bool another = std::any_of(s.trials.begin(), s.trials.end(), [&](const Trial& t) {
    return t.state == TrialState::kCompleted && knows(t, s.objective.metric) && !(t.asked == first->asked);
  });
  if (!another)
    return fail(Errc::kNotFound, "the study measured its reference setting alone, so there is nothing to compare it with", kGoOn);
  const std::vector<Trial> taught = teaching(s.trials);
  for (const Constraint& c : s.constraints) {
    if (std::any_of(taught.begin(), taught.end(), [&](const Trial& t) { return knows(t, c.metric); })) continue;
    return fail(Errc::kNotFound, fmt::format("no trial of the study measured {}, so nothing can be said of a limit on it", c.metric),
                "leave that limit out, or measure again with it");
  }
  return {};
}

bool violates(const Trial& trial, std::span<const Constraint> limits) {
  return std::any_of(limits.begin(), limits.end(), [&](const Constraint& c) { return judge(c, trial.metrics()) == Verdict::kViolated; });
}

/// A trial that was stopped early because it broke a limit of the study which is not asked about: what it saw of latency is a guess at
/// that setting. Left as it is, it would say that the setting does not run.
void reopen(Trial& trial) {
  trial.state = trial.outcome.state = TrialState::kCompleted;
  std::erase_if(trial.outcome.metrics, [](const auto& metric) {
    const MetricRow* row = find_metric(metric.first);
    return row == nullptr || row->unit != "s";
  });
  for (auto& [name, estimate] : trial.outcome.metrics) {
    estimate.std_error = std::hypot(estimate.std_error.value_or(0.0), kStoppedError * estimate.value);
  }
}

/// The trials as the question sees them.
Result<std::vector<Trial>> relevant(const Summary& s) {
  TRY(const auto own, limits_of(s.facts));
  TRY(const auto limits, resolve_limits(own, s.trials));
  std::vector<Trial> out = s.trials;
  add_scatter(out);
  for (Trial& t : out) {
    if (t.state == TrialState::kAborted && violates(t, limits) && !violates(t, s.constraints)) reopen(t);
  }
  return out;
}

}  // namespace

Result<StudyPosterior> StudyPosterior::of(const Summary& summary) {
  TRY_STATUS(check_trials(summary));
  TRY(auto candidates, space_of(summary.facts));
  TRY(const std::uint64_t seed, seed_of(summary.facts));
  auto space = std::make_unique<const Space>(std::move(candidates));
  const Config& start = summary.reference->config;
  const auto reference = space->find(start);
  if (!reference) return fail(Errc::kOutOfRange, "the study's reference setting is none of its candidates: " + start.text());
  Problem problem{*space, summary.objective, summary.constraints, start, seed};
  TRY(auto history, relevant(summary));
  StudyPosterior out(std::move(space), std::move(problem), std::move(history), *reference);
  TRY(out.belief_, out.believer_(out.problem_, out.history_));
  return out;
}

bool StudyPosterior::measured(CandidateId id) const {
  return std::any_of(belief_.visits.begin(), belief_.visits.end(), [&](const Visit& v) { return v.id == id && v.complete; });
}

std::size_t StudyPosterior::measured() const {
  return static_cast<std::size_t>(std::count_if(belief_.visits.begin(), belief_.visits.end(), [](const Visit& v) { return v.complete; }));
}

Forecast StudyPosterior::forecast(CandidateId id) const {
  const auto& [how, posterior] = belief_.objective;
  const double mean = posterior.mean(id), reach = kReach * std::sqrt(posterior.variance(id));
  const auto [low, high] = std::minmax({how.back(mean - reach), how.back(mean + reach)});
  return {how.back(mean), low, high};
}

double StudyPosterior::relative_gain(CandidateId base, double gain) const {
  const auto& [how, posterior] = belief_.objective;
  if (how.logarithm) return how.negated ? std::expm1(gain) : -std::expm1(-gain);
  const double value = how.back(posterior.mean(base));
  return value != 0.0 ? gain * how.scale / std::abs(value) : gain;
}

Chance StudyPosterior::chance(CandidateId id) const {
  Chance out{.met = belief_.probability(id)};
  for (std::size_t i = 0; i < belief_.limits.size(); ++i) {
    const ConstraintBelief& limit = belief_.limits[i];
    const double deviation = std::sqrt(std::max(limit.posterior.variance(id), 1e-24));
    const double met = normal_cdf((limit.limit - limit.posterior.mean(id)) / deviation);
    if (i > 0 && met >= out.tightest_met) continue;
    out.tightest_met = met;
    // Every constraint's metric was measured, so that they come first and in order.
    out.tightest = i < problem_.constraints.size() ? std::optional(i) : std::nullopt;
  }
  return out;
}

std::optional<double> StudyPosterior::slower(CandidateId from, CandidateId to) const {
  for (std::size_t i = 0; i < problem_.constraints.size(); ++i) {
    const Constraint& c = problem_.constraints[i];
    const MetricRow* row = find_metric(c.metric);
    if (row == nullptr || row->unit != "s" || c.bound != Bound::kAtMost) continue;
    const Posterior& latency = belief_.limits[i].posterior;  // of logarithms, because latencies and limits on them are positive
    const double longer = latency.mean(to) - latency.mean(from);
    if (std::abs(longer) < kReach * std::sqrt(latency.variance(to) + latency.variance(from))) return std::nullopt;
    return std::expm1(longer);
  }
  return std::nullopt;
}

Comparison::Comparison(const StudyPosterior& posterior, std::vector<CandidateId> ids) : posterior_(posterior) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (std::size_t i = 0; i < ids.size(); ++i) places_[ids[i]] = static_cast<long>(i);
  joint_ = posterior.belief().joint_objective(ids);
}

std::size_t Comparison::measured() const {
  return static_cast<std::size_t>(
      std::count_if(places_.begin(), places_.end(), [&](const auto& place) { return posterior_.measured(place.first); }));
}

Predicted Comparison::change(CandidateId from, CandidateId to) const { return predicted({{to, 1.0}, {from, -1.0}}, from); }

Predicted Comparison::interaction(CandidateId neither, CandidateId first, CandidateId second, CandidateId both) const {
  return predicted({{both, 1.0}, {first, -1.0}, {second, -1.0}, {neither, 1.0}}, neither);
}

Predicted Comparison::predicted(const Weights& weights, CandidateId base) const {
  double gain = 0.0, variance = 0.0;
  for (const auto& [a, weight] : weights) {
    gain -= weight * joint_.mean(places_.at(a));
    for (const auto& [b, other] : weights) variance += weight * other * joint_.covariance(places_.at(a), places_.at(b));
  }
  const double deviation = std::sqrt(std::max(variance, 0.0));
  const auto ratio = [&](double value) { return posterior_.relative_gain(base, value); };
  const double certain = gain > 0.0 ? 1.0 : gain < 0.0 ? 0.0 : 0.5;
  return {ratio(gain), ratio(gain - kReach * deviation), ratio(gain + kReach * deviation),
          deviation > 0.0 ? normal_cdf(gain / deviation) : certain};
}

}  // namespace polythrottle
