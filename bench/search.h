#pragma once
// One search from the reference setting to the cap, judged on the truth after every trial.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/noisy_trial.h"
#include "bench/search_goal.h"
#include "bench/search_problem.h"
#include "optimizer/optimizer.h"

namespace polythrottle::bench {

struct SearchPlan {
  const SearchProblem& problem;
  const Goal& goal;
  Noise noise;
  SearchOptions options;
  std::uint64_t noise_seed = 0;
  std::uint64_t optimizer_seed = 0;
  std::size_t cap = 0;     ///< trials, the reference and every kVerify included
  bool stop_early = true;  ///< see noisy_trial
};

/// What the truth says after one trial.
struct Step {
  bool verify = false;                      ///< the trial was a second look, not exploration
  double over_slo = 0.0;                    ///< true latency of what was tried / limit
  double regret = kNoChoice;                ///< true energy of the setting recommended then, over the least possible, - 1
  static constexpr double kNoChoice = 1.0;  ///< counted where none is recommended, or one that does not meet the limit

  bool violates() const { return over_slo > kSlack; }
};

struct SearchRecord {
  std::vector<Trial> history;
  std::vector<Step> steps;                 ///< one for each trial
  std::vector<double> suggestion_seconds;  ///< wall time of each request for advice
};

/// What tells the noise of one family, workload and limit from that of others (NoiseSeed.problem).
std::uint64_t noise_stream(const SearchPlan& plan);

/// Errors: those of the optimizer; kOutOfRange where it advises a setting outside the space.
Result<SearchRecord> run_search(const SearchPlan& plan, Optimizer& optimizer);

}  // namespace polythrottle::bench
