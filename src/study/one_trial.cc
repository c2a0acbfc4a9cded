#include "study/one_trial.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/stats.h"
#include "knob/cooling.h"
#include "study/measure.h"
#include "study/read_back.h"

namespace polythrottle {
namespace {

/// A trial waits no longer for a hot machine, and looks so often. Without load it cools; tried again at once, a setting would be void
/// until the study ends.
constexpr Seconds kLongestCooling{60.0};
constexpr Seconds kLookAgain{1.0};

Outcome ended(TrialState state, std::string note) { return Outcome{state, {}, {}, std::move(note), {}}; }

/// A machine that says no refuses the setting; one that stutters says nothing of it; a workload that breaks has failed there.
Outcome refused(const Error& e, TrialState otherwise) {
  const bool said_no =
      e.code == Errc::kOutOfRange || e.code == Errc::kUnsupported || e.code == Errc::kInvalid || e.code == Errc::kPermission;
  return ended(said_no ? TrialState::kRefused : otherwise, e.text());
}

/// What a workload that says "unsupported" could not do is refused; any other way it breaks, it failed there.
Outcome broke(const Error& error) {
  return ended(error.code == Errc::kUnsupported ? TrialState::kRefused : TrialState::kFailed, error.text());
}

/// A workload may go on until the window is closed, so that its end is no part of what is measured; no longer than the trial.
struct EndOfTrial {
  Workload& workload;
  ~EndOfTrial() { workload.finish(); }
};

/// `config` with what the machine reports of its knobs.
Config overlaid(Config config, const Config& reported) {
  for (const auto& [name, value] : reported.entries()) {
    if (config.get(name)) config.set(name, value);
  }
  return config;
}
bool same(const Config& reported, const Config& config) { return overlaid(config, reported) == config; }

/// Did a trial with these values complete, and its clock with it? One whose clock could not be read says nothing.
bool obeyed_before(std::span<const Trial> history, const Config& config, const std::vector<std::string>& knobs) {
  return std::any_of(history.begin(), history.end(), [&](const Trial& t) {
    const auto proof = proof_of(t);
    return t.state == TrialState::kCompleted && proof && *proof != Proof::kUnseen &&
           std::all_of(knobs.begin(), knobs.end(), [&](const auto& name) { return t.asked.get(name) == config.get(name); });
  });
}

/// The metric that keeps what a knob's clock did.
std::string_view clock_metric(std::string_view knob) {
  if (knob.starts_with("gpu_")) return kGpuClockSeen;
  if (knob.starts_with("mem_")) return kMemoryClockSeen;
  return knob.starts_with("cpu_") ? kCpuClockSeen : std::string_view();
}

}  // namespace

/// A trial in progress.
struct OneTrial::Attempt {
  const Advice& advice;
  std::uint64_t seed;
  std::span<const Trial> history;
  const Problem* problem;
  Metrics costs;  ///< of the search: kept whatever the outcome
  Config got;
  std::optional<Watch> watch;  ///< while the workload runs
  Watched watched;
};

Outcome OneTrial::run(const Advice& advice, std::uint64_t seed, std::span<const Trial> history, const Problem* problem) {
  Attempt trial{.advice = advice,
                .seed = seed,
                .history = history,
                .problem = problem,
                .costs = {},
                .got = advice.config,
                .watch = std::nullopt,
                .watched = {}};
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
  if (lease_ != nullptr) trial.watch.emplace(device_.host.clock, device_.knobs, config, Watch::Pace{.window = plan_.window});
  if (const auto warm = device_.workload->warm_up(stop_); !warm) return broke(warm.error());
  if (stop_.stop_requested()) return ended(TrialState::kVoid, kInterruptedNote);
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

/// Sets the machine's part and reads it back. Answers how the trial ended if it cannot go on.
std::optional<Outcome> OneTrial::set(Attempt& trial) {
  if (lease_ == nullptr) return std::nullopt;
  const Config& config = trial.advice.config;
  const auto began = device_.host.clock.now();
  const WriteTotals before = device_.host.files.written();
  auto applied = lease_->apply(config);
  if (applied && !same(*applied, config)) applied = lease_->apply(config);  // once more: a rival may just have written
  const WriteTotals after = device_.host.files.written();
  const Config now = overlaid(lease_->found(), config);
  if (after.count > before.count || !(now == set_to_)) {
    trial.costs[std::string(kActuation)] = {(device_.host.clock.now() - began).count(), {}, 1, {}};
  }
  if (const std::size_t writes = after.count - before.count; writes > 0) {
    trial.costs[std::string(kWrite)] = {(after.time - before.time).count() / static_cast<double>(writes), {}, writes, {}};
  }
  set_to_ = now;
  if (applied && only_lower(missed(device_.knobs, config, *applied)) && waited_to_cool()) applied = lease_->apply(config);
  if (stop_.stop_requested()) return ended(TrialState::kVoid, kInterruptedNote);
  if (!applied) return refused(applied.error(), TrialState::kVoid);
  trial.got = overlaid(config, *applied);
  if (trial.got == config) return std::nullopt;
  const auto misses = missed(device_.knobs, config, trial.got);
  const auto all = [&](auto what) { return std::all_of(misses.begin(), misses.end(), what); };
  // A limit of the kernel's against heat is the lower one of the two that are read: it goes, and says nothing of the setting.
  const std::string heat = only_lower(misses) ? held_down_text() : "";
  // Where the values held before, somebody else is writing; where they never did, the machine rounds or refuses them.
  const bool held = all([&](const Missed& miss) { return held_before(trial.history, miss, config, device_.knobs); });
  const bool spoiled = held || !heat.empty();
  Outcome outcome = ended(
      spoiled ? TrialState::kVoid : TrialState::kRefused,
      fmt::format("asked for {}, the machine reports {}{}", config.text(), trial.got.text(), heat.empty() && held ? running_here() : heat));
  outcome.got = trial.got;
  return outcome;
}

/// About twenty blocks in the shortest window: enough for an error, long against one batch.
Result<std::unique_ptr<Window>> OneTrial::open_window() {
  return Window::open(device_.host, *device_.energy_meter, std::max(plan_.window / 20.0, 2.0 * device_.energy_meter->info().refresh));
}

/// Nothing before this line is counted.
Outcome OneTrial::measured(Attempt& trial, std::optional<Joules> spent_before) {
  std::unique_ptr<Window> window;
  if (device_.energy_meter) {
    auto opened = open_window();
    if (!opened) return ended(TrialState::kVoid, opened.error().text());
    window = std::move(*opened);
  }
  const auto events = events_now();
  if (trial.watch) trial.watch->judge_from_now();
  const auto work = device_.workload->run(budget(trial), stop_);
  Result<WindowReading> reading = window ? window->close() : Result<WindowReading>(WindowReading{});
  if (trial.watch) trial.watched = trial.watch->end();  // soon: the clocks fall to rest
  if (reading && spent_before) trial.costs[std::string(kTrialEnergy)] = {(reading->energy + *spent_before).si(), {}, {}, {}};
  return judged(work, reading, events);
}

Outcome OneTrial::judged(const Result<Work>& work, const Result<WindowReading>& reading, double events) const {
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
  outcome.metrics =
      measure(*work, *reading, device_.energy_meter ? device_.energy_meter->info().error_sources : std::vector<std::string>{});
  if (const auto happened = events_now() - events; happened > 0.0) {
    return ended(TrialState::kVoid,
                 fmt::format("the hardware slowed itself down {:.0f} times meanwhile (under-voltage or over-current)", happened));
  }
  for (const auto& gauge : device_.gauges) {
    if (gauge->counts()) continue;
    if (const auto value = gauge->read()) outcome.metrics[gauge->name()] = {*value, {}, 1, {}};
  }
  return outcome;
}

/// What was measured is this setting's only if it stood all the time, and still stands.
std::optional<Outcome> OneTrial::changed(const Attempt& trial) const {
  const Config& config = trial.advice.config;
  const auto now = lease_->now();
  if (!now) return ended(TrialState::kVoid, now.error().text());
  auto changes = trial.watched.changed;
  Outcome spoiled = ended(TrialState::kVoid, {});
  spoiled.got = overlaid(config, *now);
  for (const auto& knob : device_.knobs) {
    const Parameter& parameter = knob->parameter();
    const auto expected = config.get(parameter.name), seen = now->get(parameter.name);
    const bool known =
        std::any_of(changes.begin(), changes.end(), [&](const ForeignChange& c) { return c.parameter.name == parameter.name; });
    if (expected && seen && *expected != *seen && !known) changes.push_back({parameter, *expected, *seen});
  }
  if (changes.empty()) return std::nullopt;
  std::string what;
  const bool lower = std::all_of(changes.begin(), changes.end(),
                                 [](const ForeignChange& c) { return claims_a_clock(c.parameter) && c.seen < c.expected; });
  const std::string heat = lower ? held_down_text() : "";
  for (const auto& change : changes) {
    what += fmt::format("{}{}={}", what.empty() ? "" : " ", change.parameter.name, spoken(change.parameter, change.seen));
    spoiled.got.set(change.parameter.name, change.seen);
  }
  spoiled.note = heat.empty() ? fmt::format("somebody else set {} meanwhile{}", what, running_here())
                              : fmt::format("the machine went down to {} meanwhile{}", what, heat);
  return spoiled;
}

/// Keeps what the clocks did, and refuses or voids a trial whose clocks did not do as they were told.
void OneTrial::prove(const Attempt& trial, Outcome& outcome) const {
  if (outcome.state != TrialState::kCompleted && outcome.state != TrialState::kAborted) return;
  Metrics clocks;
  for (const auto& trace : trial.watched.clocks) {
    const auto metric = clock_metric(trace.knob);
    if (trace.hertz.empty() || metric.empty()) continue;
    clocks.emplace(metric, Estimate{mean(trace.hertz), {}, trace.hertz.size(), {}});
  }
  const auto proof = polythrottle::prove(claimed_clocks(device_.knobs, trial.advice.config, trial.watched.clocks), !device_.open_loop);
  if (proof && proof->proof == Proof::kContradicted) {
    const bool obeyed = proof->held_for_a_while || obeyed_before(trial.history, trial.advice.config, proof->knobs);
    const Config got = outcome.got;
    outcome = ended(obeyed ? TrialState::kVoid : TrialState::kRefused, proof->text + (obeyed ? running_here() : ""));
    outcome.got = got;
  }
  if (proof) outcome.notes.push_back(proof_remark(*proof));
  outcome.metrics.merge(clocks);
}

/// False where there was nothing to wait for.
bool OneTrial::waited_to_cool() const {
  const Clock& clock = device_.host.clock;
  const auto until = clock.now() + kLongestCooling;
  bool waited = false;
  while (!stop_.stop_requested() && clock.now() < until && !cooling_now(device_.host.files).empty()) {
    device_.host.clock.sleep_until(clock.now() + kLookAgain);
    waited = true;
  }
  return waited;
}

/// ": held down by heat (cpufreq-cpu0)"; empty while no clock is.
std::string OneTrial::held_down_text() const {
  const auto devices = cooling_now(device_.host.files);
  return devices.empty() ? std::string() : fmt::format(": held down by heat ({})", fmt::join(devices, ", "));
}

/// " (running here: tuned, tlp)".
std::string OneTrial::running_here() const {
  const auto names = device_.suspects ? device_.suspects() : std::vector<std::string>();
  return names.empty() ? std::string() : fmt::format(" (running here: {})", fmt::join(names, ", "));
}

/// Sum of everything that counts throttling; what cannot be read counts nothing.
double OneTrial::events_now() const {
  double sum = 0.0;
  for (const auto& gauge : device_.gauges) {
    if (gauge->counts()) sum += gauge->read().value_or(0.0);
  }
  return sum;
}

/// As many latencies as the strictest percentile needs. Only an exploratory trial may end early on the SLO: reference and confirmation
/// are wanted whole.
Budget OneTrial::budget(const Attempt& trial) const {
  Budget budget;
  budget.at_least = plan_.window;
  budget.at_most = plan_.window_limit;
  budget.seed = trial.seed;
  for (const auto& limit : plan_.limits) {
    const MetricRow* row = find_metric(limit.metric);
    if (row != nullptr && row->quantile > 0.5) budget.samples = std::max(budget.samples, minimum_quantile_sample(row->quantile));
  }
  if (trial.problem != nullptr && trial.advice.kind == Advice::Kind::kTry) {
    for (const auto& c : trial.problem->constraints) {
      const MetricRow* row = find_metric(c.metric);
      if (row == nullptr || row->unit != "s" || c.bound != Bound::kAtMost) continue;
      budget.limit = Seconds(c.limit);
      budget.quantile = row->quantile;
      break;
    }
  }
  // A setting that meets the SLO answers within it, so its sample is complete after so long; before the reference is measured a relative
  // limit is not known yet.
  double slowest = trial.problem == nullptr ? plan_.window_limit.count() / 2.0 : 0.0;
  for (const auto& limit : plan_.limits) {
    const MetricRow* row = find_metric(limit.metric);
    if (row != nullptr && row->unit == "s" && !limit.relative) slowest = limit.limit;
  }
  if (trial.problem != nullptr) {
    for (const auto& c : trial.problem->constraints) {
      const MetricRow* row = find_metric(c.metric);
      if (row != nullptr && row->unit == "s" && c.bound == Bound::kAtMost) slowest = std::max(slowest, c.limit);
    }
  }
  budget.at_most = std::max(budget.at_most, Seconds(1.1 * kSlack * slowest * static_cast<double>(budget.samples)));
  return budget;
}

}  // namespace polythrottle
