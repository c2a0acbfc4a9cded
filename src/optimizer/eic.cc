#include "optimizer/eic.h"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "acquisition/expected_improvement.h"
#include "optimizer/candidates.h"
#include "optimizer/refusal.h"
#include "surrogate/gp.h"

namespace polythrottle {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// What is known of one setting asked for.
struct Observation {
  CandidateId place = 0;  // where it was really measured
  Metrics metrics;        // pooled over repeats; of a trial stopped early where there is no complete one
  bool completed = false;
  bool broken = false;  // refused, failed, or stopped early for a reason its metrics do not show
  bool feasible = false;
};

bool breaks_a_limit(const std::vector<Constraint>& constraints, const Metrics& metrics) {
  return std::any_of(constraints.begin(), constraints.end(), [&](const Constraint& c) { return judge(c, metrics) == Verdict::kViolated; });
}

/// One for each setting asked, in the order of the candidates, so that the order of the history cannot matter.
std::vector<Observation> observe(const Problem& problem, std::span<const Trial> taught) {
  std::map<CandidateId, std::vector<Trial>> asked;
  for (const Trial& trial : taught) {
    const auto id = problem.space.find(trial.asked);
    if (!id) continue;
    asked[*id].push_back(trial);
    asked[*id].back().asked = problem.space.config(*id);  // without names the space does not know, so that repeats pool
  }
  std::vector<Observation> result;
  for (auto& [id, trials] : asked) {
    std::sort(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) { return a.id < b.id; });
    Observation seen{
        .place = id, .metrics = pooled(trials, problem.space.config(id)), .completed = false, .broken = false, .feasible = false};
    for (const Trial& trial : trials) {
      if (trial.state == TrialState::kCompleted) {
        seen.completed = true;
        seen.place = place_of(problem.space, trial).value_or(id);
      } else if (trial.state != TrialState::kAborted || !breaks_a_limit(problem.constraints, trial.metrics())) {
        seen.broken = true;
      }
    }
    for (const Trial& trial : trials) {
      if (!seen.completed && !seen.broken && trial.state == TrialState::kAborted) seen.metrics = trial.metrics();
    }
    const bool all_completed =
        std::all_of(trials.begin(), trials.end(), [](const Trial& trial) { return trial.state == TrialState::kCompleted; });
    seen.feasible = all_completed && meets(problem.constraints, seen.metrics);
    result.push_back(std::move(seen));
  }
  return result;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

/// From a metric's value to the number that is modelled: oriented so that less is better, then centred and scaled.
class Scale {
 public:
  Scale(std::span<const double> values, bool negate, bool logarithm, Standardisation how) : negate_(negate), logarithm_(logarithm) {
    std::vector<double> oriented;
    for (double v : values) oriented.push_back(orient(v));
    const auto n = static_cast<double>(oriented.size());
    for (double v : oriented) centre_ += v / n;
    double sum = 0.0;
    for (double v : oriented) sum += (v - centre_) * (v - centre_);
    spread_ = oriented.size() > 1 ? std::sqrt(sum / (n - 1.0)) : 0.0;
    if (how == Standardisation::kMedianAndAbsolute) {
      const double middle = median(oriented);
      for (double& v : oriented) v = std::abs(v - middle);
      if (const double deviation = 1.4826 * median(oriented); deviation > 1e-12 * std::abs(middle)) {
        centre_ = middle;
        spread_ = deviation;
      }
    }
    // No spread, no unit: the value itself is the only scale that does not depend on what it is counted in. A logarithm needs none.
    if (!(spread_ > 1e-12 * std::abs(centre_))) spread_ = logarithm_ || centre_ == 0.0 ? 1.0 : std::abs(centre_);
  }

  double standard(double value) const {
    // Rounded far below any noise, so that neither the unit of the metric nor the order of a sum can change the advice.
    constexpr double kGrid = 1 << 30;
    const double z = (orient(value) - centre_) / spread_;
    return std::abs(z) < 1e6 ? std::round(z * kGrid) / kGrid : z;
  }
  double variance(double value, double std_error) const {
    const double error = logarithm_ ? std_error / value : std_error;
    return error * error / (spread_ * spread_);
  }
  /// Relative change of the metric when its standardised value improves by `gain` from `from`; nullopt where it is relative to 0.
  std::optional<double> relative(double from, double gain) const {
    if (logarithm_) return negate_ ? std::expm1(gain * spread_) : -std::expm1(-gain * spread_);
    const double base = std::abs(centre_ + spread_ * from);
    return base > 0.0 ? std::optional(gain * spread_ / base) : std::nullopt;
  }

