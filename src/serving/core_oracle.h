#pragma once
// For tests: an account of what a serving core may do, kept beside it from its events and actions alone. It knows nothing of how the core
// works.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "serving/core.h"

namespace polythrottle::serving {

/// What sets the policies apart.
struct CoreRules {
  bool steps = true;                  ///< it runs fine-tuning at all
  bool uncalibrated = false;          ///< ... also before any co-run was measured
  bool steps_beside_batches = true;   ///< one may begin while a batch runs
  bool hopeless = true;               ///< drops what is predicted to be late, not only what is late
  bool any_drop = false;              ///< drops what it likes, with cause kHopeless
  bool within_budget = false;         ///< a step says its risk and budget
  bool never_waits_for_ever = false;  ///< while a job is pending, something runs or there is a wake
};

class CoreOracle {
 public:
  CoreOracle(CoreRules rules, const CoreOptions& options) : rules_(rules), options_(options), row_(options.row), slo_(options.slo) {}

  /// The first thing that was wrong; empty if nothing was.
  const std::string& wrong() const { return wrong_; }

  // What the driver did.
  void arrived(Time now, RequestId id, std::optional<Time> deadline) {
    waiting_.insert({deadline.value_or(now + slo_).count(), sequence_++, id});
    newest_ = id;
  }
  void batch_ended(Time now) {
    for (RequestId id : batch_->requests)
      if (!answered_.insert(id).second) blame("request {} was answered twice", id);
    ended_.push_back({Act::kBatch, batch_->id, now - batch_->started});
    batch_.reset();
  }
  void step_ended(Time now) {
    ended_.push_back({Act::kStep, step_->id, now - step_->started});
    Job& job = jobs_.at(step_->job);
    job.done += step_->items;
    if (job.done == job.total()) {
      job.over = true;
      ++seen_["job"];
    }
    if (job.cancelled) job.over = true;
    step_.reset();
  }
  void applied(bool took_effect) {
    if (took_effect) {
      row_ = *applying_;
      if (batch_) batch_->undisturbed = false;
      if (step_) step_->undisturbed = false;
    }
    applying_.reset();
  }
  void slo(Seconds slo) { slo_ = slo; }
  void draining() { draining_ = true; }
  void submitted(JobId id, const JobSpec& spec) {
    if (!jobs_.emplace(id, Job{spec}).second) blame("job {} was given twice", id);
  }
  void paused(JobId id, bool paused) { jobs_.at(id).paused = paused; }
  void cancelled(JobId id) {
    jobs_.at(id).cancelled = true;
    if (!step_ || step_->job != id) jobs_.at(id).over = true;
  }

  /// What the core answered.
  void acted(Time now, std::span<const Action> actions, const Core& core) {
    wake_.reset();
    for (const Action& action : actions) std::visit([&](const auto& what) { took(now, what, core); }, action);
    newest_.reset();
    if (batch_ && step_) batch_->undisturbed = step_->undisturbed = false;
    compare(now, core);
    for (const Action& action : actions) std::visit([&](const auto& what) { recorded(what, core); }, action);
    for (const Ended& ended : ended_) recorded_end(ended, core);
    ended_.clear();
  }

