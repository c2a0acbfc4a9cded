#pragma once
// A model as work: batches back to back, or requests as they come.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "arrivals/arrivals.h"
#include "engine/engine.h"
#include "host/host.h"
#include "workload/workload.h"

namespace polythrottle {

/// Opens one more instance of the model with so many threads; `seed` is of its input data.
using EngineFactory = std::function<Result<std::unique_ptr<Engine>>(int threads, std::uint64_t seed)>;

struct ModelOptions {
  std::vector<int> batches = {1, 2, 4, 8, 16};
  std::vector<int> threads;    ///< empty: `parallelism_levels(cpus)`
  std::vector<int> instances;  ///< likewise
  int cpus = 1;                ///< that the program may use
  /// Of the model (see ModelInfo): then the batch has this one level, and every Work says so.
  std::optional<std::int64_t> fixed_batch;
  /// Open loop: requests come at these times whatever the device does. Each run starts the schedule over, so that all trials see the same.
  std::optional<Arrivals> arrivals;
  Seconds batch_delay{0.0};  ///< open loop: a batch that is not full waits so long for more, counted from its oldest request
  std::uint64_t seed = 0;
};

/// 1, 2, 4, ... up to the number of CPUs, and this number.
std::vector<int> parallelism_levels(int cpus);

/// Knobs `batch`, `threads` (of one instance) and `instances`; a name that a Config lacks is at its first level.
/// Closed loop: every instance runs full batches back to back on its own thread. A Completion is one batch.
/// Open loop: a free instance takes up to `batch` requests as soon as so many wait or the oldest has waited `batch_delay`. A Completion is
/// one request; its latency counts from its scheduled arrival, so that a device that is behind does not put off the load. Requests that
/// have come when the budget is met are still answered; with too many of them (the device cannot keep up, `Work::saturated`) the window
/// ends at once and they are in the completions with 0 inferences and the time they have waited.
/// `clock` must outlive the workload, and its `now` and `sleep_until` be safe from several threads.
/// Errors: kInvalid for levels that are not positive and ascending, or a negative delay.
Result<std::unique_ptr<Workload>> model_workload(Clock& clock, EngineFactory engines, ModelOptions options);

}  // namespace polythrottle
