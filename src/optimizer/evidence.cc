#include "optimizer/evidence.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "optimizer/candidates.h"

namespace polythrottle {
namespace {

using Eigen::Index;

/// Two looks at a setting agree within this (ln), or the higher one is not believed.
constexpr double kLatencyAgreement = 0.045, kEnergyAgreement = 0.09;
/// How far above what was seen of it a trial stopped early may really be (ln).
constexpr double kStoppedDeviation = 0.2;
/// A reading with a larger error (ln) says nothing, and its square may not even be a number.
constexpr double kUselessDeviation = 100.0;
/// References from which a drift can be told from an outlier, and how sure it must be.
constexpr std::size_t kDriftReferences = 3;
constexpr double kDriftDeviations = 3.0;
/// Two windows at one setting differ by this anyway (ln).
constexpr double kRepeatDeviation = 0.002;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/// Where a setting was looked at more than once and one look is far above the lowest: that look is not believed.
void disbelieve_disagreeing(std::vector<FieldObservation>& observations, double agreement) {
  std::map<Index, FieldObservation> lowest;
  for (const auto& o : observations) {
    if (o.censored) continue;
    const auto [it, fresh] = lowest.emplace(o.row, o);
    if (!fresh && o.value < it->second.value) it->second = o;
  }
  for (auto& o : observations) {
    if (o.censored) continue;
    // Looks that state large errors may differ by them.
    const FieldObservation& low = lowest.at(o.row);
    const double tolerance = std::max(agreement, 3.0 * std::sqrt(o.variance.value_or(0.0) + low.variance.value_or(0.0)));
    if (o.value > low.value + tolerance) o.variance = kDisbelief * o.variance.value_or(agreement * agreement / 9.0);
  }
}

/// When the reference was first measured, seconds; 0 if never.
double first_reference_time(const Problem& problem, std::span<const Trial> taught) {
  double first = INFINITY;
  for (const Trial& trial : taught) {
    if (trial.state == TrialState::kCompleted && trial.asked == problem.reference) first = std::min(first, trial.started);
  }
  return std::isfinite(first) ? first : 0.0;
}

}  // namespace

double Modelled::of(double value) const {
  const double raw = logarithm ? std::log(value / zero) : (value - zero) / scale;
  // Rounded far below any noise, so that the unit of the metric cannot change the advice.
  constexpr double kGrid = 1LL << 36;
  return std::round((negated ? -raw : raw) * kGrid) / kGrid;
}

double Modelled::deviation(double value, double std_error) const { return std::abs(std_error / (logarithm ? value : scale)); }

double Modelled::back(double modelled_value) const {
  const double raw = negated ? -modelled_value : modelled_value;
  return logarithm ? zero * std::exp(raw) : zero + scale * raw;
}

std::optional<double> value_of(const Metrics& metrics, std::string_view metric) {
  const auto it = metrics.find(metric);
  if (it == metrics.end() || !std::isfinite(it->second.value)) return std::nullopt;
  return it->second.value;
}

bool is_latency(std::string_view metric) {
  const MetricRow* row = find_metric(metric);
  return row != nullptr && row->unit == "s";
}

bool is_energy(std::string_view metric) { return metric == kEnergy || metric == kEnergyProxy; }

std::optional<Modelled> modelled(const std::string& metric, std::optional<double> limit, std::span<const Trial> taught,
                                 const Config& reference) {
  std::vector<double> all, at_reference;
  for (const Trial& trial : taught) {
    const auto value = value_of(trial.metrics(), metric);
    if (!value) continue;
    all.push_back(*value);
    if (trial.asked == reference && trial.state == TrialState::kCompleted) at_reference.push_back(*value);
  }
  if (all.empty()) return std::nullopt;
  Modelled how;
  how.zero = median(at_reference.empty() ? all : at_reference);
  how.logarithm = limit.value_or(1.0) > 0.0 && std::all_of(all.begin(), all.end(), [](double v) { return v > 0.0; });
  if (!how.logarithm) {
    how.scale = limit && *limit != 0.0 ? std::abs(*limit) : std::abs(how.zero);
    if (!(how.scale > 0.0)) how.scale = 1.0;
  }
  return how;
}

std::vector<FieldObservation> observations_of(const ModelledMetric& metric, int output, const Problem& problem,
                                              std::span<const Trial> taught) {
  std::vector<FieldObservation> out;
  const auto seen_whole = [&](const Config& asked) {
    return std::any_of(taught.begin(), taught.end(), [&](const Trial& t) { return t.state == TrialState::kCompleted && t.asked == asked; });
  };
  const double drift = drift_of(metric, problem, taught), since = first_reference_time(problem, taught);
  for (const Trial& trial : taught) {
    const auto value = value_of(trial.metrics(), metric.name);
    const auto place = place_of(problem.space, trial);
    if (!value || !place) continue;
    const bool censored = trial.state == TrialState::kAborted;
    if (trial.state != TrialState::kCompleted && !censored) continue;
    if (censored && seen_whole(trial.asked)) continue;
    if (censored && std::none_of(problem.constraints.begin(), problem.constraints.end(), [&](const Constraint& c) {
          return c.metric == metric.name && judge(c, trial.metrics()) == Verdict::kViolated;
        })) {
      continue;
    }
    FieldObservation o{.row = static_cast<Index>(*place),
                       .output = output,
                       .value = metric.how.of(*value) - drift * (trial.started - since),
                       .censored = censored};
    if (!state_error(o, metric.how, trial.metrics().find(metric.name)->second)) continue;
    if (!std::isfinite(o.value)) continue;
    out.push_back(o);
    if (censored) {
      // What was seen before it was stopped is no bad guess either: the truth is at least that, but seldom far above.
      o.censored = false;
      o.variance = kStoppedDeviation * kStoppedDeviation;
      out.push_back(o);
    }
  }
  disbelieve_disagreeing(out, is_latency(metric.name) ? kLatencyAgreement : kEnergyAgreement);
  return out;
}

bool state_error(FieldObservation& observation, const Modelled& how, const Estimate& estimate) {
  const double deviation = how.deviation(estimate.value, estimate.std_error.value_or(NAN));
  if (deviation > kUselessDeviation) return false;
  if (!std::isnan(deviation)) observation.variance = deviation * deviation;
  return true;
}

double drift_of(const ModelledMetric& metric, const Problem& problem, std::span<const Trial> taught) {
  struct Point {
    double time, value, weight;
  };
  std::vector<Point> points;
  for (const Trial& trial : taught) {
    const auto value = value_of(trial.metrics(), metric.name);
    if (trial.state != TrialState::kCompleted || !(trial.asked == problem.reference) || !value) continue;
    const double error = metric.how.deviation(*value, trial.metrics().find(metric.name)->second.std_error.value_or(0.0));
    points.push_back({trial.started, metric.how.of(*value), 1.0 / (error * error + kRepeatDeviation * kRepeatDeviation)});
  }
  if (points.size() < kDriftReferences) return 0.0;
  std::sort(points.begin(), points.end(),
            [](const Point& a, const Point& b) { return std::tie(a.time, a.value) < std::tie(b.time, b.value); });
  double weights = 0.0, time = 0.0, value = 0.0;
  for (const Point& p : points) weights += p.weight, time += p.weight * p.time, value += p.weight * p.value;
  if (!(weights > 0.0) || !std::isfinite(weights)) return 0.0;
  time /= weights, value /= weights;
  double spread = 0.0, slope = 0.0, scatter = 0.0;
  for (const Point& p : points) {
    spread += p.weight * (p.time - time) * (p.time - time);
    slope += p.weight * (p.time - time) * (p.value - value);
  }
  if (!(spread > 0.0) || !std::isfinite(spread)) return 0.0;
  slope /= spread;
  for (const Point& p : points) {
    const double off = p.value - value - slope * (p.time - time);
    scatter += p.weight * off * off;
  }
  const double error = std::sqrt(std::max(1.0, scatter / static_cast<double>(points.size() - 2)) / spread);
  return std::abs(slope) > kDriftDeviations * error ? slope : 0.0;
}

std::vector<Visit> visits_of(const Problem& problem, std::span<const Trial> taught) {
  std::map<CandidateId, Visit> seen;
  for (const Trial& trial : taught) {
    const auto asked = problem.space.find(trial.asked);
    if (!asked) continue;
    // A setting that became another one is measured there, and closed here.
    const CandidateId id = trial.state == TrialState::kCompleted ? place_of(problem.space, trial).value_or(*asked) : *asked;
    if (id != *asked) seen.try_emplace(*asked, Visit{.id = *asked});
    Visit& visit = seen.try_emplace(id, Visit{.id = id}).first->second;
    ++visit.trials;
    if (trial.state == TrialState::kCompleted) {
      ++visit.looks;
      visit.complete = visit.complete || value_of(trial.metrics(), problem.objective.metric).has_value();
      visit.decided = visit.decided || std::all_of(problem.constraints.begin(), problem.constraints.end(), [&](const Constraint& c) {
                        const Verdict verdict = judge(c, trial.metrics());
                        return verdict != Verdict::kMissing && verdict != Verdict::kUndecided;
                      });
      const auto objective = trial.metrics().find(problem.objective.metric);
      visit.has_error = visit.has_error || (objective != trial.metrics().end() && objective->second.std_error.value_or(0.0) > 0.0);
    } else if (trial.state != TrialState::kAborted ||
               std::none_of(problem.constraints.begin(), problem.constraints.end(),
                            [&](const Constraint& c) { return judge(c, trial.metrics()) == Verdict::kViolated; })) {
      visit.broken = true;
    }
  }
  std::vector<Visit> out;
  for (const auto& [id, visit] : seen) out.push_back(visit);
  return out;
}

}  // namespace polythrottle
