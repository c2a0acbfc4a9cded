#include "replay/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "replay/account.h"
#include "replay/duration.h"

namespace polythrottle::replay {
namespace {

using serving::Action;
using serving::Cause;

/// Points of the power curve over the time that is expected.
constexpr double kPowerPoints = 600.0;
constexpr Seconds kShortestPowerPoint{0.05};
/// Wake-ups at one moment after which the core is taken to be mad.
constexpr int kMostWakes = 10'000;
/// Events between two words to whoever watches.
constexpr int kEventsPerProgress = 4096;
/// Decisions kept where nobody asks for them: enough to see why a job was held.
constexpr std::size_t kRecordsLookedAt = 64;

class Run {
 public:
  Run(const ReplayOptions& options, std::unique_ptr<Board> board, std::unique_ptr<serving::Core> core, const Progress& progress)
      : options_(options),
        progress_(progress),
        board_(std::move(board)),
        core_(std::move(core)),
        arrivals_(*options.arrivals),
        account_(options.duration, options.keep_requests),
        slo_(options.slo),
        row_(options.row) {
    result_.row_shares.assign(options.rows.size(), 0.0);
    for (const FinetuneJob& job : options.jobs) result_.jobs.push_back({.job = job});
    for (std::size_t i = 0; i < options.jobs.size(); ++i) by_submission_.push_back(i);
    std::stable_sort(by_submission_.begin(), by_submission_.end(),
                     [&](std::size_t a, std::size_t b) { return options_.jobs[a].at < options_.jobs[b].at; });
    submitted_at_.resize(options.jobs.size());
    arrivals_.restart();
    next_arrival_ = arrivals_.next();
    power_step_ = std::max(kShortestPowerPoint, std::max(options.duration, options.traffic_until) / kPowerPoints);
    if (options_.keep_timeline) result_.timeline.rows.push_back({Seconds(0), row_});
  }

  Result<ReplayResult> go() {
    TRY(const auto network, simulation::find_network(options_.network));
    network_ = network;
    if (!options_.costs.empty()) {
      TRY(table_, serving::LoadTable::make(options_.costs, slo_));
      guard_.emplace(std::vector<serving::RowBand>(options_.costs.size()), serving::DriftOptions{});
    }
    int since_progress = 0;
    while (!finished()) {
      if (++since_progress >= kEventsPerProgress) {
        since_progress = 0;
        if (progress_) progress_(now_);
        if (options_.stop.stop_requested()) return fail(Errc::kTimeout, "the replay was stopped at " + duration_text(now_));
      }
      const auto when = next_due();
      if (const auto event = board_->next(when)) {
        now_ = std::max(now_, event->at);
        TRY_STATUS(happened(*event));
      } else if (when) {
        TRY_STATUS(due(*when));
      } else {
        break;  // nothing runs, and nothing will
      }
    }
    TRY_STATUS(check_end());
    fill();
    return std::move(result_);
  }

 private:
  struct Batch {
    serving::BatchId id = 0;
    std::vector<serving::RequestId> requests;
    bool clean = true;  ///< no step ran beside it, and the row did not change
  };
  struct Step {
    serving::StepId id = 0;
    std::size_t job = 0;
    int items = 0;
  };

  // --- What comes next ---------------------------------------------------------------------------------------------------------

  bool job_pending() const { return !job_of_.empty(); }
  bool jobs_settled() const { return next_submission_ == by_submission_.size() && !job_pending(); }
  /// Traffic lasts until then, as things stand.
  Seconds end_of_traffic() const {
    const Seconds least = std::max(options_.duration, options_.traffic_until);
    if (jobs_settled()) return least;
    return std::max(least, Seconds(options_.patience * options_.duration.count()));
  }
  bool finished() const { return drained_ && !batch_ && !step_ && !applying_ && account_.unanswered() == 0; }

