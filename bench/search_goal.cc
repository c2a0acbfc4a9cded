#include "bench/search_goal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "trial/constraint.h"

namespace polythrottle::bench {
namespace {

constexpr double kOptimumFactor = 1.1;

/// The limits of the paper's section 7.2, in least latencies at batch 1.
constexpr double kTightFactor = 1.2;
constexpr std::array<std::pair<std::string_view, double>, 2> kRelaxedFactors{{{"jetson-orin", 6.4}, {"jetson-tx2", 4.2}}};

double optimum_latency(const SearchProblem& problem) {
  const auto least = [](const Truth& a, const Truth& b) { return a.joules < b.joules; };
  return std::min_element(problem.truth.begin(), problem.truth.end(), least)->latency_seconds;
}

double least_latency_at_batch_1(const SearchProblem& problem) {
  double least = INFINITY;
  for (CandidateId id = 0; id < problem.space.size(); ++id) {
    if (problem.space.config(id).number("batch").value_or(1.0) == 1.0) least = std::min(least, problem.truth[id].latency_seconds);
  }
  return least;
}

Result<double> relaxed_factor(const SearchProblem& problem) {
  for (const auto& [board, factor] : kRelaxedFactors) {
    if (board == problem.board) return factor;
  }
  return fail(Errc::kInvalid, fmt::format("--slo relaxed72 is not defined for {}", problem.family), "it belongs to the simulated boards");
}

Result<double> limit_of(const SearchProblem& problem, const SloRule& rule) {
  switch (rule.kind) {
    case SloRule::Kind::kAbsolute: return rule.number;
    case SloRule::Kind::kOptimum: return kOptimumFactor * optimum_latency(problem);
    case SloRule::Kind::kReferenceFactor: return rule.number * problem.truth[*problem.space.find(problem.reference)].latency_seconds;
    case SloRule::Kind::kPublishedTight:
      if (problem.board.empty()) return fail(Errc::kInvalid, "--slo tight72 belongs to the simulated boards");
      return kTightFactor * least_latency_at_batch_1(problem);
    case SloRule::Kind::kPublishedRelaxed: {
      TRY(const double factor, relaxed_factor(problem));
      return factor * least_latency_at_batch_1(problem);
    }
  }
  return fail(Errc::kInvalid, "no such kind of limit");
}

}  // namespace

Result<SloRule> parse_slo_rule(const std::string& text) {
  if (text == "rel") return SloRule{SloRule::Kind::kOptimum, 0.0, text};
  if (text == "tight72") return SloRule{SloRule::Kind::kPublishedTight, 0.0, text};
  if (text == "relaxed72") return SloRule{SloRule::Kind::kPublishedRelaxed, 0.0, text};
  const auto spec = parse_slo(text);
  if (!spec || spec->metric != kLatencyMean) {
    return fail(Errc::kInvalid, fmt::format("--slo '{}' is not understood", text),
                "a factor of the reference's latency (1.2x), mean=20ms, rel, tight72 or relaxed72, separated by commas");
  }
  return SloRule{spec->relative ? SloRule::Kind::kReferenceFactor : SloRule::Kind::kAbsolute, spec->limit, text};
}

bool Goal::meets(const Truth& truth) const { return truth.latency_seconds <= kSlack * limit_seconds; }

Result<Goal> goal_of(const SearchProblem& problem, const SloRule& rule) {
  Goal goal{.slo = rule.text, .limit_seconds = 0.0, .best_joules = INFINITY};
  TRY(goal.limit_seconds, limit_of(problem, rule));
  for (const Truth& truth : problem.truth) {
    if (goal.meets(truth)) goal.best_joules = std::min(goal.best_joules, truth.joules);
  }
  if (std::isinf(goal.best_joules)) {
    return fail(Errc::kOutOfRange, fmt::format("{}, {}: no setting meets --slo {}", problem.family, problem.workload, rule.text));
  }
  goal.near = static_cast<std::size_t>(std::count_if(problem.truth.begin(), problem.truth.end(), [&](const Truth& truth) {
    return goal.meets(truth) && truth.joules <= 1.05 * goal.best_joules;
  }));
  return goal;
}

}  // namespace polythrottle::bench
