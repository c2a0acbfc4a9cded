#pragma once
// What a policy sees when it decides: a snapshot of the serving core, and the words it is made of.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/units.h"
#include "interference/interference.h"
#include "space/config.h"

namespace polythrottle::serving {

/// Since the core was made, on the clock of whoever drives it. Never goes back.
using Time = Seconds;
using RequestId = std::uint64_t;
using BatchId = std::uint64_t;
using StepId = std::uint64_t;
using JobId = std::uint64_t;

struct Request {
  RequestId id = 0;  ///< the driver's; unique among those not yet answered
  Time arrived{0};
  Time deadline{0};  ///< answered later is a violation
};

/// One configuration the server may be in. Where watts or energies are not known they are nullopt, and nothing is decided by them.
struct Row {
  Config config;                ///< knobs of the machine; the batch is `max_batch`
  interference::Speeds speeds;  ///< what its clocks mean for the predictor
  int max_batch = 1;            ///< the tuned batch: never more requests in one
  std::optional<Watts> idle;    ///< power while nothing runs
  std::optional<Watts> busy;    ///< power while batches run back to back
};

/// A fine-tuning job as it was submitted.
struct JobSpec {
  std::string name;
  interference::WorkCost cost;  ///< of one item forward, backward, and of the update
  int items = 1;                ///< of one optimizer step
  long steps = 1;               ///< optimizer steps in all
  /// Sizes in which an optimizer step may be run (gradient accumulation), each a divisor of `items` and a multiple of the last, descending;
  /// `items` itself is the first.
  std::vector<int> pieces = {1};
  std::optional<Time> deadline;
};

/// A job that is not finished.
struct PendingJob {
  JobId id = 0;
  const JobSpec* spec = nullptr;
  long items_done = 0;  ///< over all optimizer steps
  Time submitted{0};
  bool paused = false;  ///< by its owner
  long items_left() const { return spec->items * spec->steps - items_done; }
  /// Items left of the optimizer step in progress: no piece is larger.
  int step_left() const { return static_cast<int>(spec->items - items_done % spec->items); }
};

struct RunningBatch {
  BatchId id = 0;
  Time started{0};
  int size = 0;
  Time first_deadline{0};
  Time expected_end{0};  ///< as predicted when it was started, or when the situation last changed
};

struct RunningStep {
  StepId id = 0;
  JobId job = 0;
  Time started{0};
  int items = 0;
  Time expected_end{0};
  interference::Step work;          ///< what it is to the predictor
  double share_left = 1.0;          ///< of it, at the state's `now`
  interference::Prediction alone;   ///< the whole of it without a batch beside
  interference::Prediction beside;  ///< the whole of it with batches beside all the time
};

/// How requests have been coming, as far as the core has seen.
struct ArrivalEstimate {
  double rate = 0.0;  ///< requests a second
  /// Variance of the number of requests in one SLO over its mean: 0 for an even stream, 1 for Poisson, more for bursts.
  double dispersion = 1.0;
  double seconds = 0.0;  ///< of traffic behind it, forgotten ones less; 0: nothing is known of the rate
};

/// Valid during one call of `Policy::decide`.
struct ServingState {
  Time now{0};
  Seconds slo{0};
  std::span<const Request> queue;  ///< by deadline, then by arrival; none is in a batch
  std::optional<RunningBatch> batch;
  std::optional<RunningStep> step;
  std::span<const PendingJob> jobs;  ///< in the order they were submitted
  std::span<const Row> rows;
  std::size_t row = 0;                  ///< in force
  std::optional<std::size_t> applying;  ///< on its way: until it is in force, either may be
  ArrivalEstimate arrivals;
  bool draining = false;  ///< nothing more will come
  Seconds rested{0};      ///< nothing has run for so long; 0 while anything does
  Seconds lag{0};         ///< between what is asked for, a wake-up or a batch, and its beginning
  const interference::Predictor* predictor = nullptr;

  const Row& in_force() const { return rows[row]; }
};

}  // namespace polythrottle::serving