  std::optional<Seconds> next_due() const {
    std::optional<Seconds> next;
    const auto consider = [&](Seconds when) { next = next ? std::min(*next, when) : when; };
    if (wake_) consider(std::max(now_, *wake_));
    if (next_change_ < options_.slo_changes.size()) consider(options_.slo_changes[next_change_].at);
    if (!drained_) {
      consider(next_arrival_);
      consider(std::max(now_, end_of_traffic()));
      if (next_submission_ < by_submission_.size()) consider(options_.jobs[by_submission_[next_submission_]].at);
    }
    if (!past_duration_) consider(options_.duration);
    if (options_.keep_timeline && !(drained_ && account_.unanswered() == 0)) consider(power_at_ + power_step_);
    return next;
  }

  // --- Events ------------------------------------------------------------------------------------------------------------------

  /// Everything whose time has come, in a fixed order where times are equal: marks, what the user changes, arrivals, the core's own wish.
  Status due(Seconds when) {
    const Seconds before = now_;
    now_ = std::max(now_, when);
    if (options_.keep_timeline && power_at_ + power_step_ <= now_) mark_power();
    if (!past_duration_ && options_.duration <= now_) TRY_STATUS(pass_duration());
    while (next_change_ < options_.slo_changes.size() && options_.slo_changes[next_change_].at <= now_) {
      slo_ = options_.slo_changes[next_change_++].slo;
      TRY_STATUS(perform(core_->set_slo(now_, slo_)));
    }
    while (!drained_ && next_submission_ < by_submission_.size() && options_.jobs[by_submission_[next_submission_]].at <= now_) {
      TRY_STATUS(submit(by_submission_[next_submission_++]));
    }
    if (!drained_ && past_duration_ && end_of_traffic() <= now_) TRY_STATUS(end_traffic());
    while (!drained_ && next_arrival_ <= now_) {
      const serving::RequestId request = account_.arrived(now_, now_ + slo_, job_pending());
      next_arrival_ = arrivals_.next();
      TRY_STATUS(perform(core_->on_arrival(now_, request)));
    }
    if (wake_ && *wake_ <= now_) {
      wakes_ = now_ > before ? 0 : wakes_ + 1;
      if (wakes_ > kMostWakes) return broken(fmt::format("wants to be woken without end at {}", duration_text(now_)));
      TRY_STATUS(perform(core_->on_tick(now_)));
    }
    return {};
  }

  Status happened(const Board::Event& event) {
    switch (event.kind) {
      case Board::Event::Kind::kBatch: return batch_done(event);
      case Board::Event::Kind::kStep: return step_done(event);
      case Board::Event::Kind::kApplied: return applied(event);
    }
    return {};
  }

  Status batch_done(const Board::Event& event) {
    const Batch batch = *std::exchange(batch_, std::nullopt);
    const auto alarm = watched(event, batch);
    bool counts = false;
    for (const auto request : batch.requests) {
      if (account_.counts(request)) {
        ++batched_requests_;
        counts = true;
      }
      TRY_STATUS(account_.answered(request, now_));
    }
    if (counts) ++result_.batches;
    if (options_.keep_timeline) {
      result_.timeline.batches.push_back({event.started, event.at, static_cast<int>(batch.requests.size()), queued_behind_});
    }
    TRY_STATUS(perform(core_->on_batch_done(now_, batch.id)));
    return alarm ? perform(core_->on_alarm(now_, *alarm)) : Status{};
  }

  /// What the guard says of a batch. A batch beside a step, or one during which the clocks changed, says nothing of its row.
  std::optional<serving::Alarm> watched(const Board::Event& event, const Batch& batch) {
    if (!guard_ || !batch.clean) return std::nullopt;
    const auto band = table_->band(row_, batch.requests.size());
    if (!band) return std::nullopt;
    const Seconds latency = event.at - event.started;
    return guard_->batch_done(now_, row_, latency, std::clamp(latency, band->first, band->second), false);
  }

