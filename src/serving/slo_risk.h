#pragma once
// Whether the SLO is in danger in the row in force, and for how long one stays careful afterwards.

#include <optional>

#include "serving/load_table.h"
#include "serving/state.h"

namespace polythrottle::serving {

struct RiskOptions {
  double allowed = 0.01;      ///< share of requests that may miss their deadline; one miss is forgiven after so many good answers
  double excess = 4.0;        ///< misses beyond that share, seen and foreseen, that are no chance any more ...
  double home_excess = 32.0;  ///< ... in the row that is home, which has a longer record than the others
  Seconds calm{10};           ///< stay where one fled to so long
  Seconds bar{60};  ///< a row that was fled from is not taken again so long, or until its misses are within the share; doubling each time
  Seconds longest_bar{3600};
};

/// Deterministic in what it was told.
class SloRisk {
 public:
  explicit SloRisk(const RiskOptions& options) : options_(options) {}

  /// As RowChoice::answered.
  void answered(std::optional<Seconds> lateness);

  /// What is wrong. `predicted` and `slack` of the request that will be late; neither where requests have been late already.
  struct Danger {
    std::optional<Seconds> predicted, slack;
  };
  /// More requests than are allowed missed their deadline, or will: those that wait are counted where this row, at its mean speed and in
  /// its largest batches, ends with them too late.
  std::optional<Danger> danger(const ServingState& state, const LoadTable& table, bool home = false) const;

  /// The row was left for a safer one.
  void fell_back(Time now);
  /// May a cheaper one be taken again?
  bool calm(Time now) const { return now >= calm_until_; }
  Time calm_until() const { return calm_until_; }

 private:
  RiskOptions options_;
  double misses_ = 0.0;  ///< over what is allowed
  Time calm_until_{0};
};

}  // namespace polythrottle::serving
