#include "optimizer/belief.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "optimizer/candidates.h"
#include "optimizer/refusal.h"

namespace polythrottle {
namespace {

using Eigen::Index;

/// An observation this many deviations above what the others say of it is a suspect: one in 2000 by chance.
constexpr double kSurprise = 3.3;
/// It is not believed, before it is seen again, where the data are this much likelier without it (ln): outliers are about one in 20.
constexpr double kOutlierOdds = 3.0;
constexpr int kDoubts = 2;
/// Fewer numbers cannot tell an outlier from a prior that is wrong.
constexpr std::size_t kLeastToDoubt = 6;
/// What is not believed keeps so little weight.
constexpr double kDisbelief = 200.0;
/// Two looks at a setting agree within this (ln), or the higher one is not believed.
constexpr double kLatencyAgreement = 0.045, kEnergyAgreement = 0.09;
/// How far above what was seen of it a trial stopped early may really be (ln).
constexpr double kStoppedDeviation = 0.2;
/// Of each earlier study at most so many settings: more teach little and cost time at every suggestion.
constexpr std::size_t kEarlierSettings = 24;

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 29);
}

std::uint64_t mixed(std::uint64_t hash, std::string_view text) { return mixed(hash, std::hash<std::string_view>{}(text)); }

std::uint64_t fingerprint(const Problem& problem) {
  std::uint64_t hash = mixed(problem.seed + 1, problem.space.size());
  for (const auto& p : problem.space.parameters()) {
    hash = mixed(mixed(hash, p.name), static_cast<std::uint64_t>(p.role));
    for (const auto& level : p.levels) hash = mixed(hash, to_text(level));
  }
  for (CandidateId id = 0; id < problem.space.size(); ++id) {
    for (const std::uint16_t level : problem.space.levels(id)) hash = hash * 0x100000001b3ULL ^ level;
  }
  hash = mixed(hash, problem.reference.text());
  for (const auto& earlier : problem.search.earlier) hash = mixed(mixed(hash, earlier.name), earlier.history.size());
  return hash;
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

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/// Zero is the reference's value, so that the prior's constants fit; without one, the median of what there is.
std::optional<Modelled> modelled(const std::string& metric, bool negated, std::optional<double> limit, std::span<const Trial> taught,
                                 const Config& reference) {
  std::vector<double> all, at_reference;
  for (const Trial& trial : taught) {
    const auto value = value_of(trial.metrics(), metric);
    if (!value) continue;
    all.push_back(*value);
    if (trial.asked == reference && trial.state == TrialState::kCompleted) at_reference.push_back(*value);
  }
  if (all.empty()) return std::nullopt;
  Modelled how{.negated = negated};
  how.zero = median(at_reference.empty() ? all : at_reference);
  how.logarithm = limit.value_or(1.0) > 0.0 && std::all_of(all.begin(), all.end(), [](double v) { return v > 0.0; });
  if (!how.logarithm) {
    how.scale = limit && *limit != 0.0 ? std::abs(*limit) : std::abs(how.zero);
    if (!(how.scale > 0.0)) how.scale = 1.0;
  }
  return how;
}

struct Metric {
  std::string name;
  Modelled how;
};

/// What the trials say of one metric, as observations of `output`. Aborted ones count only where they broke
/// a limit on that very metric and nobody has looked there for longer.
std::vector<FieldObservation> observations_of(const Metric& metric, int output, const Problem& problem, std::span<const Trial> taught) {
  std::vector<FieldObservation> out;
  const auto seen_whole = [&](const Config& asked) {
    return std::any_of(taught.begin(), taught.end(), [&](const Trial& t) { return t.state == TrialState::kCompleted && t.asked == asked; });
  };
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
    FieldObservation o{.row = static_cast<Index>(*place), .output = output, .value = metric.how.of(*value), .censored = censored};
    if (const auto error = trial.metrics().find(metric.name)->second.std_error) {
      const double deviation = metric.how.deviation(*value, *error);
      if (std::isfinite(deviation)) o.variance = deviation * deviation;
    }
    if (!std::isfinite(o.value)) continue;
    out.push_back(o);
    if (censored) {
      // What was seen before it was stopped is no bad guess either: the truth is at least that, but seldom far above.
      o.censored = false;
      o.variance = kStoppedDeviation * kStoppedDeviation;
      out.push_back(o);
    }
  }
  return out;
}

