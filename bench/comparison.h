#pragma once
// Several methods on several problems under several limits: every search that takes, and its figures.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/figures.h"
#include "bench/methods.h"
#include "bench/noisy_trial.h"
#include "bench/search_goal.h"
#include "bench/search_problem.h"

namespace polythrottle::bench {

struct Comparison {
  std::vector<SearchProblem> problems;  ///< those of one family behind one another
  std::vector<SloRule> slos;
  std::vector<Method> methods;
  NoiseRule noise;
  std::uint64_t seeds = 50;                    ///< 1 .. seeds are used, for noise and method
  std::vector<std::uint64_t> ensembles{0};     ///< a method's own seed is seed + 1000 x ensemble; the noise's is not
  std::optional<std::size_t> cap;              ///< trials per search; absent: 25 on tables, 40 on boards. Never more than the space
  bool stop_early = true;                      ///< see noisy_trial
  Explore explore = Explore::kSafe;            ///< of methods without one of their own
  double min_gain = SearchOptions{}.min_gain;  ///< of the searches that may stop by themselves
  unsigned threads = 1;

  std::size_t cap_of(const SearchProblem& problem) const;
  /// The workload behind this one of `problems` in its family, the first behind the last; nullptr where it has the family to itself.
  const SearchProblem* neighbour_of(const SearchProblem& problem) const;
  std::size_t searches() const;
};

/// One method on one problem under one limit.
struct Cell {
  const SearchProblem* problem = nullptr;
  const Method* method = nullptr;
  Goal goal;
  Group group;
};

/// What one line of output is about, for all methods in their order.
struct Block {
  std::string family;  ///< empty: mean over families
  std::string slo;     ///< empty: mean over limits
  std::size_t workloads = 0;
  std::vector<Group> groups;  ///< one for each method
};

/// Problem by problem, limit by limit, method by method. The result does not depend on the number of threads, but for the times.
/// `progress` is called with searches done, from any thread, one call at a time.
/// Errors: before any search, those of goal_of, and kInvalid for a method that a problem does not suit; else those of the first search that
/// failed, with its method and problem.
Result<std::vector<Cell>> compare(const Comparison& comparison, const std::function<void(std::size_t done)>& progress);

/// Means over the workloads of each family under each limit; behind them, where there are several limits, the family's mean over limits;
/// last, where there are several families, the mean over families.
std::vector<Block> blocks_of(const Comparison& comparison, const std::vector<Cell>& cells);

}  // namespace polythrottle::bench
