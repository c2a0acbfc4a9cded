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
#include "serving/progress.h"
#include "serving/queue.h"
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

  /// Without a deadline: the SLO from now. One that is not finite is dropped at once (kNoDeadline); `now` must be finite.
  std::vector<Action> on_arrival(Time now, RequestId request, std::optional<Time> deadline = {});
  std::vector<Action> on_batch_done(Time now, BatchId batch);
  std::vector<Action> on_step_done(Time now, StepId step);
  /// `took_effect` false: the machine is still in the row before.
  std::vector<Action> on_applied(Time now, std::size_t row, bool took_effect);
  std::vector<Action> on_tick(Time now);
  std::vector<Action> on_alarm(Time now, Alarm alarm);
  /// How late the driver's machine may be in doing what it is asked to; at least 0. Waiting for more requests leaves room for it.
  void set_lag(Seconds lag) { lag_ = lag; }
  /// For requests that come from now on.
  std::vector<Action> set_slo(Time now, Seconds slo);
  /// Nothing new is taken: what waits is answered, what comes is dropped (kDraining), jobs start no further step.
  std::vector<Action> drain(Time now);

  struct Submitted {
    JobId id = 0;
    std::vector<Action> actions;
  };
  /// Errors: kInvalid for sizes that do not divide; kOutOfRange where the job's deadline cannot be met, saying the earliest that could be,
  /// or that no step of it fits under the SLO. It is what no schedule can do: a job that is taken may still be late, where keeping the SLO
  /// leaves steps less than all the time that batches leave.
  Result<Submitted> submit(Time now, JobSpec job);
  /// As Policy::could_run, at the rate seen by `now`: false says that no step of the job will begin while requests come as they do.
  bool could_run(Time now, const JobSpec& job) const { return policy_->could_run(view(now), job); }
  std::vector<Action> pause(Time now, JobId job, bool paused);
  /// A step in progress ends first.
  std::vector<Action> cancel(Time now, JobId job);

  /// Jobs that are not finished, in the order they were submitted. Valid until the next event.
  std::span<const PendingJob> jobs() const { return pending_; }
  std::size_t queued() const { return queue_.size(); }
  /// Nothing runs and nothing waits; jobs may be pending.
  bool idle() const { return queue_.empty() && !batch_ && !step_; }
  std::size_t row() const { return row_; }
  ArrivalEstimate arrivals(Time now) const { return rate_.estimate(now); }
  const interference::Predictor& predictor() const { return *predictor_; }
  /// Batches and steps that the driver ran by itself (co-runs before a job is submitted).
  void learn(const interference::Samples& samples) { predictor_->calibrate(samples); }
  /// The latest decisions, oldest first. One that says what the one before it said (the same wait for the same reason) is kept once.
  const std::deque<DecisionRecord>& records() const { return records_; }

 private:
  struct BatchInProgress {
    RunningBatch seen;
    std::vector<Request> requests;
    std::uint64_t record = 0;
    Progress progress;
    Seconds overlap{0};                      ///< with steps, so far
    std::optional<interference::Step> step;  ///< the last one beside it
    Seconds rested{0};                       ///< nothing had run for so long before
    bool clean = true;                       ///< the row did not change meanwhile
  };
  struct StepInProgress {
    RunningStep seen;
    std::uint64_t record = 0;
    Progress progress;
    Seconds overlap{0};
    bool clean = true;
  };

  std::vector<Action> react(Time now);
  ServingState view(Time now) const;
  void start_batch(Time now, int size, const DecisionRecord& about, std::vector<Action>& actions);
  void start_step(Time now, JobId job, int items, const DecisionRecord& about, std::vector<Action>& actions);
  void drop(Time now, RequestId request, Cause cause, std::vector<Action>& actions);
  /// The speed of what runs has changed, or is about to: brings progress up to date and predicts its end anew.
  void refresh(Time now);
  void learn_overlap(Time now);
  std::uint64_t note(Time now, DecisionRecord record);
  void ended(std::uint64_t record, Seconds actual);
  PendingJob* find_job(JobId id);
  /// The earliest end of all jobs and this one, at the fastest row and at the rate requests come now.
  Time earliest_end(Time now, const JobSpec& job) const;

  CoreOptions options_;
  Seconds lag_{0};
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<interference::Predictor> predictor_;
  std::unique_ptr<RowChoice> row_choice_;
  ArrivalRate rate_;
  Time now_{0};
  Queue queue_;
  std::optional<BatchInProgress> batch_;
  std::optional<StepInProgress> step_;
  std::vector<PendingJob> pending_;
  std::deque<JobSpec> specs_;  ///< a deque, so that they stay where they are; one per job ever submitted
  std::size_t row_ = 0;
  std::optional<std::size_t> applying_;
  bool draining_ = false;
  std::uint64_t last_batch_ = 0, last_step_ = 0, last_job_ = 0, last_record_ = 0;
  Time idle_since_{-1};    ///< while nothing runs; nobody knows what ran before the core began, so it is taken to have rested
  Time overlap_since_{0};  ///< while a batch and a step run: since when that is counted
  std::deque<DecisionRecord> records_;
};

}  // namespace polythrottle::serving