/// Where a setting was looked at more than once and one look is far above the lowest: that look is not believed.
void disbelieve_disagreeing(std::vector<FieldObservation>& observations) {
  std::map<std::pair<Index, int>, double> lowest;
  for (const auto& o : observations) {
    if (o.task != 0 || o.censored) continue;
    const auto [it, fresh] = lowest.emplace(std::pair(o.row, o.output), o.value);
    if (!fresh) it->second = std::min(it->second, o.value);
  }
  for (auto& o : observations) {
    if (o.task != 0 || o.censored) continue;
    const double tolerance = o.output == 0 ? kLatencyAgreement : kEnergyAgreement;
    if (o.value > lowest.at({o.row, o.output}) + tolerance) o.variance = kDisbelief * o.variance.value_or(tolerance * tolerance / 9.0);
  }
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
      for (const auto& c : problem.constraints) {
        const Verdict verdict = judge(c, trial.metrics());
        visit.decided = visit.decided && verdict != Verdict::kMissing && verdict != Verdict::kUndecided;
      }
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

/// Straight lines in the knobs and nothing else: for metrics of which the simulations say nothing (temperature, memory).
FieldPrior linear_prior(const RelativeKnobs& knobs) {
  FieldPrior prior{Eigen::VectorXf::Zero(knobs.rows()), RowMatrix::Zero(knobs.rows(), static_cast<Index>(knobs.knobs().size()))};
  for (Index row = 0; row < knobs.rows(); ++row) {
    for (std::size_t k = 0; k < knobs.knobs().size(); ++k) {
      if (knobs.knobs()[k].role == Role::kCategory) continue;
      prior.basis(row, static_cast<Index>(k)) = 0.3F * (knobs.logs(row)[k] - knobs.reference_logs()[k]);
    }
  }
  return prior;
}

struct EarlierRow {
  Index row;
  const Trial* trial;
  std::size_t study;
};

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

/// Everything that depends on the space and not on what was measured.
struct Believer::Prior {
  std::uint64_t key = 0;
  std::vector<EarlierStudy> earlier;  // own copy: rows point into it
  std::vector<EarlierRow> earlier_rows;
  RelativeKnobs knobs;
  PhysicsPrior physics;
  std::optional<FieldPrior> power, throughput, linear;  // made when first asked for

  explicit Prior(const Problem& problem) : earlier(problem.search.earlier), knobs(problem.space, problem.reference) {
    for (std::size_t s = 0; s < earlier.size(); ++s) add_rows(s);
    physics = physics_prior(knobs, {.seed = problem.seed});
  }

  void add_rows(std::size_t study) {
    const EarlierStudy& old = earlier[study];
    std::vector<const Trial*> useful;
    for (const Trial& trial : old.history) {
      if (trial.state == TrialState::kCompleted) useful.push_back(&trial);
    }
    const std::size_t stride = (useful.size() + kEarlierSettings - 1) / kEarlierSettings;
    for (std::size_t i = 0; i < useful.size(); i += std::max<std::size_t>(stride, 1)) {
      const Index row = knobs.rows();
      if (knobs.add(old.parameters, old.reference, useful[i]->asked)) earlier_rows.push_back({row, useful[i], study});
    }
  }

  /// Observations that earlier studies made of a metric, each study relative to its own reference.
  std::vector<FieldObservation> earlier_observations(const std::string& metric, int output, bool negated) const {
    std::vector<FieldObservation> out;
    for (std::size_t s = 0; s < earlier.size(); ++s) {
      const std::vector<Trial> taught = teaching(earlier[s].history);
      const auto how = modelled(metric, negated, {}, taught, earlier[s].reference);
      if (!how || !how->logarithm) continue;
      for (const EarlierRow& at : earlier_rows) {
        const auto value = at.study == s ? value_of(at.trial->metrics(), metric) : std::nullopt;
        if (!value) continue;
        FieldObservation o{.row = at.row, .output = output, .value = how->of(*value), .task = static_cast<int>(s) + 1};
        if (const auto error = at.trial->metrics().find(metric)->second.std_error) {
          const double deviation = how->deviation(*value, *error);
          o.variance = deviation * deviation;
        }
        out.push_back(o);
      }
    }
    return out;
  }

  const FieldPrior& of(const std::string& metric) {
    const auto combined = [&](float latency, float energy) {
      const Eigen::VectorXf batch = log_batch(knobs);
      return FieldPrior{latency * physics.latency.mean + energy * physics.energy.mean + batch,
                        latency * physics.latency.basis + energy * physics.energy.basis};
    };
    if (is_latency(metric)) return physics.latency;
    if (is_energy(metric)) return physics.energy;
    if (metric == kPower) {
      if (!power) power = combined(-1.0F, 1.0F);
      return *power;
    }
    if (metric == kThroughput) {
      if (!throughput) throughput = combined(-1.0F, 0.0F);
      return *throughput;
    }
    if (!linear) linear = linear_prior(knobs);
    return *linear;
  }
};

Believer::Believer() = default;
Believer::~Believer() = default;
Believer::Believer(Believer&&) noexcept = default;

namespace {

/// The two metrics that are modelled together: the latency that matters, and energy.
struct Pair {
  std::optional<Metric> latency, energy;
};

Pair joint_metrics(const Problem& problem, std::span<const Trial> taught) {
  std::string latency(kLatencyMean), energy(kEnergy);
  if (is_latency(problem.objective.metric)) latency = problem.objective.metric;
  for (const auto& c : problem.constraints) {
    if (is_latency(c.metric) && c.bound == Bound::kAtMost) {
      latency = c.metric;
      break;
    }
  }
  if (is_energy(problem.objective.metric)) energy = problem.objective.metric;
  Pair out;
  // Only logarithms share causes; a value that is not positive is a fault of the meter, and then each metric stands for itself.
  if (const auto how = modelled(latency, false, {}, taught, problem.reference); how && how->logarithm) out.latency = {latency, *how};
  if (const auto how = modelled(energy, false, {}, taught, problem.reference); how && how->logarithm) out.energy = {energy, *how};
  return out;
}

/// The seen-once observation that is highest above what the others say; nullopt if none is far above.
std::optional<FieldObservation> suspect_of(const Field& field, const std::vector<Visit>& visits) {
  std::optional<FieldObservation> worst;
  double highest = kSurprise;
  for (Index i = 0; i < field.first_surprises().size(); ++i) {
    const auto& o = field.observations()[static_cast<std::size_t>(i)];
    const bool seen_once =
        std::any_of(visits.begin(), visits.end(), [&](const Visit& v) { return static_cast<Index>(v.id) == o.row && v.trials == 1; });
    if (o.task != 0 || !seen_once || !(field.first_surprises()(i) > highest)) continue;
    highest = field.first_surprises()(i), worst = o;
  }
  return worst;
}

/// `observations` with the suspect as a plain measurement of `variance`; what else was made of the same look at it is left out.
std::vector<FieldObservation> with_suspect(std::vector<FieldObservation> observations, FieldObservation suspect, double variance) {
  std::erase_if(observations, [&](const auto& o) { return o.task == 0 && o.row == suspect.row && o.output == suspect.output; });
  suspect.censored = false;
  suspect.variance = variance;
  observations.push_back(suspect);
  return observations;
}

/// Fits; then, where one look surprises, fits with and without belief in it and keeps what explains the data better, outliers being rare.
/// `doubted` gets the rows that are not believed.
Result<Field> fit_with_doubt(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs,
                             std::vector<FieldObservation> observations, const std::vector<Visit>& visits, std::vector<Index>& doubted) {
  disbelieve_disagreeing(observations);
  TRY(auto field, Field::fit(priors, knobs, std::move(observations)));
  for (int round = 0; round < kDoubts && field.observations().size() >= kLeastToDoubt; ++round) {
    const auto suspect = suspect_of(field, visits);
    if (!suspect) break;
    const double fitted = field.scale(suspect->output == 0 ? FieldScales::kNoise : FieldScales::kSecondNoise);
    const double variance = std::max(suspect->variance.value_or(fitted * fitted), 1e-6);
    TRY(const Field believing, Field::fit(priors, knobs, with_suspect(field.observations(), *suspect, variance)));
    TRY(auto doubting, Field::fit(priors, knobs, with_suspect(field.observations(), *suspect, kDisbelief * variance)));
    if (!(doubting.log_posterior() > believing.log_posterior() + kOutlierOdds)) break;
    doubted.push_back(suspect->row);
    field = std::move(doubting);
  }
  return field;
}

}  // namespace

Result<Belief> Believer::operator()(const Problem& problem, std::span<const Trial> history) {
  if (problem.space.size() == 0) return fail(Errc::kInvalid, "there is no candidate");
  if (const std::uint64_t key = fingerprint(problem); !prior_ || prior_->key != key) {
    prior_ = std::make_unique<Prior>(problem);
    prior_->key = key;
  }
  const std::vector<Trial> taught = teaching(history);
  const auto rows = static_cast<Index>(problem.space.size());
  Belief belief;
  belief.visits = visits_of(problem, taught);

  const Pair pair = joint_metrics(problem, taught);
  std::vector<FieldObservation> observations;
  for (const auto& [metric, output] : {std::pair(&pair.latency, 0), std::pair(&pair.energy, 1)}) {
    if (!*metric) continue;
    for (auto& o : observations_of(**metric, output, problem, taught)) observations.push_back(o);
    for (auto& o : prior_->earlier_observations((*metric)->name, output, false)) observations.push_back(o);
  }
  std::vector<Index> doubted;
  TRY(Field fitted,
      fit_with_doubt({&prior_->physics.latency, &prior_->physics.energy}, prior_->knobs, observations, belief.visits, doubted));
  const auto shared = std::make_shared<const Field>(std::move(fitted));
  const Field& joint = *shared;
  for (Visit& visit : belief.visits) {
    visit.doubted = std::find(doubted.begin(), doubted.end(), static_cast<Index>(visit.id)) != doubted.end();
  }
  const std::vector<Posterior> of_pair = joint.predict(rows);
  std::shared_ptr<const Field> field = shared;  // of the metric believed last
  int field_output = 1;
  const auto believe = [&](const std::string& metric, bool negated, std::optional<double> limit) -> Result<std::optional<MetricBelief>> {
    for (const auto& [member, output] : {std::pair(&pair.latency, 0), std::pair(&pair.energy, 1)}) {
      if (!*member || (*member)->name != metric || limit.value_or(1.0) <= 0.0) continue;
      MetricBelief out{(*member)->how, of_pair[static_cast<std::size_t>(output)]};
      field = shared, field_output = output;
      out.how.negated = negated;
      if (negated) out.posterior.mean = -out.posterior.mean;
      return out;
    }
    const auto how = modelled(metric, false, limit, taught, problem.reference);
    if (!how) return std::nullopt;
    auto own = observations_of({metric, *how}, 0, problem, taught);
    if (how->logarithm) {
      for (auto& o : prior_->earlier_observations(metric, 0, false)) own.push_back(o);
    }
    FieldScales scales;
    scales.median[FieldScales::kResidual] = 0.06;
    TRY(Field own_field, Field::fit({how->logarithm ? &prior_->of(metric) : &prior_->of("")}, prior_->knobs, std::move(own), scales));
    MetricBelief out{*how, own_field.predict(rows).front()};
    field = std::make_shared<const Field>(std::move(own_field)), field_output = 0;
    out.how.negated = negated;
    if (negated) out.posterior.mean = -out.posterior.mean;
    return out;
  };

  const bool maximize = problem.objective.direction == Direction::kMaximize;
  TRY(auto objective, believe(problem.objective.metric, maximize, {}));
  if (!objective) {
    objective = MetricBelief{Modelled{.negated = maximize}, of_pair[1]};
    objective->posterior.mean.setZero();
  }
  belief.objective = std::move(*objective);
  belief.objective_field = field, belief.objective_output = field_output;
  for (const Constraint& c : problem.constraints) {
    const bool negated = c.bound == Bound::kAtLeast;
    const double limit = negated ? c.limit / kSlack : c.limit * kSlack;
    TRY(auto metric, believe(c.metric, negated, limit));
    // A metric that nobody has seen cannot tell candidates apart.
    if (metric) belief.limits.push_back({std::move(metric->posterior), metric->how.of(limit)});
  }
  if (std::any_of(belief.visits.begin(), belief.visits.end(), [](const Visit& v) { return v.broken; })) {
    std::vector<Index> places;
    std::vector<bool> broken;
    for (const Visit& v : belief.visits) places.push_back(static_cast<Index>(v.id)), broken.push_back(v.broken);
    TRY(auto runs, refusal_belief(prior_->knobs.coordinates().topRows(rows).cast<double>(), places, broken, kRefusalLengthScale));
    belief.limits.push_back(std::move(runs));
  }
  belief.log_feasible = log_probability_feasible(belief.limits, rows);
  for (const Visit& v : belief.visits) {
    if (!v.complete || v.broken || !v.decided || !(belief.log_feasible(v.id) > std::log(0.5))) continue;
    const double mean = belief.objective.posterior.mean(v.id);
    if (!belief.incumbent || mean < belief.objective.posterior.mean(*belief.incumbent)) belief.incumbent = v.id;
  }
  return belief;
}

Belief::Joint Belief::joint_objective(std::span<const CandidateId> ids) const {
  const std::vector<Index> rows(ids.begin(), ids.end());
  const Field::Joint all = objective_field->joint(rows);
  const auto m = static_cast<Index>(ids.size()), first = objective_output * m;
  const double sign = objective.how.negated ? -1.0 : 1.0;
  return {sign * all.mean.segment(first, m), all.covariance.block(first, first, m, m)};
}

}  // namespace polythrottle