 private:
  double orient(double value) const {
    const double v = logarithm_ ? std::log(value) : value;
    return negate_ ? -v : v;
  }

  bool negate_;
  bool logarithm_;
  double centre_ = 0.0;
  double spread_ = 0.0;
};

/// Belief about one metric at every candidate, in standardised numbers.
struct Model {
  Scale scale;
  Posterior posterior;
};

class ConstrainedBayes final : public Optimizer {
 public:
  explicit ConstrainedBayes(const EicOptions& options) : options_(options) {}

  Result<Advice> ask(const Problem& problem, std::span<const Trial> history) override {
    const std::vector<Trial> taught = teaching(history);
    const std::vector<bool> open = open_candidates(problem.space, taught);
    std::vector<CandidateId> candidates = seeded_permutation(open.size(), problem.seed);
    std::erase_if(candidates, [&](CandidateId id) { return !open[id]; });
    if (candidates.empty()) return space_exhausted();
    const auto tried = std::count_if(taught.begin(), taught.end(), [](const Trial& t) { return t.advice.kind == Advice::Kind::kTry; });
    if (tried < options_.random_starts) {
      return Advice{Advice::Kind::kTry,
                    problem.space.config(candidates.front()),
                    fmt::format("random start {} of {}", tried + 1, options_.random_starts),
                    {}};
    }
    return model_based(problem, observe(problem, taught), candidates);
  }

 private:
  Result<Advice> model_based(const Problem& problem, const std::vector<Observation>& observations,
                             const std::vector<CandidateId>& candidates) const {
    const MatrixXd inputs = encoded(problem.space);
    TRY(const std::vector<ConstraintBelief> limits, constraint_beliefs(problem, observations, inputs));
    const VectorXd log_feasible = log_probability_feasible(limits, inputs.rows());
    const bool any_feasible = std::any_of(observations.begin(), observations.end(), [&](const Observation& o) {
      return o.feasible && value_of(o, problem.objective.metric).has_value();
    });
    const char* const met = problem.constraints.empty() ? "P(runs)" : "P(meets limits)";
    if (!any_feasible) {
      const CandidateId id = best_of(candidates, log_feasible);
      return Advice{Advice::Kind::kTry,
                    problem.space.config(id),
                    fmt::format("nothing feasible yet: {} {:.2f}", met, std::exp(log_feasible(id))),
                    {}};
    }
    const bool negate = problem.objective.direction == Direction::kMaximize;
    const auto completed = [](const Observation& o) { return o.completed; };
    TRY(const std::optional<Model> objective, model(observations, problem.objective.metric, negate, {}, completed, inputs));
    const double incumbent = best_feasible(problem, observations, *objective);
    const VectorXd log_eic = log_expected_improvement(objective->posterior, incumbent, options_.xi) + log_feasible;
    const CandidateId id = best_of(candidates, log_eic);
    // What is promised to people leaves xi out, which only steers the search.
    const double gain = std::exp(log_expected_improvement(objective->posterior, incumbent, 0.0)(id) + log_feasible(id));
    const std::optional<double> relative = objective->scale.relative(incumbent, gain);
    std::string reason = fmt::format("EIC {:.2g}", std::exp(log_eic(id)));
    if (relative) reason += fmt::format(": expected {} {:.2g} %", negate ? "gain" : "saving", 100.0 * *relative);
    if (!limits.empty()) reason += fmt::format(", {} {:.2f}", met, std::exp(log_feasible(id)));
    return Advice{Advice::Kind::kTry, problem.space.config(id), reason, relative};
  }

  MatrixXd encoded(const Space& space) const {
    const std::vector<double> rows = encode(space, options_.encoding);
    using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    return Eigen::Map<const RowMajor>(rows.data(), static_cast<Index>(space.size()), static_cast<Index>(encoded_dimension(space)));
  }

  static std::optional<double> value_of(const Observation& observation, const std::string& metric) {
    const auto it = observation.metrics.find(metric);
    if (it == observation.metrics.end() || !std::isfinite(it->second.value)) return std::nullopt;
    return it->second.value;
  }

