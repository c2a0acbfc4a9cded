// The default: starts at the reference, goes where a belief made of physics and measurements expects most within the limits, stops by
// itself.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

#include "base/stats.h"
#include "optimizer/belief.h"
#include "optimizer/candidates.h"

namespace polythrottle {
namespace {

using Eigen::Index;
using Eigen::VectorXd;

/// P(every limit holds) that a safe trial needs; less where one knob is tuned, because there a strict set creeps along the axis.
constexpr double kSafe = 0.85, kSafeOneKnob = 0.5;
/// Below this expected saving (relative) the safe settings are used up; above, they are left only for so many times as much.
constexpr double kSafeGain = 0.003, kMuchMore = 2.0;
/// What a broken limit costs where the safe settings are left (as expected saving, relative); twice that where it is broken by a third or
/// more. So that a search pays for the requests it makes late with what it learns from them.
constexpr double kViolationPrice = 0.02, kFarViolationPrice = 0.02, kFar = 0.3;
/// Settings that may still turn out to be the best: nearer than this to the choice (relative), and this likely to meet the limits.
constexpr double kRivalMargin = 0.02, kRivalProbability = 0.3;
constexpr std::size_t kRivals = 2;
constexpr double kMostGain = 1e6;
/// Too little to judge by: never stops earlier by itself.
constexpr std::size_t kLeastTrials = 3;

/// What may be measured next.
struct Candidates {
  const std::vector<CandidateId>& order;  // the seed's: ties go to the first
  const std::vector<bool>& open;
};

/// One of them and what it scores; `id` is absent where there is none.
struct Candidate {
  std::optional<CandidateId> id;
  double score = -std::numeric_limits<double>::infinity();
};

class PolyThrottle final : public Optimizer {
 public:
  Result<Advice> ask(const Problem& problem, std::span<const Trial> history) override {
    const std::vector<Trial> taught = teaching(history);
    std::vector<bool> open = open_candidates(problem.space, taught);
    if (const auto reference = problem.space.find(problem.reference); reference && open[*reference] && nothing_measured(taught)) {
      return Advice{Advice::Kind::kTry, problem.reference, "the reference first: it is known to be safe", {}};
    }
    TRY(const Belief belief, believe_(problem, history));
    const bool any_open = std::find(open.begin(), open.end(), true) != open.end();
    const std::vector<CandidateId> order = seeded_permutation(open.size(), problem.seed);
    for (const Visit& v : belief.visits) {
      if (v.doubted) open[v.id] = true;
    }
    if (!belief.incumbent) return any_open ? toward_feasible(problem, belief, {order, open}) : Result<Advice>(space_exhausted());
    return toward_gain(problem, belief, {order, open}, any_open, taught);
  }

  std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history) override {
    const auto belief = believe_(problem, history);
    if (!belief) return polythrottle::recommend(problem, history);
    const Visit* best = nullptr;
    const auto probability = [&](const Visit& v) { return v.broken || !v.decided ? 0.0 : belief->probability(v.id); };
    const auto rank = [&](const Visit& v) {
      const double p = probability(v), cost = belief->objective.posterior.mean(v.id);
      const bool known = p >= kConfidence;
      return std::tuple(!known, known ? 0.0 : -p, cost);
    };
    for (const Visit& v : belief->visits) {
      if (v.complete && (best == nullptr || rank(v) < rank(*best))) best = &v;
    }
    if (best == nullptr) return std::nullopt;
    const double p = probability(*best);
    return Recommendation{problem.space.config(best->id), p, p >= kConfidence};
  }

 private:
  static bool nothing_measured(std::span<const Trial> taught) {
    return std::none_of(taught.begin(), taught.end(), [](const Trial& t) { return t.state == TrialState::kCompleted; });
  }

  static std::size_t knobs(const Space& space) {
    return static_cast<std::size_t>(
        std::count_if(space.parameters().begin(), space.parameters().end(), [](const Parameter& p) { return p.levels.size() > 1; }));
  }

