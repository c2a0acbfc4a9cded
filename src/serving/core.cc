#include "serving/core.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace polythrottle::serving {
namespace {

/// Decisions at one moment; more than any policy can make sense of is a policy that goes in circles.
constexpr int kMostDecisions = 100'000;
/// A wake-up lies at least this far ahead, or rounding could make the core ask for the present for ever.
constexpr Seconds kSoonest{1e-6};

bool waits(const DecisionRecord& record) { return record.act == Act::kWaitForMore || record.act == Act::kHoldStep; }
bool same_wait(const DecisionRecord& a, const DecisionRecord& b) {
  return waits(a) && a.act == b.act && a.cause == b.cause && a.size == b.size && a.subject == b.subject && a.queued == b.queued;
}

std::optional<Time> earlier(std::optional<Time> a, std::optional<Time> b) { return a && b ? std::min(*a, *b) : a ? a : b; }

Status check(const JobSpec& job) {
  if (job.items < 1 || job.steps < 1) return fail(Errc::kInvalid, "a job without work", "give at least one item and one step");
  if (job.steps > std::numeric_limits<long>::max() / job.items)
    return fail(Errc::kInvalid, "more items than can be counted", "give fewer steps");
  if (job.pieces.empty() || job.pieces.front() != job.items) {
    return fail(Errc::kInvalid, "the largest piece of a job is not its step", fmt::format("begin the list with {}", job.items));
  }
  for (std::size_t i = 0; i < job.pieces.size(); ++i) {
    const int piece = job.pieces[i];
    if (piece < 1 || job.items % piece != 0) {
      return fail(Errc::kInvalid, fmt::format("a step of {} items in pieces of {}", job.items, piece), "a piece must divide the step");
    }
    if (i > 0 && piece >= job.pieces[i - 1]) return fail(Errc::kInvalid, "pieces of a job out of order", "name the largest first");
  }
  for (const int piece : job.pieces) {
    if (piece % job.pieces.back() == 0) continue;
    return fail(Errc::kInvalid, fmt::format("a job in pieces of {} and {} items", piece, job.pieces.back()),
                "a piece must be a multiple of the smallest, or a step could come to a rest that none fits");
  }
  return {};
}

}  // namespace

Core::Core(CoreOptions options, std::unique_ptr<Policy> policy, std::unique_ptr<interference::Predictor> predictor,
           std::unique_ptr<RowChoice> rows)
    : options_(std::move(options)),
      policy_(std::move(policy)),
      predictor_(std::move(predictor)),
      row_choice_(std::move(rows)),
      rate_(options_.slo, options_.expected_rate),
      row_(options_.row) {
  CHECK(row_ < options_.rows.size());
  CHECK(policy_ != nullptr && predictor_ != nullptr);
}

// --- Events --------------------------------------------------------------------------------------------------------------------

std::vector<Action> Core::on_arrival(Time now, RequestId request, std::optional<Time> deadline) {
  CHECK(now >= now_ && std::isfinite(now.count()));
  now_ = now;
  rate_.arrived(now);
  // The queue is ordered by deadline, and what is no number has no place in an order.
  const bool no_deadline = deadline && !std::isfinite(deadline->count());
  if (draining_ || no_deadline || queue_.size() >= options_.queue_limit) {
    std::vector<Action> actions;
    drop(now, request, draining_ ? Cause::kDraining : no_deadline ? Cause::kNoDeadline : Cause::kQueueFull, actions);
    const auto more = react(now);
    actions.insert(actions.end(), more.begin(), more.end());
    return actions;
  }
  queue_.add({request, now, deadline.value_or(now + options_.slo)});
  return react(now);
}

std::vector<Action> Core::on_batch_done(Time now, BatchId batch) {
  CHECK(now >= now_);
  now_ = now;
  CHECK(batch_ && batch_->seen.id == batch);
  learn_overlap(now);
  BatchInProgress done = std::move(*batch_);
  batch_.reset();
  idle_since_ = now;
  const Seconds latency = now - done.seen.started;
  ended(done.record, latency);
  if (done.clean && latency > Seconds(0)) {
    interference::BatchSample sample;
    sample.at = {options_.rows[row_].speeds, done.seen.size, done.step, done.rested};
    sample.latency = latency;
    sample.beside = done.step ? std::min(1.0, done.overlap / latency) : 0.0;
    predictor_->learn({{sample}, {}});
  }
  if (row_choice_) {
    for (const Request& request : done.requests) row_choice_->answered(now, now - request.deadline);
  }
  refresh(now);
  return react(now);
}