  Status step_done(const Board::Event& event) {
    const Step step = *std::exchange(step_, std::nullopt);
    JobOutcome& job = result_.jobs[step.job];
    job.items_done += step.items;
    ++job.pieces;
    job.running += event.at - event.started;
    if (options_.keep_timeline) result_.timeline.steps.push_back({event.started, event.at, step.job, step.items});
    const auto actions = core_->on_step_done(now_, step.id);
    forget_ended_jobs();
    return perform(actions);
  }

  Status applied(const Board::Event& event) {
    const std::size_t row = *std::exchange(applying_, std::nullopt);
    if (event.took_effect) {
      count_row_time();
      row_ = row;
      ++result_.row_changes;
      ++result_.row_causes[row_cause_];
      if (options_.keep_timeline) result_.timeline.rows.push_back({now_, row_});
    } else {
      ++result_.row_changes_failed;
    }
    return perform(core_->on_applied(now_, row, event.took_effect));
  }

  Status submit(std::size_t index) {
    JobOutcome& job = result_.jobs[index];
    serving::JobSpec spec = job_spec(*network_, job.job, fmt::format("job {}", index + 1));
    if (job.job.deadline) spec.deadline = now_ + *job.job.deadline;
    auto submitted = core_->submit(now_, std::move(spec));
    if (!submitted) {
      job.why_not = "refused: " + submitted.error().text();
      return {};
    }
    job_of_[submitted->id] = index;
    submitted_at_[index] = now_;
    return perform(submitted->actions);
  }

  void forget_ended_jobs() {
    for (auto it = job_of_.begin(); it != job_of_.end();) {
      const auto pending = core_->jobs();
      const bool ended = std::none_of(pending.begin(), pending.end(), [&](const auto& job) { return job.id == it->first; });
      if (!ended) {
        ++it;
        continue;
      }
      result_.jobs[it->second].time = now_ - submitted_at_[it->second];
      last_job_end_ = now_;
      energy_at_job_end_ = board_->energy();
      it = job_of_.erase(it);
    }
  }

  Status pass_duration() {
    past_duration_ = true;
    result_.energy = board_->energy();
    // A job that this policy will never run would only cost time.
    if (const auto cause = never_runs(); cause && job_pending()) {
      std::vector<serving::JobId> ids;
      for (const auto& [id, index] : job_of_) {
        ids.push_back(id);
        result_.jobs[index].why_not =
            *cause == Cause::kNeverBeside
                ? "this policy runs no fine-tuning"
                : "the predictor knows no co-runs, so that nothing was admitted (polythrottle interference calibrate)";
      }
      job_of_.clear();
      for (const auto id : ids) TRY_STATUS(perform(core_->cancel(now_, id)));
    }
    return {};
  }

  /// Why no step has run and none will.
  std::optional<Cause> never_runs() const {
    for (const JobOutcome& job : result_.jobs) {
      if (job.pieces > 0) return std::nullopt;
    }
    if (step_) return std::nullopt;
    const auto& records = core_->records();
    for (auto it = records.rbegin(); it != records.rend(); ++it) {
      if (it->act != serving::Act::kHoldStep) continue;
      const bool never = it->cause == Cause::kNeverBeside || it->cause == Cause::kNotCalibrated;
      return never ? std::optional(it->cause) : std::nullopt;
    }
    return std::nullopt;
  }

  Status end_traffic() {
    drained_ = true;
    count_row_time();
    result_.traffic_ended = now_;
    for (const auto& [id, index] : job_of_) {
      result_.jobs[index].why_not = fmt::format("given up after {}", duration_text(now_));
      // What it last waited for.
      const auto& records = core_->records();
      const auto held = std::find_if(records.rbegin(), records.rend(), [](const auto& r) { return r.act == serving::Act::kHoldStep; });
      if (held != records.rend()) result_.jobs[index].why_not += "; at last, " + serving::sentence(*held);
    }
    return perform(core_->drain(now_));
  }