  /// What the policy is shown first after an event.
  void shown(Time now, const ServingState& state) {
    if (state.now != now) blame("the policy is told it is {} s", state.now.count());
    if (state.slo != slo_) blame("the policy is told of an SLO of {} s", state.slo.count());
    if (state.row != row_) blame("the policy is shown row {}; {} is in force", state.row, row_);
    std::vector<RequestId> queue;
    for (const Request& request : state.queue) queue.push_back(request.id);
    std::vector<RequestId> expected;
    for (const Waiting& request : waiting_) {
      const RequestId id = std::get<2>(request);
      if (id != newest_ || (!draining_ && waiting_.size() <= options_.queue_limit)) expected.push_back(id);
    }
    if (queue != expected) blame("the policy is shown a queue of {}, not in its order or not all {}", queue.size(), expected.size());
    if (state.batch.has_value() != batch_.has_value() || (batch_ && state.batch->id != batch_->id))
      blame("the policy is shown another batch");
    if (state.step.has_value() != step_.has_value() || (step_ && state.step->id != step_->id)) blame("the policy is shown another step");
    const auto ends = [&](const auto& running, const auto& seen, Seconds alone) {
      if (running->undisturbed && now < running->started + alone &&
          std::abs((seen->expected_end - running->started - alone).count()) > 1e-9)
        blame("what began at {} s and takes {} s is said to end at {} s", running->started.count(), alone.count(),
              seen->expected_end.count());
    };
    const interference::Speeds& speeds = options_.rows[row_].speeds;
    if (batch_ && state.batch) ends(batch_, state.batch, state.predictor->batch({speeds, state.batch->size, {}}).mean);
    if (step_ && state.step) ends(step_, state.step, state.predictor->step(speeds, {{}, state.step->items}, 0.0).mean);
  }

  struct Batch {
    BatchId id;
    std::vector<RequestId> requests;
    Time started;
    bool undisturbed = true;  ///< it has been alone in one row
  };
  struct Running {
    StepId id;
    JobId job;
    int items;
    Time started;
    bool undisturbed = true;
  };
  /// How often each act was seen, with its cause if it was a drop: to tell that a test went where it should.
  const std::map<std::string, int>& seen() const { return seen_; }
  const std::optional<Batch>& batch() const { return batch_; }
  const std::optional<Running>& step() const { return step_; }
  std::optional<std::size_t> applying() const { return applying_; }
  std::optional<Time> wake() const { return wake_; }
  std::size_t row() const { return row_; }
  bool anything_runs() const { return batch_ || step_ || applying_; }
  std::size_t waiting() const { return waiting_.size(); }
  std::size_t unanswered() const { return waiting_.size() + (batch_ ? batch_->requests.size() : 0); }
  std::size_t answered() const { return answered_.size(); }
  std::size_t dropped() const { return dropped_; }
  std::size_t arrivals() const { return sequence_; }
  bool is_draining() const { return draining_; }
  /// Jobs that could go on: not finished, cancelled or paused.
  std::vector<JobId> runnable() const {
    return jobs_where([](const Job& job) { return !job.over && !job.cancelled && !job.paused; });
  }
  std::vector<JobId> unfinished() const {
    return jobs_where([](const Job& job) { return !job.over; });
  }
  bool is_paused(JobId id) const { return jobs_.at(id).paused; }
  bool is_cancelled(JobId id) const { return jobs_.at(id).cancelled; }
  /// Deadlines of those that wait, by deadline, then by arrival.
  std::vector<double> deadlines() const {
    std::vector<double> all;
    for (const Waiting& request : waiting_) all.push_back(std::get<0>(request));
    return all;
  }
  /// A core that runs nothing and has no wake will not move again by itself.
  void check_alive(bool calibrated) {
    if (anything_runs() || wake_) return;
    if (!waiting_.empty()) blame("{} requests wait, nothing runs, and there is no wake", waiting_.size());
    if (rules_.never_waits_for_ever && (calibrated || rules_.uncalibrated) && !draining_ && !runnable().empty())
      blame("job {} waits, nothing runs, and there is no wake", runnable().front());
  }

 private:
  using Waiting = std::tuple<double, std::size_t, RequestId>;  // deadline, order of arrival
  struct Job {
    JobSpec spec;
    long done = 0;
    bool paused = false, cancelled = false, over = false;
    long total() const { return spec.items * spec.steps; }
  };
  struct Ended {
    Act act;
    std::uint64_t id;
    Seconds took;
  };