std::vector<Action> Core::on_step_done(Time now, StepId step) {
  CHECK(now >= now_);
  now_ = now;
  CHECK(step_ && step_->seen.id == step);
  learn_overlap(now);
  const StepInProgress done = std::move(*step_);
  step_.reset();
  idle_since_ = now;
  const Seconds duration = now - done.seen.started;
  ended(done.record, duration);
  if (done.clean && duration > Seconds(0)) {
    predictor_->learn({{}, {{options_.rows[row_].speeds, done.seen.work, duration, std::min(1.0, done.overlap / duration)}}});
  }
  if (PendingJob* job = find_job(done.seen.job)) {
    job->items_done += done.seen.items;
    if (job->items_left() <= 0) std::erase_if(pending_, [&](const PendingJob& other) { return other.id == done.seen.job; });
  }
  refresh(now);
  return react(now);
}

std::vector<Action> Core::on_applied(Time now, std::size_t row, bool took_effect) {
  CHECK(now >= now_);
  now_ = now;
  CHECK(applying_ == row);
  applying_.reset();
  if (took_effect) row_ = row;
  refresh(now);
  return react(now);
}

std::vector<Action> Core::on_tick(Time now) {
  CHECK(now >= now_);
  now_ = now;
  return react(now);
}

std::vector<Action> Core::on_alarm(Time now, Alarm alarm) {
  CHECK(now >= now_);
  now_ = now;
  if (row_choice_) row_choice_->alarm(now, alarm);
  return react(now);
}

std::vector<Action> Core::set_slo(Time now, Seconds slo) {
  CHECK(now >= now_);
  now_ = now;
  CHECK(slo > Seconds(0));
  if (slo != options_.slo) rate_ = ArrivalRate(slo, rate_.estimate(now).rate, now);
  options_.slo = slo;
  return react(now);
}

std::vector<Action> Core::drain(Time now) {
  CHECK(now >= now_);
  now_ = now;
  draining_ = true;
  return react(now);
}

Result<Core::Submitted> Core::submit(Time now, JobSpec job) {
  CHECK(now >= now_);
  now_ = now;
  TRY_STATUS(check(job));
  if (draining_) return fail(Errc::kBusy, "the server is on its way down and takes no job");
  if (job.deadline) {
    if (!predictor_->calibrated()) {
      return fail(Errc::kNotFound, "no co-run has been measured, so nobody can say whether the job ends in time",
                  "calibrate first, or submit it without a deadline");
    }
    const Time end = earliest_end(now, job);
    const double rate = rate_.estimate(now).rate;
    constexpr const char* kHint = "give it more time, or less to do";
    if (!std::isfinite(end.count())) {
      return fail(Errc::kOutOfRange, fmt::format("the job cannot end at all: {:.3g} requests/s leave nothing for it", rate), kHint);
    }
    if (!could_run(now, job)) {
      return fail(
          Errc::kOutOfRange,
          fmt::format("the job cannot end at all: at {:.3g} requests/s its smallest step, of {} items, fits under the SLO at no row", rate,
                      job.pieces.back()),
          "allow smaller pieces of a step, or more time for an answer");
    }
    if (end > *job.deadline) {
      return fail(Errc::kOutOfRange,
                  fmt::format("the job cannot end in time: at {:.3g} requests/s it takes at least {:.3g} s, and it is due in {:.3g} s",
                              rate, (end - now).count(), (*job.deadline - now).count()),
                  kHint);
    }
  }
  PendingJob pending;
  pending.id = ++last_job_;
  specs_.push_back(std::move(job));
  pending.spec = &specs_.back();
  pending.submitted = now;
  pending_.push_back(pending);
  return Submitted{pending.id, react(now)};
}

std::vector<Action> Core::pause(Time now, JobId job, bool paused) {
  CHECK(now >= now_);
  now_ = now;
  if (PendingJob* found = find_job(job)) found->paused = paused;
  return react(now);
}

