#include "study/one_trial.h"

#include <fmt/format.h>

#include <algorithm>

#include "meter/slowdowns.h"
#include "study/measure.h"
#include "study/one_trial_parts.h"
#include "study/trial_budget.h"

namespace polythrottle {

using namespace one_trial;

namespace {

/// What a workload that says "unsupported" could not do is refused; any other way it breaks, it failed there.
Outcome broke(const Error& error) {
  return ended(error.code == Errc::kUnsupported ? TrialState::kRefused : TrialState::kFailed, error.text());
}

/// A workload may go on until the window is closed, so that its end is no part of what is measured; no longer than the trial.
struct EndOfTrial {
  Workload& workload;
  ~EndOfTrial() { workload.finish(); }
};

void put_time(Metrics& metrics, std::string_view name, Seconds time) { metrics[std::string(name)] = {time.count(), {}, {}, {}}; }

}  // namespace

Outcome OneTrial::run(const Advice& advice, std::uint64_t seed, std::span<const Trial> history, const Problem* problem) {
  Attempt trial{.advice = advice,
                .seed = seed,
                .history = history,
                .problem = problem,
                .costs = {},
                .got = advice.config,
                .notes = {},
                .watch = std::nullopt,
                .watched = {},
                .rule = {}};
  Outcome outcome = attempt(trial);
  outcome.metrics.insert(trial.costs.begin(), trial.costs.end());
  return outcome;
}

Outcome OneTrial::attempt(Attempt& trial) {
  // What the search costs is metered too: from the first write to the end of warm-up, and then the window.
  std::unique_ptr<Window> before;
  if (device_.energy_meter) {
    if (auto opened = open_window()) before = std::move(*opened);
  }
  if (auto end = set(trial)) return std::move(*end);
  const Config& config = trial.advice.config;
  const EndOfTrial end_of_trial{*device_.workload};
  if (const auto configured = device_.workload->configure(config); !configured) return refused(configured.error(), TrialState::kFailed);
  cool_down(trial);
  if (stop_.stop_requested()) return ended(TrialState::kVoid, kInterruptedNote);
  if (lease_ != nullptr) trial.watch.emplace(device_.host.clock, device_.knobs, config, Watch::Pace{.window = plan_.window});
  const auto loaded = device_.host.clock.now();
  if (const auto warm = device_.workload->warm_up(stop_); !warm) return broke(warm.error());
  if (stop_.stop_requested()) return ended(TrialState::kVoid, kInterruptedNote);
  if (device_.energy_meter) put_time(trial.costs, kWarmUpTime, device_.host.clock.now() - loaded);
  std::optional<Joules> spent;
  if (before) {
    if (const auto reading = before->close()) spent = reading->energy;
    before.reset();
  }
  Outcome outcome = measured(trial, spent);
  outcome.got = trial.got;
  if (lease_ == nullptr) return outcome;
  if (auto spoiled = changed(trial)) return std::move(*spoiled);
  prove(trial, outcome);
  return outcome;
}

/// About twenty blocks in the shortest window: enough for an error, long against one batch.
Seconds OneTrial::block() const { return std::max(plan_.window / 20.0, 2.0 * device_.energy_meter->info().refresh); }

Result<std::unique_ptr<Window>> OneTrial::open_window() { return Window::open(device_.host, *device_.energy_meter, block()); }

/// Nothing before this line is counted; nor is what is found, in the end, to be before the load was steady.
Outcome OneTrial::measured(Attempt& trial, std::optional<Joules> spent_before) {
  Budget budget = trial_budget(plan_, trial.advice, trial.problem, trial.seed);
  trial.rule = sizing_rule(plan_, budget);
  std::unique_ptr<Window> window;
  std::optional<WindowSizing> sizing;
  if (device_.energy_meter) {
    auto opened = open_window();
    if (!opened) return ended(TrialState::kVoid, opened.error().text());
    window = std::move(*opened);
    if (trial.rule.energy_error > 0.0 || trial.rule.settle_limit > Seconds(0)) {
      sizing.emplace(trial.rule, *window, device_.host.clock, block());
      budget.enough = [&](const Work& so_far) { return sizing->enough(so_far); };
    }
  }
  const auto counts = counts_of(device_.gauges);
  if (trial.watch) trial.watch->judge_from_now();
  const auto work = device_.workload->run(budget, stop_);
  Result<WindowReading> reading = window ? window->close() : Result<WindowReading>(WindowReading{});
  if (trial.watch) trial.watched = trial.watch->end();  // soon: the clocks fall to rest
  if (reading && spent_before) trial.costs[std::string(kTrialEnergy)] = {(reading->energy + *spent_before).si(), {}, {}, {}};
  return judged(trial, work, reading, counts, sizing ? sizing->from() : std::nullopt);
}

/// Metrics of the steady part of a run. `from`: the block at which it was found to begin; else it is looked for now.
Metrics OneTrial::sized(Attempt& trial, const Work& work, const WindowReading& reading, std::optional<std::size_t> from) const {
  if (!device_.energy_meter) return measure(work, reading, {});
  Sized sized = size_up(trial.rule, work, reading, from);
  const auto& sources = device_.energy_meter->info().error_sources;
  trial.costs[std::string(kWarmUpTime)].value += sized.settling.count();
  put_time(trial.costs, kWindowTime, sized.length);
  for (auto& remark : remarks_of(trial.rule, sized)) trial.notes.push_back(std::move(remark));
  if (sized.part.from == 0) return measure(work, reading, sources);
  const WindowReading window = tail_of(reading, sized.part.from);
  return measure(tail_of(work, window), window, sources);
}

Outcome OneTrial::judged(Attempt& trial, const Result<Work>& work, const Result<WindowReading>& reading,
                         std::span<const std::optional<double>> counts, std::optional<std::size_t> from) const {
  if (!work) return broke(work.error());
  if (stop_.stop_requested()) return ended(TrialState::kVoid, kInterruptedNote);
  Outcome outcome;
  outcome.notes = work->notes;
  if (work->ready) {
    outcome.metrics = *work->ready;
    return outcome;
  }
  if (work->cut_short) {
    outcome.state = TrialState::kAborted;
    outcome.metrics = measure_latency(*work);
    outcome.note = "stopped early: it clearly breaks the SLO";
    return outcome;
  }
  if (work->saturated) {
    outcome.state = TrialState::kAborted;
    outcome.metrics = measure_latency(*work);
    const double rate = static_cast<double>(work->inferences) / std::max((work->ended - work->began).count(), 1e-9);
    outcome.note = fmt::format("requests came faster than they were answered ({:.4g} /s): latency grows without bound", rate);
    return outcome;
  }
  if (!reading) return ended(TrialState::kVoid, reading.error().text());
  if (work->inferences == 0)
    return ended(TrialState::kFailed, fmt::format("nothing was answered within {:.0f} s", plan_.window_limit.count()));
  outcome.metrics = sized(trial, *work, *reading, from);
  outcome.notes.insert(outcome.notes.end(), trial.notes.begin(), trial.notes.end());
  if (std::string slowed = slowed_down_since(device_.gauges, counts); !slowed.empty()) return ended(TrialState::kVoid, std::move(slowed));
  for (const auto& gauge : device_.gauges) {
    if (gauge->counts()) continue;
    if (const auto value = gauge->read()) outcome.metrics[gauge->name()] = {*value, {}, 1, {}};
  }
  return outcome;
}

}  // namespace polythrottle
