#pragma once
// The serving core in real time: requests, batches on an engine, steps of jobs and changes of configuration, turned by real events.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/backend.h"
#include "host/host.h"
#include "server/service.h"
#include "serving/core.h"
#include "serving/row_watch.h"

namespace polythrottle::server {

struct DispatcherOptions {
  serving::CoreOptions core;
  /// Sets the machine to a row; did it take effect? Called on a thread of the dispatcher's, one call at a time; may take long. Absent:
  /// there is one row.
  std::function<bool(const serving::Row& row)> apply;
  bool upstream = false;  ///< the engine is another server: its failures are kUpstream
  /// What was measured of each row: batches that run alone, one behind the other, are held against it. Empty: nothing is.
  std::vector<serving::RowCost> costs;
  /// Told once, on any thread, that what was measured no longer holds. The core has heard of it.
  std::function<void(const serving::DriftGuard::Stale& stale)> stale;
};

/// What a step of a job is answered with: how long it took, or that it failed and the job with it.
using StepDone = std::function<void(bool done)>;

/// Safe from several threads. The core is turned by whichever thread brings an event, one at a time; batches run on a thread of their own.
/// Every request is answered exactly once, at the latest when `stop` returns. The clock outlives it.
class Dispatcher {
 public:
  Dispatcher(Clock& clock, DispatcherOptions options, std::unique_ptr<serving::Policy> policy,
             std::unique_ptr<interference::Predictor> predictor, std::unique_ptr<serving::RowChoice> rows,
             std::shared_ptr<Backend> backend);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  /// `rows`: what check_inputs answered. `answer` may be called before this returns. `complete` fills in model, version and id.
  void infer(InferRequest request, std::int64_t rows, Answer answer);

  /// Later batches run on this one; those that run end on theirs. Its inputs are the old one's.
  void swap(std::shared_ptr<Backend> backend);
  std::shared_ptr<Backend> backend() const;

  /// Runs `items` of the job on the caller's own thread of the job: called on a thread of the core's events and must only hand it on;
  /// `done` is called once it is through.
  using RunStep = std::function<void(int items, StepDone done)>;
  /// Errors: those of Core::submit.
  Result<serving::JobId> submit(serving::JobSpec job, RunStep run);
  void pause(serving::JobId job, bool paused);
  /// A step in progress ends first.
  void cancel(serving::JobId job);
  /// nullopt: it is finished, or cancelled.
  std::optional<long> items_left(serving::JobId job) const;

  /// Does the predictor speak of batches beside steps?
  bool calibrated() const;
  void learn(const interference::Samples& samples);
  /// No request waits or runs.
  bool quiet() const;
  /// A program that the core does not know to be working shares the machine, or has ended: what it slows down is no drift.
  void program_beside(bool begins);
  /// ... and how much it slows batches down is not known, until this is called with false: half of the SLO is left free meanwhile.
  void unsure(bool begins);
  /// Clocks of the row in force.
  interference::Speeds speeds() const;

  void alarm(serving::Alarm alarm);
  void set_slo(Seconds slo);

  /// Adds what it knows: counts, histograms, queue, row.
  void describe(Snapshot& snapshot) const;
  ModelStatistics statistics() const;
  /// The latest decisions about steps, configurations and drops, a sentence each, newest last.
  std::vector<std::string> decisions(std::size_t most) const;
  /// Why no step runs now, where that is so.
  std::optional<std::string> why_no_step() const;
  /// Latencies since the last call.
  std::vector<double> take_latencies();

  /// Nothing new is taken; what waits is answered, for `patience` at most; what is left then is refused. Calling it again does nothing.
  void stop(Seconds patience);

 private:
  struct Entry;  // a request until it is answered
  struct Item {  // a row of a request, which is a request to the core
    std::shared_ptr<Entry> entry;
    std::int64_t row = 0;
  };
  struct Part {  // neighbouring rows of one request in a batch
    std::shared_ptr<Entry> entry;
    std::int64_t first = 0, count = 0;
    std::vector<Tensor> inputs;
  };
  struct Batch {
    serving::BatchId id = 0;
    std::size_t size = 0;
    std::vector<Part> parts;
    std::optional<Seconds> predicted;
    std::uint64_t upset = 0;  // upsets_ when it began
    Seconds decided{0};
  };
  struct RunningJob {
    RunStep run;
  };
  /// Calls to make once the lock is let go.
  using Calls = std::vector<std::function<void()>>;

  serving::Time now() const { return clock_.now() - began_; }
  void perform(std::vector<serving::Action> actions, Calls& calls);
  Batch gather(const serving::RunBatch& action);
  void refuse(const std::shared_ptr<Entry>& entry, Failure failure, Calls& calls);
  void lagged(Seconds lag);
  void set_lag();
  void watch(const Batch& batch, Seconds began, Seconds ended, Calls& calls);
  void finish(Batch& batch, Result<std::vector<std::vector<Tensor>>> outputs, Seconds began, Calls& calls);
  void step_done(serving::StepId step, serving::JobId job, bool done);
  void run_batches(std::stop_token stop);
  void run_rows(std::stop_token stop);
  void run_timer(std::stop_token stop);

  Clock& clock_;
  const Clock::TimePoint began_;
  const DispatcherOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable_any batches_, timer_, changes_, idle_;
  serving::Core core_;
  std::shared_ptr<Backend> backend_;
  std::unordered_map<serving::RequestId, Item> items_;
  std::unordered_map<serving::JobId, RunningJob> jobs_;
  serving::RequestId next_request_ = 1;
  std::deque<Batch> to_run_;
  std::optional<std::size_t> to_apply_;
  std::optional<serving::Time> wake_;
  bool stopping_ = false;
  std::optional<serving::RowWatch> watch_;
  std::uint64_t upsets_ = 0;  // steps, changes of the row and programs beside that began or ended
  int beside_ = 0;            // steps and programs that run now
  int unsure_ = 0;            // of them: how much they slow batches down is not known
  Seconds last_end_{-1e9};    // of a batch
  std::deque<Seconds> lags_;  // between what was asked for and its beginning, newest last
  Snapshot counts_;
  ModelStatistics statistics_;
  std::vector<double> latencies_;
  std::jthread engine_, rows_, time_;
};

}  // namespace polythrottle::server