std::vector<Action> Core::cancel(Time now, JobId job) {
  CHECK(now >= now_);
  now_ = now;
  std::erase_if(pending_, [job](const PendingJob& other) { return other.id == job; });
  return react(now);
}

// --- Decisions -----------------------------------------------------------------------------------------------------------------

ServingState Core::view(Time now) const {
  ServingState state;
  state.now = now;
  state.slo = options_.slo;
  state.queue = queue_.waiting();
  if (batch_) state.batch = batch_->seen;
  if (step_) {
    state.step = step_->seen;
    state.step->share_left = 1.0 - step_->progress.share(now);
  }
  if (!draining_) state.jobs = pending_;
  state.draining = draining_;
  state.rows = options_.rows;
  state.row = row_;
  state.applying = applying_;
  state.arrivals = rate_.estimate(now);
  if (!batch_ && !step_) state.rested = now - idle_since_;
  state.lag = lag_;
  state.predictor = predictor_.get();
  return state;
}

std::vector<Action> Core::react(Time now) {
  std::vector<Action> actions;
  for (int round = 0; round < kMostDecisions; ++round) {
    if (row_choice_ && !applying_) {
      const auto answer = row_choice_->choose(view(now));
      if (answer && answer->row != row_) {
        CHECK(answer->row < options_.rows.size());
        DecisionRecord about = answer->about;
        about.act = Act::kRow;
        about.subject = answer->row;
        note(now, std::move(about));
        applying_ = answer->row;
        if (batch_) batch_->clean = false;
        if (step_) step_->clean = false;
        actions.emplace_back(Apply{answer->row});
      }
    }
    const Decision decision = policy_->decide(view(now));
    for (const Decision::Drop& hopeless : decision.drops) {
      CHECK(queue_.remove(hopeless.request));
      drop(now, hopeless.request, hopeless.cause, actions);
    }
    if (decision.batch > 0) start_batch(now, decision.batch, decision.about_batch, actions);
    if (decision.job) start_step(now, *decision.job, decision.items, decision.about_step, actions);
    if (decision.drops.empty() && decision.batch == 0 && !decision.job) {
      if (!queue_.empty() && !batch_) note(now, decision.about_batch);
      if (!pending_.empty() && !step_ && !draining_) note(now, decision.about_step);
      if (const auto wake = earlier(decision.wake, row_choice_ && !applying_ ? row_choice_->wake() : std::nullopt)) {
        actions.emplace_back(WakeAt{std::max(*wake, now + kSoonest)});
      }
      return actions;
    }
  }
  CHECK(!"a policy decides without end");
  return actions;
}

void Core::start_batch(Time now, int size, const DecisionRecord& about, std::vector<Action>& actions) {
  CHECK(!batch_);
  CHECK(size <= options_.rows[row_].max_batch && static_cast<std::size_t>(size) <= queue_.size());
  if (step_) overlap_since_ = now;
  BatchInProgress started;
  started.requests = queue_.take(static_cast<std::size_t>(size));
  started.seen.id = ++last_batch_;
  started.seen.started = now;
  started.seen.size = size;
  started.seen.first_deadline = started.requests.front().deadline;
  started.progress = Progress(now, Seconds(0));
  if (step_) {
    started.step = step_->seen.work;
  } else {
    started.rested = now - idle_since_;
  }
  started.clean = !applying_;
  RunBatch run{started.seen.id, {}};
  for (const Request& request : started.requests) run.requests.push_back(request.id);
  DecisionRecord record = about;
  record.act = Act::kBatch;
  record.size = size;
  record.subject = run.id;
  record.queued = queue_.size() + static_cast<std::size_t>(size);
  record.beside = step_.has_value();
  started.record = note(now, std::move(record));
  batch_ = std::move(started);
  refresh(now);
  actions.emplace_back(std::move(run));
}

void Core::start_step(Time now, JobId id, int items, const DecisionRecord& about, std::vector<Action>& actions) {
  CHECK(!step_);
  const PendingJob* job = find_job(id);
  CHECK(job != nullptr && !job->paused && !draining_);
  CHECK(std::find(job->spec->pieces.begin(), job->spec->pieces.end(), items) != job->spec->pieces.end() && items <= job->step_left());
  if (batch_) overlap_since_ = now;
  StepInProgress started;
  started.seen.id = ++last_step_;
  started.seen.job = id;
  started.seen.started = now;
  started.seen.items = items;
  started.seen.work = {job->spec->cost, items};
  started.progress = Progress(now, Seconds(0));
  started.clean = !applying_;
  DecisionRecord record = about;
  record.act = Act::kStep;
  record.size = items;
  record.subject = started.seen.id;
  record.queued = queue_.size();
  record.beside = batch_.has_value();
  started.record = note(now, std::move(record));
  if (batch_) batch_->step = started.seen.work;
  step_ = std::move(started);
  refresh(now);
  actions.emplace_back(RunStep{step_->seen.id, id, items});
}