  // --- Actions -----------------------------------------------------------------------------------------------------------------

  Status perform(const std::vector<Action>& actions) {
    wake_.reset();  // an event has come
    for (const Action& action : actions) {
      TRY_STATUS(std::visit([this](const auto& one) { return carry_out(one); }, action));
    }
    return {};
  }

  Status carry_out(const serving::RunBatch& run) {
    if (batch_) return broken("starts a batch while one runs");
    if (run.requests.empty()) return broken("starts an empty batch");
    batch_ = Batch{run.id, run.requests, !step_ && !applying_};
    queued_behind_ = core_->queued();
    return board_->start_batch(static_cast<int>(run.requests.size()));
  }
  Status carry_out(const serving::RunStep& run) {
    const auto job = job_of_.find(run.job);
    if (step_ || job == job_of_.end()) return broken(step_ ? "starts a step while one runs" : "starts a step of a job that is not pending");
    step_ = Step{run.id, job->second, run.items};
    if (batch_) batch_->clean = false;
    return board_->start_step(options_.jobs[job->second], run.items);
  }
  Status carry_out(const serving::Drop& drop) { return account_.dropped(drop.request, now_, drop.cause); }
  Status carry_out(const serving::Apply& apply) {
    if (applying_) return broken("changes the configuration while it is being changed");
    if (apply.row >= options_.rows.size()) return broken("wants a configuration that is not there");
    applying_ = apply.row;
    if (batch_) batch_->clean = false;
    const auto& records = core_->records();
    const auto why = std::find_if(records.rbegin(), records.rend(), [](const auto& record) { return record.act == serving::Act::kRow; });
    if (why != records.rend()) row_cause_ = why->cause;
    board_->apply(options_.rows[apply.row].config);
    return {};
  }
  Status carry_out(const serving::WakeAt& wake) {
    wake_ = wake.when;
    return {};
  }

  static Status broken(const std::string& how) { return fail(Errc::kCorrupt, "the serving core " + how); }

  // --- Accounts ----------------------------------------------------------------------------------------------------------------

  void count_row_time() {
    if (result_.traffic_ended > Seconds(0)) return;
    result_.row_shares[row_] += (now_ - row_since_).count();
    row_since_ = now_;
  }

  void mark_power() {
    const Joules energy = board_->energy();
    result_.timeline.power.push_back({now_, (energy - power_energy_) / (now_ - power_at_)});
    power_at_ = now_;
    power_energy_ = energy;
  }

  Status check_end() const {
    if (account_.unanswered() > 0) return broken("left requests without an answer");
    return {};
  }

  void fill() {
    account_.fill(result_);
    result_.ended = now_;
    if (result_.batches > 0) result_.mean_batch = static_cast<double>(batched_requests_) / static_cast<double>(result_.batches);
    for (double& share : result_.row_shares) share /= result_.traffic_ended.count();
    if (result_.answers > 0) result_.energy_per_answer = result_.energy / static_cast<double>(result_.answers);
    const bool all_ended = !result_.jobs.empty() &&
                           std::all_of(result_.jobs.begin(), result_.jobs.end(), [](const auto& job) { return job.time.has_value(); });
    if (all_ended) {
      result_.job_seconds = last_job_end_ - options_.jobs[by_submission_.front()].at;
      result_.energy_to_job_end = energy_at_job_end_;
    }
    const auto& records = core_->records();
    result_.decisions = records.empty() ? 0 : records.back().number;
    if (options_.keep_decisions) result_.records.assign(records.begin(), records.end());
    result_.calibrated = core_->predictor().calibrated();
    if (guard_) result_.stale = guard_->stale();
  }

  const ReplayOptions& options_;
  const Progress& progress_;
  std::unique_ptr<Board> board_;
  std::unique_ptr<serving::Core> core_;
  const simulation::Network* network_ = nullptr;
  Arrivals arrivals_;
  Account account_;
  ReplayResult result_;