  template <class... Args>
  void blame(fmt::format_string<Args...> what, Args&&... args) {
    if (wrong_.empty()) wrong_ = fmt::format(what, std::forward<Args>(args)...);
  }
  template <class Is>
  std::vector<JobId> jobs_where(Is is) const {
    std::vector<JobId> all;
    for (const auto& [id, job] : jobs_)
      if (is(job)) all.push_back(id);
    return all;
  }
  std::set<Waiting>::iterator find(RequestId id) {
    return std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& request) { return std::get<2>(request) == id; });
  }

  /// When a request by itself would be answered at the latest if it came next: after the batch that runs, which may have begun in any row,
  /// beside the step that runs, in the slower of the rows that may be in force.
  double earliest_end(Time now, const Core& core) const {
    const auto time = [&](std::size_t row, std::size_t size, bool beside) {
      const auto step = beside ? std::optional<interference::Step>({{}, 1}) : std::nullopt;
      return core.predictor().batch({options_.rows[row].speeds, static_cast<int>(size), step}).mean.count();
    };
    double start = now.count();
    for (std::size_t row = 0; batch_ && row < options_.rows.size(); ++row)
      start = std::max(start, batch_->started.count() + time(row, batch_->requests.size(), true));
    return start + std::max(time(row_, 1, step_.has_value()), time(applying_.value_or(row_), 1, step_.has_value()));
  }

  void took(Time now, const RunBatch& what, const Core&) {
    if (batch_) return blame("batch {} beside batch {}", what.id, batch_->id);
    if (what.requests.empty()) return blame("batch {} of nothing", what.id);
    if (!batch_ids_.insert(what.id).second) return blame("batch {} for the second time", what.id);
    const int now_allowed = options_.rows[row_].max_batch;
    const int allowed = applying_ ? std::min(now_allowed, options_.rows[*applying_].max_batch) : now_allowed;
    if (static_cast<int>(what.requests.size()) > allowed) blame("a batch of {} where {} are allowed", what.requests.size(), allowed);
    for (RequestId id : what.requests) {
      if (waiting_.empty() || std::get<2>(*waiting_.begin()) != id) return blame("request {} in a batch, out of turn or not waiting", id);
      waiting_.erase(waiting_.begin());
    }
    ++seen_[step_ ? "batch beside" : "batch alone"];
    if (applying_) ++seen_["batch between rows"];
    batch_ = Batch{what.id, what.requests, now};
  }
  void took(Time now, const RunStep& what, const Core& core) {
    if (step_) return blame("step {} beside step {}", what.id, step_->id);
    if (!rules_.steps) blame("a step of a policy that runs none");
    if (draining_) blame("a step on the way down");
    if (batch_ && !rules_.steps_beside_batches) blame("a step of a policy that starts none beside a batch");
    if (!rules_.uncalibrated && !core.predictor().calibrated()) blame("a step before any co-run was measured");
    if (!step_ids_.insert(what.id).second) return blame("step {} for the second time", what.id);
    const auto found = jobs_.find(what.job);
    if (found == jobs_.end()) return blame("a step of unknown job {}", what.job);
    const Job& job = found->second;
    if (job.over || job.cancelled || job.paused) blame("a step of job {}, which is finished, cancelled or paused", what.job);
    if (std::find(job.spec.pieces.begin(), job.spec.pieces.end(), what.items) == job.spec.pieces.end())
      blame("{} items of job {}, which has no such piece", what.items, what.job);
    if (what.items > job.spec.items - job.done % job.spec.items)
      blame("{} items of job {} go past its optimizer step", what.items, what.job);
    ++seen_[batch_ ? "step beside" : "step alone"];
    if (what.items < job.spec.items) ++seen_["piece"];
    step_ = Running{what.id, what.job, what.items, now};
  }
  void took(Time now, const Drop& what, const Core& core) {
    const auto found = find(what.request);
    if (found == waiting_.end()) return blame("request {} was dropped and did not wait", what.request);
    const double left = std::get<0>(*found) - now.count();
    const bool newest = newest_ == what.request;
    switch (what.cause) {
      case Cause::kExpired:
        if (left > 0.0) blame("request {} dropped as expired {} s before its deadline", what.request, left);
        break;
      case Cause::kHopeless:
        if (rules_.any_drop) break;
        if (!rules_.hopeless) blame("request {} dropped as hopeless by a policy that predicts nothing", what.request);
        if (!batch_ && !step_ && left >= slo_.count()) blame("request {} dropped untried, with all of its time left", what.request);
        if (const double needed = earliest_end(now, core) - now.count(); needed <= left)
          blame("request {} dropped as hopeless with {} s left for {} s", what.request, left, needed);
        break;
      case Cause::kQueueFull:
        if (!newest || waiting_.size() <= options_.queue_limit)
          blame("request {} dropped from a queue of {}, which is not full", what.request, waiting_.size());
        break;
      case Cause::kDraining:
        if (!newest || !draining_) blame("request {} dropped as if draining", what.request);
        break;
      default: blame("request {} dropped for '{}'", what.request, to_string(what.cause));
    }
    ++seen_[std::string("drop ") + to_string(what.cause)];
    waiting_.erase(found);
    if (!answered_.insert(what.request).second) blame("request {} was answered twice", what.request);
    ++dropped_;
  }
  void took(Time, const Apply& what, const Core&) {
    if (applying_) return blame("row {} applied while row {} is", what.row, *applying_);
    if (what.row >= options_.rows.size()) return blame("row {} of {}", what.row, options_.rows.size());
    if (what.row == row_) blame("row {} applied, which is in force", what.row);
    ++seen_["row"];
    applying_ = what.row;
  }
  void took(Time now, const WakeAt& what, const Core&) {
    if (!(what.when > now) || !std::isfinite(what.when.count())) blame("a wake at {} s, now being {} s", what.when.count(), now.count());
    ++seen_["wake"];
    wake_ = what.when;
  }

  /// What it says of itself.
  void compare(Time now, const Core& core) {
    if (core.queued() != waiting_.size()) blame("it says {} wait; {} do", core.queued(), waiting_.size());
    if (waiting_.size() > options_.queue_limit) blame("{} wait in a queue for {}", waiting_.size(), options_.queue_limit);
    if (core.row() != row_) blame("it says row {} is in force; {} is", core.row(), row_);
    if (core.idle() != (!batch_ && !step_ && waiting_.empty())) blame("it is wrong about being idle");
    const std::vector<JobId> kept = jobs_where([](const Job& job) { return !job.over && !job.cancelled; });
    std::vector<JobId> said;
    for (const PendingJob& job : core.jobs()) {
      const auto found = jobs_.find(job.id);
      if (found == jobs_.end()) return blame("it knows a job {}", job.id);
      if (found->second.cancelled && !found->second.over) continue;  // until its step has ended, it may be listed
      said.push_back(job.id);
      if (job.items_done != found->second.done)
        blame("it says {} items of job {} are done; {} are", job.items_done, job.id, found->second.done);
      if (job.paused != found->second.paused) blame("it is wrong about job {} being paused", job.id);
    }
    if (said != kept) blame("it lists {} jobs; {} are not finished", said.size(), kept.size());
    const ArrivalEstimate arrivals = core.arrivals(now);
    if (!(arrivals.rate >= 0.0 && arrivals.dispersion >= 0.0 && std::isfinite(arrivals.rate + arrivals.dispersion)))
      blame("no arrival rate");
    const auto& records = core.records();
    if (records.size() > options_.records) blame("{} records where {} are kept", records.size(), options_.records);
    for (std::size_t i = 1; i < records.size(); ++i)
      if (records[i].number != records[i - 1].number + 1) blame("record {} after {}", records[i].number, records[i - 1].number);
    for (const DecisionRecord& record : records)
      if (record.at > now) blame("record {} is of the future", record.number);
    for (auto record = records.rbegin(); record != records.rend() && record->number > last_record_; ++record) {
      if (record->act == Act::kBatch && !batch_ids_.contains(record->subject)) blame("record {} of a batch that never ran", record->number);
      if (record->act == Act::kStep && !step_ids_.contains(record->subject)) blame("record {} of a step that never ran", record->number);
    }
    if (!records.empty()) {
      if (records.back().number < last_record_) blame("record {} after {}", records.back().number, last_record_);
      last_record_ = records.back().number;
    }
  }

  const DecisionRecord* record_of(const Core& core, Act act, std::uint64_t subject) const {
    for (auto record = core.records().rbegin(); record != core.records().rend(); ++record)
      if (record->act == act && record->subject == subject) return &*record;
    return nullptr;
  }
  bool keeps_all() const { return options_.records > 1000; }  // fewer, and a record may be gone before it is looked for
  void recorded(const RunBatch& what, const Core& core) {
    const DecisionRecord* record = record_of(core, Act::kBatch, what.id);
    if (!record) {
      if (keeps_all()) blame("batch {} without a record", what.id);
      return;
    }
    if (record->size != static_cast<int>(what.requests.size()))
      blame("batch {} of {} recorded as of {}", what.id, what.requests.size(), record->size);
    if (record->queued < what.requests.size())
      blame("batch {} of {} from a queue recorded as of {}", what.id, what.requests.size(), record->queued);
    if (record->beside && !step_) blame("batch {} recorded as beside a step, which does not run", what.id);
    if (!record->beside && step_ && step_->started < record->at) blame("batch {} recorded as alone, while a step runs", what.id);
  }
  void recorded(const RunStep& what, const Core& core) {
    const DecisionRecord* record = record_of(core, Act::kStep, what.id);
    if (!record) {
      if (keeps_all()) blame("step {} without a record", what.id);
      return;
    }
    if (record->size != what.items) blame("step {} of {} items recorded as of {}", what.id, what.items, record->size);
    if (record->risk && record->budget && *record->risk > *record->budget)
      blame("step {} at a risk of {} with a budget of {}", what.id, *record->risk, *record->budget);
    if (rules_.within_budget && (!record->risk || !record->budget || !std::isfinite(*record->risk)))
      blame("step {} without risk and budget", what.id);
  }
  void recorded(const Drop& what, const Core& core) {
    const DecisionRecord* record = record_of(core, Act::kDrop, what.request);
    if (!record ? keeps_all() : record->cause != what.cause) blame("drop of request {} without its record", what.request);
  }
  void recorded(const Apply& what, const Core& core) {
    if (!record_of(core, Act::kRow, what.row) && keeps_all()) blame("row {} without a record", what.row);
  }
  void recorded(const WakeAt&, const Core&) {}
  void recorded_end(const Ended& ended, const Core& core) {
    const DecisionRecord* record = record_of(core, ended.act, ended.id);
    if (record && (!record->actual || std::abs((*record->actual - ended.took).count()) > 1e-9))
      blame("{} {} took {} s, which its record does not say", to_string(ended.act), ended.id, ended.took.count());
  }

  CoreRules rules_;
  const CoreOptions& options_;
  std::string wrong_;
  std::map<std::string, int> seen_;

  std::size_t row_;
  std::optional<std::size_t> applying_;
  Seconds slo_;
  bool draining_ = false;

  std::set<Waiting> waiting_;
  std::size_t sequence_ = 0, dropped_ = 0;
  std::optional<RequestId> newest_;
  std::set<RequestId> answered_;
  std::set<BatchId> batch_ids_;
  std::set<StepId> step_ids_;
  std::optional<Batch> batch_;
  std::optional<Running> step_;
  std::optional<Time> wake_;
  std::map<JobId, Job> jobs_;
  std::vector<Ended> ended_;
  std::uint64_t last_record_ = 0;
};

}  // namespace polythrottle::serving
