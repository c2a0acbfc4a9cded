#include "bench/earlier.h"

#include <algorithm>

#include "bench/portable_random.h"
#include "optimizer/candidates.h"

namespace polythrottle::bench {
namespace {

constexpr std::size_t kMisleadingSettings = 8;

EarlierStudy study_of(const SearchProblem& problem, std::vector<Trial> history) {
  return {problem.family + ' ' + problem.workload, problem.space.parameters(), problem.reference, std::move(history)};
}

/// The same space on a machine where every factor on the reference is its inverse.
SearchProblem upside_down(SearchProblem problem) {
  const Truth reference = problem.truth[*problem.space.find(problem.reference)];
  for (Truth& truth : problem.truth) {
    truth.latency_seconds = reference.latency_seconds * (reference.latency_seconds / truth.latency_seconds);
    truth.joules = reference.joules * (reference.joules / truth.joules);
  }
  return problem;
}

/// Up to `count` candidates other than the reference, each once.
std::vector<CandidateId> random_settings(const SearchProblem& problem, std::size_t count, std::uint64_t seed) {
  std::vector<CandidateId> ids = seeded_permutation(problem.space.size(), seed);
  std::erase(ids, *problem.space.find(problem.reference));
  ids.resize(std::min(count, ids.size()));
  return ids;
}

}  // namespace

Result<EarlierStudy> finished_study(const SearchPlan& plan, Optimizer& optimizer) {
  TRY(SearchRecord record, run_search(plan, optimizer));
  return study_of(plan.problem, std::move(record.history));
}

EarlierStudy misleading_study(const SearchPlan& plan) {
  const SearchProblem made_up = upside_down(plan.problem);
  const std::uint64_t stream = noise_stream(plan);
  std::vector<Trial> history;
  const auto measure = [&](Advice::Kind kind, const Config& config) {
    const NoiseSeed seed{plan.noise_seed, stream, history.size() + 1};
    history.push_back(noisy_trial(made_up, plan.goal, plan.noise, seed, {kind, config, {}, {}}, false));
  };
  measure(Advice::Kind::kReference, made_up.reference);
  for (const CandidateId id : random_settings(made_up, kMisleadingSettings, mixed(plan.noise_seed, stream))) {
    measure(Advice::Kind::kTry, made_up.space.config(id));
  }
  return study_of(plan.problem, std::move(history));
}

}  // namespace polythrottle::bench
