#pragma once
// For tests: turns a serving core by a list of events, each of which may happen at any time, and watches it with an oracle.

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serving/core.h"
#include "serving/core_oracle.h"

namespace polythrottle::serving {

/// Under a sanitizer everything takes twenty times as long, so less is tried.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

enum class Happens { kNext, kArrive, kBurst, kBatchDone, kStepDone, kApplied, kTick, kSlo, kSubmit, kPause, kCancel, kAlarm, kDrain };

/// One thing that happens, `wait` after the one before. What it is about is drawn from `choice`, so that it means something in every state,
/// and a list from which some are left out is a list of events too.
struct Event {
  Happens what = Happens::kNext;
  double wait = 0.0;  ///< s
  unsigned choice = 0;

  std::string text() const {
    constexpr const char* names[] = {"next", "arrive", "burst", "batch done", "step done", "applied", "tick",
                                     "slo",  "submit", "pause", "cancel",     "alarm",     "drain"};
    return fmt::format("{{{}, {}, {}}}", names[static_cast<int>(what)], wait, choice);
  }
};

inline std::string told(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) text += "\n  " + event.text();
  return text;
}

/// The fine-tuning jobs that events submit.
inline std::vector<JobSpec> jobs_of_events() {
  const auto job = [](int items, long steps, std::vector<int> pieces) {
    return JobSpec{"job", {.macs = 1e9, .weights = 1e6, .activations = 1e6, .kernels = 100}, items, steps, std::move(pieces), {}};
  };
  return {job(8, 2, {8, 4, 2, 1}), job(1, 3, {1}), job(6, 1, {6, 3, 2}), job(64, 1, {64}), job(4, 2, {4, 1}), job(12, 1, {12, 6, 4, 3, 2})};
}

/// Shows the oracle what a policy is shown.
class WatchedPolicy final : public Policy {
 public:
  using Watch = std::function<void(const ServingState&)>;
  WatchedPolicy(std::unique_ptr<Policy> policy, Watch watch) : policy_(std::move(policy)), watch_(std::move(watch)) {}
  Decision decide(const ServingState& state) const override {
    watch_(state);
    return policy_->decide(state);
  }

 private:
  std::unique_ptr<Policy> policy_;
  Watch watch_;
};

class CoreDriver {
 public:
  struct Setup {
    CoreOptions options;
    CoreRules rules;
    std::function<std::unique_ptr<Policy>()> policy;
    std::function<std::unique_ptr<interference::Predictor>()> predictor;
    std::function<std::unique_ptr<RowChoice>()> rows = [] { return nullptr; };
  };

  explicit CoreDriver(const Setup& setup)
      : options_(setup.options),
        oracle_(setup.rules, options_),
        core_(setup.options, watched(setup.policy()), setup.predictor(), setup.rows()),
        slo_(options_.slo) {}
  CoreDriver(const CoreDriver&) = delete;
  CoreDriver& operator=(const CoreDriver&) = delete;

  const Core& core() const { return core_; }
  const CoreOracle& oracle() const { return oracle_; }
  Time now() const { return now_; }

  /// When what runs will end, from now on, to tell states apart.
  std::string under_way() const {
    const auto left = [&](bool there, Time end) { return there ? fmt::format(" {:.9g}", (end - now_).count()) : std::string(" -"); };
    return left(oracle_.batch().has_value(), batch_end_) + left(oracle_.step().has_value(), step_end_) +
           left(oracle_.applying().has_value(), apply_end_) + left(last_deadline_.has_value(), last_deadline_.value_or(Time(0)));
  }
  /// False if it cannot happen now (no batch that could end).
  bool can(const Event& event) const {
    switch (event.what) {
      case Happens::kNext: return next().has_value();
      case Happens::kBatchDone: return oracle_.batch().has_value();
      case Happens::kStepDone: return oracle_.step().has_value();
      case Happens::kApplied: return oracle_.applying().has_value();
      case Happens::kPause:
      case Happens::kCancel: return !core_.jobs().empty();
      case Happens::kDrain: return !oracle_.is_draining();
      default: return true;
    }
  }

  /// Does nothing if it cannot happen now.
  void happen(const Event& event) {
    if (!can(event)) return;
    if (event.what == Happens::kNext) return turn(event.choice);
    now_ += Seconds(event.wait);
    const unsigned choice = event.choice;
    switch (event.what) {
      case Happens::kNext: break;
      case Happens::kArrive: return arrive(choice);
      case Happens::kBurst:
        for (unsigned i = 0; i < 2 + choice % 7; ++i) arrive(choice / 7);
        return;
      case Happens::kBatchDone: return end_batch(choice);
      case Happens::kStepDone: return end_step(choice);
      case Happens::kApplied: return end_apply(choice);
      case Happens::kTick: return answer(core_.on_tick(now_), choice);
      case Happens::kSlo:
        slo_ = Seconds(std::vector{0.125, 0.25, 0.5, 1.0, 4.0}[choice % 5]);
        oracle_.slo(slo_);
        return answer(core_.set_slo(now_, slo_), choice);
      case Happens::kSubmit: return submit(choice);
      case Happens::kPause: {
        const PendingJob& job = some_job(choice);
        const JobId id = job.id;
        const bool pause = choice % 3 == 2 ? job.paused : !job.paused;
        oracle_.paused(id, pause);
        return answer(core_.pause(now_, id, pause), choice);
      }
      case Happens::kCancel: {
        const JobId id = some_job(choice).id;
        oracle_.cancelled(id);
        return answer(core_.cancel(now_, id), choice);
      }
      case Happens::kAlarm: return answer(core_.on_alarm(now_, static_cast<Alarm>(choice % 3)), choice);
      case Happens::kDrain: oracle_.draining(); return answer(core_.drain(now_), choice);
    }
  }

