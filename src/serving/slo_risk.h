#pragma once
// Whether the SLO is in danger in the row in force, and for how long one stays careful afterwards.

#include <optional>

#include "serving/load_table.h"
#include "serving/state.h"

namespace polythrottle::serving {

struct RiskOptions {
  double allowed = 0.01;  ///< share of requests that may miss their deadline; one miss is forgiven after so many good answers
  Seconds calm{30};       ///< stay in the reference so long after the first alarm; twice as long after each that follows soon
  Seconds longest_calm{3600};
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
  /// Requests missed their deadline more often than allowed, or the oldest or the last one that waits will, at this row's speed.
  std::optional<Danger> danger(const ServingState& state, const LoadTable& table) const;

  /// It was left for the reference.
  void fell_back(Time now);
  /// May the reference be left again?
  bool calm(Time now) const { return now >= calm_until_; }
  Time calm_until() const { return calm_until_; }

 private:
  RiskOptions options_;
  double misses_ = 0.0;  ///< over what is allowed; above 0 is danger
  Time calm_until_{0};
  Seconds last_calm_{0};
};

}  // namespace polythrottle::serving
