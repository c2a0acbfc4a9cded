#include "bench/search.h"

#include <fmt/format.h>

#include <chrono>

#include "bench/portable_random.h"

namespace polythrottle::bench {
namespace {

class Search {
 public:
  Search(const SearchPlan& plan, Optimizer& optimizer)
      : plan_(plan),
        optimizer_(optimizer),
        problem_{plan.problem.space,
                 Objective{plan.problem.energy_metric, Direction::kMinimize},
                 {{std::string(kLatencyMean), Bound::kAtMost, plan.goal.limit_seconds}},
                 plan.problem.reference,
                 plan.optimizer_seed,
                 plan.options},
        noise_stream_(noise_stream(plan)) {}

  Result<SearchRecord> run() {
    TRY_STATUS(measure({Advice::Kind::kReference, problem_.reference, "the setting everything is compared with", {}}));
    while (true) {
      // Asked at the cap too: a peer's answer carries what it recommends after the last trial.
      TRY(const Advice advice, ask());
      record_.steps.back().regret = regret();
      if (advice.kind == Advice::Kind::kStop || record_.history.size() >= plan_.cap) return std::move(record_);
      TRY_STATUS(measure(advice));
    }
  }

 private:
  Result<Advice> ask() {
    const auto began = std::chrono::steady_clock::now();
    auto advice = optimizer_.ask(problem_, record_.history);
    record_.suggestion_seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    return advice;
  }

  Status measure(const Advice& advice) {
    const auto id = problem_.space.find(advice.config);
    if (!id) return fail(Errc::kOutOfRange, fmt::format("advice outside the space: {}", advice.config.text()));
    const NoiseSeed seed{plan_.noise_seed, noise_stream_, record_.history.size() + 1};
    record_.history.push_back(noisy_trial(plan_.problem, plan_.goal, plan_.noise, seed, advice, plan_.stop_early));
    Step step;
    step.verify = advice.kind == Advice::Kind::kVerify;
    step.over_slo = plan_.problem.truth[*id].latency_seconds / plan_.goal.limit_seconds;
    record_.steps.push_back(step);
    return {};
  }

  double regret() {
    const auto choice = optimizer_.recommend(problem_, record_.history);
    const auto id = choice ? problem_.space.find(choice->config) : std::nullopt;
    if (!id || !plan_.goal.meets(plan_.problem.truth[*id])) return Step::kNoChoice;
    return plan_.problem.truth[*id].joules / plan_.goal.best_joules - 1.0;
  }

  const SearchPlan& plan_;
  Optimizer& optimizer_;
  const Problem problem_;
  const std::uint64_t noise_stream_;
  SearchRecord record_;
};

}  // namespace

std::uint64_t noise_stream(const SearchPlan& plan) {
  return number_of(plan.problem.family + '\n' + plan.problem.workload + '\n' + plan.goal.slo);
}

Result<SearchRecord> run_search(const SearchPlan& plan, Optimizer& optimizer) { return Search(plan, optimizer).run(); }

}  // namespace polythrottle::bench
