#include "replay/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "replay/account.h"
#include "replay/duration.h"
#include "replay/submissions.h"
#include "replay/under_way.h"
#include "serving/row_watch.h"

namespace polythrottle::replay {
namespace {

using serving::Action;

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
        core_(std::move(core)),
        under_way_(options, std::move(board)),
        jobs_(options.jobs),
        arrivals_(*options.arrivals),
        account_(options.duration, options.keep_requests),
        slo_(options.slo) {
    arrivals_.restart();
    next_arrival_ = arrivals_.next();
    power_step_ = std::max(kShortestPowerPoint, std::max(options.duration, options.traffic_until) / kPowerPoints);
  }

  Result<ReplayResult> go() {
    TRY(network_, simulation::find_network(options_.network));
    if (!options_.costs.empty()) {
      TRY(watch_, serving::RowWatch::make(options_.costs, slo_));
    }
    int since_progress = 0;
    while (!finished()) {
      if (++since_progress >= kEventsPerProgress) {
        since_progress = 0;
        if (progress_) progress_(now_);
        if (options_.stop.stop_requested()) return fail(Errc::kTimeout, "the replay was stopped at " + duration_text(now_));
      }
      const auto when = next_due();
      if (const auto event = under_way_.next(when)) {
        now_ = std::max(now_, event->at);
        TRY_STATUS(happened(*event));
      } else if (when) {
        TRY_STATUS(due(*when));
      } else {
        break;  // nothing runs, and nothing will
      }
    }
    if (account_.unanswered() > 0) return broken("left requests without an answer");
    fill();
    return std::move(result_);
  }

 private:
  // --- What comes next ---------------------------------------------------------------------------------------------------------

  /// Traffic lasts until then, as things stand.
  Seconds end_of_traffic() const {
    const Seconds least = std::max(options_.duration, options_.traffic_until);
    if (jobs_.settled()) return least;
    return std::max(least, Seconds(options_.patience * options_.duration.count()));
  }
  bool finished() const { return drained_ && under_way_.nothing() && account_.unanswered() == 0; }

  std::optional<Seconds> next_due() const {
    std::optional<Seconds> next;
    const auto consider = [&](Seconds when) { next = next ? std::min(*next, when) : when; };
    if (wake_) consider(std::max(now_, *wake_));
    if (next_change_ < options_.slo_changes.size()) consider(options_.slo_changes[next_change_].at);
    if (!drained_) {
      consider(next_arrival_);
      consider(std::max(now_, end_of_traffic()));
      if (const auto job = jobs_.next()) consider(*job);
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
    while (!drained_ && jobs_.next() && *jobs_.next() <= now_) {
      if (const auto actions = jobs_.submit(now_, *core_, *network_)) TRY_STATUS(perform(*actions));
    }
    if (!drained_ && past_duration_ && end_of_traffic() <= now_) TRY_STATUS(end_traffic());
    while (!drained_ && next_arrival_ <= now_) {
      const serving::RequestId request = account_.arrived(now_, now_ + slo_, jobs_.pending());
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
      case Board::Event::Kind::kApplied: return perform(core_->on_applied(now_, under_way_.applied(now_, event), event.took_effect));
    }
    return {};
  }

  Status batch_done(const Board::Event& event) {
    const UnderWay::Batch batch = under_way_.batch_done(event);
    std::optional<serving::Alarm> alarm;
    if (watch_ && batch.clean) {
      alarm = watch_->batch_done(now_, under_way_.row(), batch.requests.size(), event.at - event.started);
    }
    bool counts = false;
    for (const auto request : batch.requests) {
      if (account_.counts(request)) {
        ++batched_requests_;
        counts = true;
      }
      TRY_STATUS(account_.answered(request, now_));
    }
    if (counts) ++result_.batches;
    TRY_STATUS(perform(core_->on_batch_done(now_, batch.id)));
    return alarm ? perform(core_->on_alarm(now_, *alarm)) : Status{};
  }

  Status step_done(const Board::Event& event) {
    const UnderWay::Step step = under_way_.step_done(event);
    jobs_.step_done(step.job, step.items, event.at - event.started);
    const auto actions = core_->on_step_done(now_, step.id);
    jobs_.forget_ended(now_, *core_, under_way_.board().energy());
    return perform(actions);
  }

  Status pass_duration() {
    past_duration_ = true;
    result_.energy = under_way_.board().energy();
    // A job that this policy will never run would only cost time.
    for (const auto id : jobs_.give_up_hopeless(*core_, under_way_.step())) TRY_STATUS(perform(core_->cancel(now_, id)));
    return {};
  }

  Status end_traffic() {
    drained_ = true;
    under_way_.traffic_ended(now_);
    result_.traffic_ended = now_;
    jobs_.give_up(now_, *core_);
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

  Status carry_out(const serving::RunBatch& run) { return under_way_.start_batch(run, core_->queued()); }
  Status carry_out(const serving::RunStep& run) {
    const auto job = jobs_.index(run.job);
    return job ? under_way_.start_step(run, *job) : broken("starts a step of a job that is not pending");
  }
  Status carry_out(const serving::Drop& drop) { return account_.dropped(drop.request, now_, drop.cause); }
  Status carry_out(const serving::Apply& apply) {
    const auto& records = core_->records();
    const auto why = std::find_if(records.rbegin(), records.rend(), [](const auto& record) { return record.act == serving::Act::kRow; });
    return under_way_.start_change(apply, why == records.rend() ? serving::Cause::kRate : why->cause);
  }
  Status carry_out(const serving::WakeAt& wake) {
    wake_ = wake.when;
    return {};
  }

  // --- Accounts ----------------------------------------------------------------------------------------------------------------

  void mark_power() {
    const Joules energy = under_way_.board().energy();
    result_.timeline.power.push_back({now_, (energy - power_energy_) / (now_ - power_at_)});
    power_at_ = now_;
    power_energy_ = energy;
  }

  void fill() {
    account_.fill(result_);
    under_way_.fill(result_);
    jobs_.fill(result_);
    result_.ended = now_;
    if (result_.batches > 0) result_.mean_batch = static_cast<double>(batched_requests_) / static_cast<double>(result_.batches);
    if (result_.answers > 0) result_.energy_per_answer = result_.energy / static_cast<double>(result_.answers);
    const auto& records = core_->records();
    result_.decisions = records.empty() ? 0 : records.back().number;
    if (options_.keep_decisions) result_.records.assign(records.begin(), records.end());
    result_.calibrated = core_->predictor().calibrated();
    if (watch_) result_.stale = watch_->stale();
  }

  const ReplayOptions& options_;
  const Progress& progress_;
  std::unique_ptr<serving::Core> core_;
  const simulation::Network* network_ = nullptr;
  UnderWay under_way_;
  std::optional<serving::RowWatch> watch_;
  Submissions jobs_;
  Arrivals arrivals_;
  Account account_;
  ReplayResult result_;

  Seconds now_{0};
  Seconds slo_;
  Seconds next_arrival_{0};
  std::size_t next_change_ = 0;
  std::optional<Seconds> wake_;
  int wakes_ = 0;
  bool past_duration_ = false;
  bool drained_ = false;
  std::size_t batched_requests_ = 0;
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