  /// The one that scores most among those with P >= `safe`.
  static Candidate best_of(const Candidates& candidates, const VectorXd& score, const VectorXd& log_feasible, double safe) {
    Candidate best;
    const double least = safe > 0.0 ? std::log(safe) : -std::numeric_limits<double>::infinity();
    for (const CandidateId id : candidates.order) {
      if (!candidates.open[id] || log_feasible(id) < least || (best.id && !(score(id) > best.score))) continue;
      best = {id, score(id)};
    }
    return best;
  }

  static Advice::Kind kind_of(const Belief& belief, CandidateId id) {
    const auto visited = std::find_if(belief.visits.begin(), belief.visits.end(), [&](const Visit& v) { return v.id == id; });
    return visited == belief.visits.end() ? Advice::Kind::kTry : Advice::Kind::kVerify;
  }

  static Result<Advice> toward_feasible(const Problem& problem, const Belief& belief, const Candidates& candidates) {
    const Candidate best = best_of(candidates, belief.log_feasible, belief.log_feasible, 0.0);
    const double probability = belief.probability(*best.id);
    if (problem.search.explore == Explore::kStrict && probability < kSafe) {
      return stop(fmt::format("no setting is known to meet the limits, and none is likely enough to (P {:.2f} at most)", probability), {});
    }
    return Advice{kind_of(belief, *best.id),
                  problem.space.config(*best.id),
                  fmt::format("nothing is known to meet the limits yet: P {:.2f} here", probability),
                  {}};
  }

  static Advice stop(std::string reason, std::optional<double> missed) { return {Advice::Kind::kStop, {}, std::move(reason), missed}; }

  /// What a gain in modelled numbers is of the incumbent's metric, relative; at most kMostGain, because a belief gone wild overflows.
  static double relative(const Belief& belief, double gain) {
    const Modelled& how = belief.objective.how;
    double part = gain;
    if (how.logarithm) {
      part = how.negated ? std::expm1(gain) : -std::expm1(-gain);
    } else if (const double base = std::abs(how.back(belief.objective.posterior.mean(*belief.incumbent))); base > 0.0) {
      part = gain * how.scale / base;
    }
    return std::isnan(part) ? 0.0 : std::min(part, kMostGain);
  }

  /// Expected saving (relative) of every candidate less the price of the limits it is expected to break.
  static VectorXd priced(const Belief& belief, const VectorXd& log_eic) {
    VectorXd net(log_eic.size());
    for (Index i = 0; i < net.size(); ++i) {
      double held = 1.0;  // P(no limit is broken by far)
      for (const ConstraintBelief& limit : belief.limits) {
        held *= normal_cdf((limit.limit + kFar - limit.posterior.mean(i)) / std::sqrt(std::max(limit.posterior.variance(i), 1e-12)));
      }
      net(i) = relative(belief, std::exp(log_eic(i))) - kViolationPrice * (1.0 - std::exp(belief.log_feasible(i))) -
               kFarViolationPrice * (1.0 - held);
    }
    return net;
  }

  Result<Advice> toward_gain(const Problem& problem, const Belief& belief, const Candidates& candidates, bool any_open,
                             std::span<const Trial> taught) const {
    const Explore explore = problem.search.explore;
    const double incumbent = belief.objective.posterior.mean(*belief.incumbent);
    const VectorXd log_eic = log_expected_improvement(belief.objective.posterior, incumbent, 0.0) + belief.log_feasible;
    const auto expected = [&](const Candidate& c) { return c.id ? relative(belief, std::exp(log_eic(*c.id))) : 0.0; };
    const Candidate bold = best_of(candidates, log_eic, belief.log_feasible, 0.0);
    const double safe = explore == Explore::kStrict ? kSafe : knobs(problem.space) == 1 ? kSafeOneKnob : kSafe;
    Candidate choice = explore == Explore::kBold ? bold : best_of(candidates, log_eic, belief.log_feasible, safe);
    double worth = expected(choice);
    bool outside = false;
    if (explore == Explore::kSafe) {
      const Candidate anywhere = best_of(candidates, priced(belief, log_eic), belief.log_feasible, 0.0);
      const double enough = worth < kSafeGain ? worth : kMuchMore * worth;
      if (anywhere.id && (!choice.id || anywhere.score > enough)) choice = anywhere, worth = anywhere.score, outside = true;
    }

    if (const auto why = why_stop(problem, belief, taught, choice.id ? worth : -1.0, any_open && choice.id)) {
      if (const auto again = to_verify(problem, belief)) return *again;
      if (!any_open) return space_exhausted();
      return stop(*why, std::max(expected(bold), 0.0));
    }
    const CandidateId id = *choice.id;
    const double gain = expected(choice);
    return Advice{kind_of(belief, id), problem.space.config(id),
                  fmt::format("expected {} {:.2g} %, P(meets limits) {:.2f}{}", belief.objective.how.negated ? "gain" : "saving",
                              100.0 * gain, belief.probability(id), outside ? "; worth it, where it is safer there is less to gain" : ""),
                  gain};
  }

