#include "optimizer/belief.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "optimizer/doubt.h"
#include "optimizer/refusal.h"
#include "optimizer/space_prior.h"

namespace polythrottle {
namespace {

using Eigen::Index;

/// The two metrics that are modelled together: the latency that matters, and energy.
struct Pair {
  std::optional<ModelledMetric> latency, energy;
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
  if (const auto how = modelled(latency, {}, taught, problem.reference); how && how->logarithm) out.latency = {latency, *how};
  if (const auto how = modelled(energy, {}, taught, problem.reference); how && how->logarithm) out.energy = {energy, *how};
  return out;
}

/// A belief in the making.
class Making {
 public:
  Making(const Problem& problem, SpacePrior& prior, std::vector<Trial> taught)
      : problem_(problem), prior_(prior), taught_(std::move(taught)), rows_(static_cast<Index>(problem.space.size())) {}

  Result<Belief> belief() {
    Belief out;
    out.visits = visits_of(problem_, taught_);
    TRY_STATUS(fit_pair(out.visits));
    TRY_STATUS(add_objective(out));
    TRY_STATUS(add_limits(out));
    out.log_feasible = log_probability_feasible(out.limits, rows_);
    for (const Visit& v : out.visits) {
      if (!v.complete || v.broken || !v.decided || !(out.log_feasible(v.id) > std::log(0.5))) continue;
      const double mean = out.objective.posterior.mean(v.id);
      if (!out.incumbent || mean < out.objective.posterior.mean(*out.incumbent)) out.incumbent = v.id;
    }
    return out;
  }

 private:
  /// A metric at every candidate and the field behind it.
  struct Known {
    MetricBelief belief;
    std::shared_ptr<const Field> field;
    int output = 0;
    bool flipped = false;  // the field has it with the other sign
  };

  Status fit_pair(std::vector<Visit>& visits) {
    pair_ = joint_metrics(problem_, taught_);
    std::vector<FieldObservation> observations, earlier;
    for (int output = 0; output < 2; ++output) {
      const auto& metric = member(output);
      if (!metric) continue;
      for (auto& o : observations_of(*metric, output, problem_, taught_)) observations.push_back(o);
      for (auto& o : prior_.earlier_observations(metric->name, output)) earlier.push_back(o);
    }
    const std::vector<const FieldPrior*> priors{&prior_.of(std::string(kLatencyMean)), &prior_.of(std::string(kEnergy))};
    TRY(believed_studies_, studies_that_help(priors, prior_.knobs(), observations, earlier));
    for (const auto& o : earlier) {
      if (believed_studies_.contains(o.task)) observations.push_back(o);
    }
    std::vector<Index> doubted;
    TRY(Field field, fit_with_doubt(priors, prior_.knobs(), std::move(observations), visits, doubted));
    for (Visit& visit : visits) visit.doubted = std::find(doubted.begin(), doubted.end(), static_cast<Index>(visit.id)) != doubted.end();
    pair_field_ = std::make_shared<const Field>(std::move(field));
    pair_posteriors_ = pair_field_->predict(rows_);
    return {};
  }

  const std::optional<ModelledMetric>& member(int output) const { return output == 0 ? pair_.latency : pair_.energy; }

  /// nullopt: nobody has seen this metric. `limit`: of the metric, with slack; decides whether a logarithm exists.
  Result<std::optional<Known>> known(const std::string& metric, bool negated, std::optional<double> limit) {
    for (int output = 0; output < 2; ++output) {
      if (!member(output) || member(output)->name != metric || limit.value_or(1.0) <= 0.0) continue;
      return oriented({{member(output)->how, pair_posteriors_[static_cast<std::size_t>(output)]}, pair_field_, output, negated}, negated);
    }
    auto how = modelled(metric, limit, taught_, problem_.reference);
    if (!how) return std::nullopt;
    how->negated = negated;  // before the trials are read, so that an outlier is one on the bad side
    auto observations = observations_of({metric, *how}, 0, problem_, taught_);
    if (how->logarithm) {
      for (auto& o : prior_.earlier_observations(metric, 0)) {
        if (negated) o.value = -o.value;
        if (believed_studies_.contains(o.task)) observations.push_back(o);
      }
    }
    const FieldPrior& prior = prior_.of(how->logarithm ? metric : std::string(), negated);
    TRY(Field field, Field::fit({&prior}, prior_.knobs(), std::move(observations)));
    const auto shared = std::make_shared<const Field>(std::move(field));
    return Known{{*how, shared->predict(rows_).front()}, shared, 0, false};
  }

  static std::optional<Known> oriented(Known known, bool negated) {
    known.belief.how.negated = negated;
    if (negated) known.belief.posterior.mean = -known.belief.posterior.mean;
    return known;
  }

  Status add_objective(Belief& out) {
    const bool maximize = problem_.objective.direction == Direction::kMaximize;
    TRY(auto objective, known(problem_.objective.metric, maximize, {}));
    if (!objective) {  // nothing to gain anywhere, as far as anybody knows
      objective = Known{{Modelled{.negated = maximize}, pair_posteriors_[1]}, pair_field_, 1, maximize};
      objective->belief.posterior.mean.setZero();
    }
    out.objective = std::move(objective->belief);
    out.objective_field = objective->field, out.objective_output = objective->output, out.objective_flipped = objective->flipped;
    return {};
  }

  Status add_limits(Belief& out) {
    for (const Constraint& c : problem_.constraints) {
      const bool negated = c.bound == Bound::kAtLeast;
      const double limit = negated ? c.limit / kSlack : c.limit * kSlack;
      TRY(auto metric, known(c.metric, negated, limit));
      // A metric that nobody has seen cannot tell candidates apart.
      if (metric) out.limits.push_back({std::move(metric->belief.posterior), metric->belief.how.of(limit)});
    }
    if (std::none_of(out.visits.begin(), out.visits.end(), [](const Visit& v) { return v.broken; })) return {};
    std::vector<Index> places;
    std::vector<bool> broken;
    for (const Visit& v : out.visits) places.push_back(static_cast<Index>(v.id)), broken.push_back(v.broken);
    TRY(auto runs, refusal_belief(prior_.knobs().coordinates().topRows(rows_).cast<double>(), places, broken, kRefusalLengthScale));
    out.limits.push_back(std::move(runs));
    return {};
  }

  const Problem& problem_;
  SpacePrior& prior_;
  std::vector<Trial> taught_;
  Index rows_;
  Pair pair_;
  std::set<int> believed_studies_;  // tasks
  std::shared_ptr<const Field> pair_field_;
  std::vector<Posterior> pair_posteriors_;
};

}  // namespace

Believer::Believer() = default;
Believer::~Believer() = default;
Believer::Believer(Believer&&) noexcept = default;

Result<Belief> Believer::operator()(const Problem& problem, std::span<const Trial> history) {
  if (problem.space.size() == 0) return fail(Errc::kInvalid, "there is no candidate");
  if (const std::uint64_t key = SpacePrior::fingerprint(problem); !prior_ || key_ != key) {
    prior_ = std::make_unique<SpacePrior>(problem);
    key_ = key;
  }
  return Making(problem, *prior_, teaching(history)).belief();
}

Belief::Joint Belief::joint_objective(std::span<const CandidateId> ids) const {
  const std::vector<Index> rows(ids.begin(), ids.end());
  const Field::Joint all = objective_field->joint(rows);
  const auto m = static_cast<Index>(ids.size()), first = objective_output * m;
  const double sign = objective_flipped ? -1.0 : 1.0;
  return {sign * all.mean.segment(first, m), all.covariance.block(first, first, m, m)};
}

}  // namespace polythrottle