  /// Lets what is under way take its course until every request is answered and no job can go on, for so many events at most. False: they
  /// were not enough.
  bool settle(int most, bool jobs_too) {
    for (int i = 0; i < most && oracle_.wrong().empty(); ++i) {
      if (oracle_.unanswered() == 0 && !oracle_.anything_runs() && (!jobs_too || oracle_.runnable().empty())) return true;
      if (!next()) return false;
      turn(0);
    }
    return !oracle_.wrong().empty();
  }

 private:
  std::unique_ptr<Policy> watched(std::unique_ptr<Policy> policy) {
    return std::make_unique<WatchedPolicy>(std::move(policy), [this](const ServingState& state) {
      if (std::exchange(shown_, true)) return;
      oracle_.shown(now_, state);
    });
  }

  enum class Turn { kBatch, kStep, kApply, kWake };
  /// What comes next by time if nothing else happens.
  std::optional<std::pair<double, Turn>> next() const {
    std::optional<std::pair<double, Turn>> first;
    const auto offer = [&](bool there, Time when, Turn turn) {
      if (there && (!first || when.count() < first->first)) first = {when.count(), turn};
    };
    offer(oracle_.batch().has_value(), batch_end_, Turn::kBatch);
    offer(oracle_.step().has_value(), step_end_, Turn::kStep);
    offer(oracle_.applying().has_value(), apply_end_, Turn::kApply);
    offer(oracle_.wake().has_value(), oracle_.wake().value_or(Time(0)), Turn::kWake);
    return first;
  }
  void turn(unsigned choice) {
    const auto [when, what] = *next();
    now_ = std::max(now_, Time(when));
    switch (what) {
      case Turn::kBatch: return end_batch(choice);
      case Turn::kStep: return end_step(choice);
      case Turn::kApply: return end_apply(choice);
      case Turn::kWake: return answer(core_.on_tick(now_), choice);
    }
  }

  void arrive(unsigned choice) {
    std::optional<Time> deadline;
    switch (choice % 8) {
      case 4: deadline = now_ + slo_ / 4; break;
      case 5: deadline = last_deadline_; break;
      case 6: deadline = now_ + slo_ * 3; break;
      case 7: deadline = choice % 16 == 7 ? now_ : now_ + Seconds(0.0625); break;
      default: break;
    }
    last_deadline_ = deadline.value_or(now_ + slo_);
    const RequestId id = ++requests_;
    oracle_.arrived(now_, id, deadline);
    answer(core_.on_arrival(now_, id, deadline), choice);
  }
  void submit(unsigned choice) {
    const std::vector<JobSpec> specs = jobs_of_events();
    JobSpec spec = specs[choice % specs.size()];
    if (choice % 5 == 0) spec.deadline = now_ + Seconds(choice % 2 ? 1.0 : 30.0);
    const Result<Core::Submitted> submitted = core_.submit(now_, spec);
    if (!submitted) return answer({}, choice, false);
    oracle_.submitted(submitted->id, spec);
    answer(submitted->actions, choice);
  }
  const PendingJob& some_job(unsigned choice) const { return core_.jobs()[choice % core_.jobs().size()]; }

  void end_batch(unsigned choice) {
    const BatchId id = oracle_.batch()->id;
    oracle_.batch_ended(now_);
    answer(core_.on_batch_done(now_, id), choice);
  }
  void end_step(unsigned choice) {
    const StepId id = oracle_.step()->id;
    oracle_.step_ended(now_);
    answer(core_.on_step_done(now_, id), choice);
  }
  void end_apply(unsigned choice) {
    const std::size_t row = *oracle_.applying();
    const bool took_effect = choice % 5 != 4;
    oracle_.applied(took_effect);
    answer(core_.on_applied(now_, row, took_effect), choice);
  }

  /// How long things take is as predicted, half of it, or three times.
  void answer(const std::vector<Action>& actions, unsigned choice, bool answered = true) {
    const bool had_batch = oracle_.batch().has_value(), had_step = oracle_.step().has_value(), had_apply = oracle_.applying().has_value();
    if (answered) oracle_.acted(now_, actions, core_);
    shown_ = false;
    const interference::Speeds& speeds = options_.rows[oracle_.row()].speeds;
    const double factor = std::vector{1.0, 1.0, 0.5, 1.0, 3.0, 1.0, 1.25}[choice % 7];
    if (!had_batch && oracle_.batch())
      batch_end_ = now_ + core_.predictor().batch({speeds, static_cast<int>(oracle_.batch()->requests.size()), {}}).mean * factor;
    if (!had_step && oracle_.step()) step_end_ = now_ + core_.predictor().step(speeds, {{}, oracle_.step()->items}, 0.0).mean * factor;
    if (!had_apply && oracle_.applying()) apply_end_ = now_ + Seconds(0.03125) * factor;
    oracle_.check_alive(core_.predictor().calibrated());
  }

  CoreOptions options_;
  CoreOracle oracle_;
  Core core_;
  Seconds slo_;
  Time now_{0};
  bool shown_ = false;  ///< since the last event
  Time batch_end_{0}, step_end_{0}, apply_end_{0};
  std::optional<Time> last_deadline_;
  RequestId requests_ = 0;
};

}  // namespace polythrottle::serving