void Core::drop(Time now, RequestId request, Cause cause, std::vector<Action>& actions) {
  DecisionRecord record;
  record.act = Act::kDrop;
  record.cause = cause;
  record.size = 1;
  record.subject = request;
  record.queued = queue_.size();
  note(now, std::move(record));
  if (row_choice_) row_choice_->answered(now, std::nullopt);
  actions.emplace_back(Drop{request, cause});
}

// --- What runs -----------------------------------------------------------------------------------------------------------------

void Core::refresh(Time now) {
  const interference::Speeds& speeds = options_.rows[row_].speeds;
  if (batch_) {
    interference::Situation at{speeds, batch_->seen.size, std::nullopt, batch_->rested};
    if (step_) at.step = step_->seen.work;
    batch_->progress.change(now, predictor_->batch(at).mean);
    batch_->seen.expected_end = now + batch_->progress.left(now);
  }
  if (step_) {
    step_->seen.alone = predictor_->step(speeds, step_->seen.work, 0.0);
    step_->seen.beside = predictor_->step(speeds, step_->seen.work, 1.0);
    step_->progress.change(now, batch_ ? step_->seen.beside.mean : step_->seen.alone.mean);
    step_->seen.expected_end = now + step_->progress.left(now);
  }
}

void Core::learn_overlap(Time now) {
  if (!batch_ || !step_) return;
  batch_->overlap += now - overlap_since_;
  step_->overlap += now - overlap_since_;
  overlap_since_ = now;
}

PendingJob* Core::find_job(JobId id) {
  const auto found = std::find_if(pending_.begin(), pending_.end(), [id](const PendingJob& job) { return job.id == id; });
  return found == pending_.end() ? nullptr : &*found;
}

Time Core::earliest_end(Time now, const JobSpec& job) const {
  const double rate = rate_.estimate(now).rate;
  Time best{std::numeric_limits<double>::infinity()};
  for (const Row& row : options_.rows) {
    const auto alone = [&](const JobSpec& spec, long items) {
      const int piece = spec.pieces.front();
      return predictor_->step(row.speeds, {spec.cost, piece}, 0.0).mean * (static_cast<double>(items) / piece);
    };
    Seconds work = alone(job, job.items * job.steps);
    for (const PendingJob& other : pending_) {
      if (!other.paused) work += alone(*other.spec, other.items_left());
    }
    double least = std::numeric_limits<double>::infinity();
    for (int size = 1; size <= row.max_batch; ++size) {
      least = std::min(least, predictor_->batch({row.speeds, size, std::nullopt}).mean.count() / size);
    }
    const double room = 1.0 - rate * least;
    if (room > 0.0) best = std::min(best, now + work / room);
  }
  return best;
}

// --- Records -------------------------------------------------------------------------------------------------------------------

std::uint64_t Core::note(Time now, DecisionRecord record) {
  record.at = now;
  if (record.act == Act::kWaitForMore || record.act == Act::kHoldStep) record.queued = queue_.size();
  // Waits of batches and of steps alternate, so the last two are looked at; what waits after something ran is another wait.
  const std::size_t looked_at = std::min<std::size_t>(2, records_.size());
  for (std::size_t i = 0; i < looked_at && waits(records_[records_.size() - 1 - i]); ++i) {
    if (same_wait(records_[records_.size() - 1 - i], record)) return last_record_;
  }
  record.number = ++last_record_;
  records_.push_back(std::move(record));
  if (records_.size() > options_.records) records_.pop_front();
  return last_record_;
}

void Core::ended(std::uint64_t record, Seconds actual) {
  if (records_.empty() || record < records_.front().number) return;
  records_[static_cast<std::size_t>(record - records_.front().number)].actual = actual;
}

}  // namespace polythrottle::serving
