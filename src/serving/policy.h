#pragma once
// Who runs when: batches of inference, and steps of fine-tuning beside them.

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serving/decision.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// What to do now. Several may be set; the core does them in this order: drops, batch, step.
struct Decision {
  struct Drop {
    RequestId request = 0;
    Cause cause = Cause::kExpired;
  };
  std::vector<Drop> drops;
  int batch = 0;               ///< so many requests from the front of the queue, after the drops; 0: none now
  std::optional<JobId> job;    ///< run a piece of this one ...
  int items = 0;               ///< ... of so many items
  std::optional<Time> wake;    ///< decide again then, if nothing happens before
  DecisionRecord about_batch;  ///< why a batch runs, or waits; `act` and `cause` and what led to them; the core fills in the rest
  DecisionRecord about_step;   ///< the same of the step
};

struct PolicyOptions {
  /// `adaptive`: probability that a queued request misses its deadline because of what is started, in (0, 1).
  double budget = 0.01;
  /// Every policy waits for a larger batch until the earliest deadline allows it no longer; false: it runs what is there.
  bool wait = true;
};

/// A pure function of the state: the same state gives the same decision. It never asks for more than `Row::max_batch` requests, for a batch
/// while one runs, for a step while one runs, or for items that the job has not; the core checks.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual Decision decide(const ServingState& state) const = 0;
  /// Can a step of the job begin, in some row, at the rate requests come now? false: it would be held back in each, even with nobody
  /// waiting. true where that cannot be told. Of `state` only the rows, what is known of the arrivals, SLO and predictor are looked at.
  virtual bool could_run(const ServingState& state, const JobSpec& job) const {
    (void)state, (void)job;
    return true;
  }

 protected:
  Policy() = default;
};

struct PolicyDriver {
  std::string_view name;  ///< as on the command line: "inference-only"
  std::string_view summary;
  std::unique_ptr<Policy> (*make)(const PolicyOptions& options);
};
/// Errors: kInvalid, with the names.
Result<const PolicyDriver*> find_policy(std::string_view name);

}  // namespace polythrottle::serving

namespace polythrottle {

/// One per file of src/serving without a header.
std::span<const serving::PolicyDriver* const> serving_drivers();

}  // namespace polythrottle