  /// Fits one metric to the observations that are `used`; nullopt where none of them has it. `limit`: also decides whether logs exist.
  template <class Used>
  Result<std::optional<Model>> model(const std::vector<Observation>& observations, const std::string& metric, bool negate,
                                     std::optional<double> limit, Used used, const MatrixXd& inputs) const {
    std::vector<double> values;
    std::vector<std::optional<double>> errors;
    std::vector<Index> places;
    for (const Observation& o : observations) {
      const auto value = value_of(o, metric);
      if (!value || !used(o)) continue;
      values.push_back(*value);
      errors.push_back(o.metrics.find(metric)->second.std_error);
      places.push_back(static_cast<Index>(o.place));
    }
    if (values.empty()) return std::nullopt;
    const bool positive = std::all_of(values.begin(), values.end(), [](double v) { return v > 0.0; }) && limit.value_or(1.0) > 0.0;
    const Scale scale(values, negate, options_.target == Target::kLog && positive, options_.standardisation);

    GpOptions gp_options;
    gp_options.kernel = options_.kernel;
    VectorXd targets(static_cast<Index>(values.size())), noise;
    for (std::size_t i = 0; i < values.size(); ++i) targets(static_cast<Index>(i)) = scale.standard(values[i]);
    if (options_.noise == Noise::kReported) {
      gp_options.fit_noise = std::any_of(errors.begin(), errors.end(), [](const auto& error) { return !error; });
      noise = VectorXd::Zero(targets.size());
      for (std::size_t i = 0; i < values.size(); ++i) noise(static_cast<Index>(i)) = scale.variance(values[i], errors[i].value_or(0.0));
    }
    const MatrixXd observed = inputs(places, Eigen::all);
    TRY(const GaussianProcess gp, GaussianProcess::fit(observed, targets, gp_options, noise));
    return Model{scale, gp.predict(inputs)};
  }

  Result<std::vector<ConstraintBelief>> constraint_beliefs(const Problem& problem, const std::vector<Observation>& observations,
                                                           const MatrixXd& inputs) const {
    std::vector<ConstraintBelief> result;
    for (const Constraint& c : problem.constraints) {
      const bool negate = c.bound == Bound::kAtLeast;
      const double limit = negate ? c.limit / kSlack : c.limit * kSlack;
      const auto known = [&](const Observation& o) { return o.completed || judge(c, o.metrics) == Verdict::kViolated; };
      TRY(std::optional<Model> belief, model(observations, c.metric, negate, limit, known, inputs));
      // A metric that nobody has seen cannot tell candidates apart.
      if (belief) result.push_back({std::move(belief->posterior), belief->scale.standard(limit)});
    }
    if (std::any_of(observations.begin(), observations.end(), [](const Observation& o) { return o.broken; })) {
      std::vector<Index> places;
      std::vector<bool> broken;
      for (const Observation& o : observations) places.push_back(static_cast<Index>(o.place)), broken.push_back(o.broken);
      TRY(ConstraintBelief runs, refusal_belief(inputs, places, broken, options_.refusal_length_scale, options_.kernel));
      result.push_back(std::move(runs));
    }
    return result;
  }

  /// Standardised objective of the incumbent; at least one observation is feasible and has it.
  double best_feasible(const Problem& problem, const std::vector<Observation>& observations, const Model& objective) const {
    double best = std::numeric_limits<double>::infinity();
    for (const Observation& o : observations) {
      const auto value = value_of(o, problem.objective.metric);
      if (!o.feasible || !value) continue;
      const bool measured = options_.incumbent == Incumbent::kBestMeasured;
      best = std::min(best, measured ? objective.scale.standard(*value) : objective.posterior.mean(o.place));
    }
    return best;
  }

  /// The first of the largest: `candidates` come in the seed's order, which thereby breaks ties.
  static CandidateId best_of(const std::vector<CandidateId>& candidates, const VectorXd& score) {
    CandidateId best = candidates.front();
    for (CandidateId id : candidates) {
      if (score(id) > score(best)) best = id;
    }
    return best;
  }

  EicOptions options_;
};

std::unique_ptr<Optimizer> make() { return std::make_unique<ConstrainedBayes>(EicOptions{}); }

}  // namespace

Status EicOptions::validate() const {
  if (random_starts < 1) return fail(Errc::kInvalid, "EicOptions.random_starts: less than 1");
  if (!(xi >= 0.0) || !std::isfinite(xi)) return fail(Errc::kInvalid, "EicOptions.xi: negative or not finite");
  if (!(refusal_length_scale > 0.0) || !std::isfinite(refusal_length_scale)) {
    return fail(Errc::kInvalid, "EicOptions.refusal_length_scale: not positive");
  }
  return {};
}

Result<std::unique_ptr<Optimizer>> make_eic(const EicOptions& options) {
  TRY_STATUS(options.validate());
  return std::make_unique<ConstrainedBayes>(options);
}

namespace optimizer_driver {
extern const OptimizerDriver eic;
constinit const OptimizerDriver eic{.name = "eic",
                                    .summary = "constrained Bayesian optimisation as in the paper: 5 random starts, then EI x PF",
                                    .make = make,
                                    .exhaustive = false};
}  // namespace optimizer_driver

}  // namespace polythrottle
