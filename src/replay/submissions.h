#pragma once
// The jobs of a replay, each from its submission to its end, or to what was in its way.

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "base/result.h"
#include "replay/replay.h"
#include "serving/core.h"

namespace polythrottle::replay {

/// One thread.
class Submissions {
 public:
  /// `jobs` outlive it.
  explicit Submissions(const std::vector<FinetuneJob>& jobs);

  /// When the next is due; nullopt: all have been submitted.
  std::optional<Seconds> next() const;
  /// Some were taken and have not ended.
  bool pending() const { return !index_of_.empty(); }
  /// None is pending, and none will come.
  bool settled() const { return !pending() && !next(); }
  /// Index of one that is pending.
  std::optional<std::size_t> index(serving::JobId job) const;

  /// Submits the one that is due next: what the core then does. nullopt: it refused the job, and that is why this one does not end.
  std::optional<std::vector<serving::Action>> submit(Seconds now, serving::Core& core, const simulation::Network& network);
  void step_done(std::size_t index, int items, Seconds took);
  /// To be called after a step. `energy`: of the board until now.
  void forget_ended(Seconds now, const serving::Core& core, Joules energy);
  /// Those pending are jobs that the policy would never run, if that can be told: they are given up, and are to be cancelled.
  std::vector<serving::JobId> give_up_hopeless(const serving::Core& core, bool step_runs);
  /// No more time is given to those pending: that, and what each last waited for, is why they did not end.
  void give_up(Seconds now, const serving::Core& core);

  /// Fills in the jobs, their time and the energy to their end.
  void fill(ReplayResult& result);

 private:
  std::optional<serving::Cause> never_runs(const serving::Core& core, bool step_runs) const;

  const std::vector<FinetuneJob>& jobs_;
  std::vector<JobOutcome> outcomes_;
  std::vector<std::size_t> by_submission_;
  std::size_t next_ = 0;
  std::vector<Seconds> submitted_at_;
  std::map<serving::JobId, std::size_t> index_of_;  ///< those pending
  Seconds last_end_{0};
  Joules energy_at_end_;
};

}  // namespace polythrottle::replay