  Seconds now_{0};
  Seconds slo_;
  Seconds next_arrival_{0};
  std::size_t next_change_ = 0;
  std::vector<std::size_t> by_submission_;  ///< jobs
  std::size_t next_submission_ = 0;
  std::vector<Seconds> submitted_at_;
  std::map<serving::JobId, std::size_t> job_of_;  ///< those pending
  std::optional<Seconds> wake_;
  int wakes_ = 0;
  bool past_duration_ = false;
  bool drained_ = false;

  std::optional<serving::DriftGuard> guard_;
  std::optional<serving::LoadTable> table_;  ///< what the guard expects

  std::optional<Batch> batch_;
  std::optional<Step> step_;
  std::optional<std::size_t> applying_;
  Cause row_cause_ = Cause::kRate;  ///< of the change under way
  std::size_t queued_behind_ = 0;
  std::size_t batched_requests_ = 0;
  std::size_t row_;
  Seconds row_since_{0};
  Seconds last_job_end_{0};
  Joules energy_at_job_end_;
  Seconds power_step_;
  Seconds power_at_{0};
  Joules power_energy_;
};

Status check(const ReplayOptions& o) {
  if (!o.arrivals) return fail(Errc::kInvalid, "replay: no arrivals are given");
  if (o.duration <= Seconds(0)) return fail(Errc::kInvalid, "replay: the duration is above zero");
  if (!o.costs.empty() && o.costs.size() != o.rows.size()) return fail(Errc::kInvalid, "replay: what was measured is not of these rows");
  if (o.rows.empty() || o.row >= o.rows.size()) return fail(Errc::kInvalid, "replay: the row to begin with is not there");
  if (!std::is_sorted(o.slo_changes.begin(), o.slo_changes.end(), [](const auto& a, const auto& b) { return a.at < b.at; })) {
    return fail(Errc::kInvalid, "replay: changes of the SLO are in the order of time");
  }
  return {};
}

Result<std::unique_ptr<serving::Policy>> policy_of(const ReplayOptions& o) {
  if (o.make_policy) return o.make_policy();
  TRY(const auto* driver, serving::find_policy(o.policy));
  return driver->make(o.policy_options);
}

Result<std::unique_ptr<interference::Predictor>> predictor_of(const ReplayOptions& o) {
  TRY(const auto* driver, interference::find_predictor(o.predictor));
  TRY(const auto* network, simulation::find_network(o.network));
  auto predictor = driver->make(inference_cost(*network));
  if (o.samples.batches.empty() && o.samples.steps.empty()) return predictor;
  // Too few co-runs: what is known of batches alone is kept, and nothing is admitted.
  if (const auto fitted = predictor->fit(o.samples); !fitted && fitted.error().code != Errc::kNotFound) {
    return tl::unexpected<Error>(fitted.error());
  }
  return predictor;
}

}  // namespace

Result<ReplayResult> replay(const ReplayOptions& options, const Progress& progress) {
  TRY_STATUS(check(options));
  TRY(auto policy, policy_of(options));
  TRY(auto predictor, predictor_of(options));
  BoardOptions board{.name = options.board,
                     .network = options.network,
                     .precision = options.precision,
                     .seed = options.seed,
                     .noise = options.noise,
                     .faults = options.faults};
  for (const auto& row : options.rows) board.configs.push_back(row.config);
  TRY(auto opened, Board::make(board, options.rows[options.row].config));
  serving::CoreOptions core{.slo = options.slo, .rows = options.rows, .row = options.row, .expected_rate = options.expected_rate};
  core.records = options.keep_decisions ? options.decisions_kept : kRecordsLookedAt;
  auto made = std::make_unique<serving::Core>(std::move(core), std::move(policy), std::move(predictor),
                                              options.row_choice ? options.row_choice() : nullptr);
  return Run(options, std::move(opened), std::move(made), progress).go();
}

}  // namespace polythrottle::replay
