#pragma once
// The serving core: a state machine without sockets, threads or clocks. Events go in, actions come out; two drivers turn it, the replay in
// virtual time and the server in real time.

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/result.h"
#include "interference/interference.h"
#include "serving/arrival_rate.h"
#include "serving/decision.h"
#include "serving/policy.h"
#include "serving/row_choice.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// Start a batch of these requests; `Core::on_batch_done` when it has ended.
struct RunBatch {
  BatchId id = 0;
  std::vector<RequestId> requests;
};
/// Let the job do so many items; `Core::on_step_done` when it has.
struct RunStep {
  StepId id = 0;
  JobId job = 0;
  int items = 0;
};
/// Answer this request now, without a result.
struct Drop {
  RequestId request = 0;
  Cause cause = Cause::kExpired;
};
/// Set the machine to this row; `Core::on_applied` when it has taken effect or failed.
struct Apply {
  std::size_t row = 0;
};
/// Call `on_tick` then, unless an event comes before. Replaces an earlier one.
struct WakeAt {
  Time when{0};
};
using Action = std::variant<RunBatch, RunStep, Drop, Apply, WakeAt>;

struct CoreOptions {
  Seconds slo{1};                       ///< of requests that come without a deadline of their own
  std::vector<Row> rows;                ///< not empty; the first is the reference, to which it falls back
  std::size_t row = 0;                  ///< in force when the core begins
  std::size_t queue_limit = 100'000;    ///< requests beyond are dropped (kQueueFull)
  std::optional<double> expected_rate;  ///< requests a second, until enough have come to tell
  std::size_t records = 100'000;        ///< decisions kept; older ones go
};

/// Events come in order of time; each answers what to do now. Not thread-safe; one thread owns it. Broken calls (an unknown batch, time
/// that goes back) stop the program, for they are mistakes of the driver's.
class Core {
 public:
  /// The predictor learns from what the core sees; it, the policy and `rows` (nullptr: the row never changes) belong to the core.
  Core(CoreOptions options, std::unique_ptr<Policy> policy, std::unique_ptr<interference::Predictor> predictor,
       std::unique_ptr<RowChoice> rows = nullptr);

  std::vector<Action> on_arrival(Time now, RequestId request, std::optional<Time> deadline = {});
  std::vector<Action> on_batch_done(Time now, BatchId batch);
  std::vector<Action> on_step_done(Time now, StepId step);
  /// `took_effect` false: the machine is still in the row before.
  std::vector<Action> on_applied(Time now, std::size_t row, bool took_effect);
  std::vector<Action> on_tick(Time now);
  std::vector<Action> on_alarm(Time now, Alarm alarm);
  /// For requests that come from now on.
  std::vector<Action> set_slo(Time now, Seconds slo);
  /// Nothing new is taken: what waits is answered, what comes is dropped (kDraining), jobs start no further step.
  std::vector<Action> drain(Time now);

  struct Submitted {
    JobId id = 0;
    std::vector<Action> actions;
  };
  /// Errors: kInvalid for sizes that do not divide; kOutOfRange where the job's deadline cannot be met, saying the earliest time that can.
  Result<Submitted> submit(Time now, JobSpec job);
  std::vector<Action> pause(Time now, JobId job, bool paused);
  /// A step in progress ends first.
  std::vector<Action> cancel(Time now, JobId job);

  /// Jobs that are not finished, in the order they were submitted.
  std::span<const PendingJob> jobs() const;
  std::size_t queued() const;
  bool idle() const;  ///< nothing runs and nothing waits (jobs may be pending)
  std::size_t row() const;
  const ArrivalEstimate arrivals() const;
  const interference::Predictor& predictor() const;
  /// The latest decisions, oldest first. A decision equal to the one before it (the same wait for the same reason) is kept once.
  const std::deque<DecisionRecord>& records() const;
};

}  // namespace polythrottle::serving