  /// Why the search is over, or nothing.
  static std::optional<std::string> why_stop(const Problem& problem, const Belief& belief, std::span<const Trial> taught, double worth,
                                             bool any_choice) {
    if (!any_choice) return "no setting is left that is likely enough to meet the limits";
    if (belief.visits.size() < kLeastTrials && problem.search.explore != Explore::kStrict) return std::nullopt;
    if (problem.search.min_gain > 0.0 && worth < problem.search.min_gain) {
      return fmt::format("one more trial is expected to save less than {:.2g} %{}", 100.0 * problem.search.min_gain,
                         problem.search.explore == Explore::kSafe ? " after the price of the limits it may break" : "");
    }
    if (problem.search.horizon_inferences && problem.objective.metric == kEnergy) {
      double spent = 0.0, trials = 0.0;
      for (const Trial& t : taught) {
        const auto joules = t.metrics().find(kTrialEnergy);
        if (joules != t.metrics().end()) spent += joules->second.value, trials += 1.0;
      }
      const double each = belief.objective.how.back(belief.objective.posterior.mean(*belief.incumbent));
      const double saved = worth * each * *problem.search.horizon_inferences;
      if (trials > 0.0 && spent / trials > saved) {
        return fmt::format("one more trial costs {} and is expected to save {} within the horizon",
                           format_metric(kTrialEnergy, spent / trials), format_metric(kTrialEnergy, saved));
      }
    }
    return std::nullopt;
  }

  /// The choice and its close rivals, looked at a second time before they are believed: what was picked for being low was often lucky.
  static std::optional<Advice> to_verify(const Problem& problem, const Belief& belief) {
    const double best = belief.objective.posterior.mean(*belief.incumbent);
    std::vector<const Visit*> rivals;
    for (const Visit& v : belief.visits) {
      if (!v.complete || v.broken || !v.decided) continue;
      if (problem.search.explore == Explore::kStrict && belief.probability(v.id) < kSafe) continue;
      const double behind = relative(belief, std::max(belief.objective.posterior.mean(v.id) - best, 0.0));
      if (v.id == *belief.incumbent || (behind <= kRivalMargin && belief.probability(v.id) > kRivalProbability)) rivals.push_back(&v);
    }
    std::sort(rivals.begin(), rivals.end(), [&](const Visit* a, const Visit* b) {
      const double x = belief.objective.posterior.mean(a->id), y = belief.objective.posterior.mean(b->id);
      return std::tie(x, a->id) < std::tie(y, b->id);
    });
    if (rivals.size() > kRivals + 1) rivals.resize(kRivals + 1);
    for (const Visit* v : rivals) {
      // Without a stated error (a recorded table) a second look would be the first one again; the reference is looked at often enough.
      if (v->looks != 1 || !v->has_error || problem.space.config(v->id) == problem.reference) continue;
      return Advice{Advice::Kind::kVerify,
                    problem.space.config(v->id),
                    v->id == *belief.incumbent ? "the choice again, before it is believed" : "a close rival of the choice again",
                    {}};
    }
    return std::nullopt;
  }

  Believer believe_;
};

std::unique_ptr<Optimizer> make() { return std::make_unique<PolyThrottle>(); }

}  // namespace

namespace optimizer_driver {
extern const OptimizerDriver polythrottle;
constinit const OptimizerDriver polythrottle{
    .name = "polythrottle",
    .summary = "from the reference, with a physical prior, within the limits; stops by itself",
    .make = make,
    .steered = true,
};
}  // namespace optimizer_driver

}  // namespace polythrottle
