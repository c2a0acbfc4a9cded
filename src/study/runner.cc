#include "study/runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/stats.h"
#include "study/history.h"
#include "study/measure.h"

namespace polythrottle {
namespace {

/// A trial that a rival or a fault voided is tried again this often before the study gives up on the setting it cannot do without.
constexpr int kReferenceAttempts = 3;
/// After confirmation another setting may turn out best; it is confirmed too, but not for ever.
constexpr int kConfirmedChoices = 3;

constexpr const char* kInterruptedNote = "interrupted";

/// Mixes the study's seed with the trial's number (splitmix64), so that every trial has its own and a resumed study draws the same.
std::uint64_t trial_seed(std::uint64_t seed, std::size_t number) {
  std::uint64_t z = seed + 0x9e3779b97f4a7c15ULL * (number + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// So many void trials in a row end the study: whatever voids them will not go away by itself.
constexpr std::size_t kVoidInARow = 4;

/// One study in progress.
class Run {
 public:
  Run(Device& device, Journal& journal, Lease* lease, const Plan& plan, const Observer& observer, std::stop_token stop)
      : device_(device), journal_(journal), lease_(lease), plan_(plan), observer_(observer), stop_(std::move(stop)) {}

  Result<StudyEnd> all(Optimizer& optimizer) {
    TRY(history_, journal_.history());
    before_this_run_ = history_.size();
    TRY(const bool started, reference());
    if (!started) return interrupted();
    TRY(auto constraints, resolve_limits(plan_.limits, history_));
    const Problem problem{device_.space, plan_.objective, std::move(constraints), device_.reference, plan_.seed, plan_.search};
    problem_ = &problem;
    TRY_STATUS(found());
    TRY(StudyEnd end, explore(optimizer, problem));
    if (end.reason != StopReason::kInterrupted && end.reason != StopReason::kFault) {
      TRY_STATUS(confirm(optimizer, problem));
      if (stop_.stop_requested()) end = interrupted();
    }
    end.choice = choice(optimizer, problem);
    return end;
  }

 private:
  static StudyEnd interrupted() { return {StopReason::kInterrupted, "interrupted", {}, {}}; }

  /// Measures the reference unless that is done. False if interrupted.
  Result<bool> reference() {
    for (int attempt = 0; first_reference(history_) == nullptr; ++attempt) {
      if (stop_.stop_requested()) return false;
      const Advice advice{Advice::Kind::kReference, device_.reference, "the setting everything is compared with", {}};
      TRY(const Trial trial, one(advice, explored(history_) + 1, plan_.budget));
      if (stop_.stop_requested() && trial.state != TrialState::kCompleted) return false;
      const bool hopeless = trial.state == TrialState::kRefused || trial.state == TrialState::kFailed ||
                            trial.state == TrialState::kAborted || attempt + 1 == kReferenceAttempts;
      if (trial.state != TrialState::kCompleted && hopeless) {
        return fail(Errc::kIo,
                    fmt::format("the reference setting ({}) could not be measured: {}", device_.reference.text(), trial.outcome.note),
                    "name another with --reference");
      }
    }
    return true;
  }

  /// What the machine was set to before us, where that is another allowed setting than the reference.
  Status found() {
    if (lease_ == nullptr) return {};
    Config config = device_.reference;
    for (const auto& [name, value] : lease_->found().entries()) config.set(name, value);
    if (config == device_.reference || !device_.space.find(config) || explored(history_) >= plan_.budget) return {};
    if (std::any_of(history_.begin(), history_.end(), [&](const Trial& t) { return explores(t) && t.asked == config; })) return {};
    TRY(const Trial trial, one({Advice::Kind::kFound, config, "what the machine was set to", {}}, explored(history_) + 1, plan_.budget));
    return {};
  }

  Result<StudyEnd> explore(Optimizer& optimizer, const Problem& problem) {
    while (true) {
      if (stop_.stop_requested()) return interrupted();
      if (const auto end = violations_used(problem)) return *end;
      // Asked even at the end of the budget: "space exhausted" says more than "budget used".
      TRY(const Advice advice, optimizer.ask(problem, history_));
      if (advice.kind == Advice::Kind::kStop) {
        const bool exhausted = advice.reason == "space exhausted";
        return StudyEnd{exhausted ? StopReason::kExhausted : StopReason::kOptimizer, advice.reason, advice.expected_gain, {}};
      }
      if (const auto fault = void_streak()) return StudyEnd{StopReason::kFault, *fault, {}, {}};
      if (const auto end = budget_used(advice.kind)) return *end;
      const std::size_t number = explored(history_) + (advice.kind == Advice::Kind::kVerify ? 0 : 1);
      TRY(const Trial trial, one(advice, number, std::min(plan_.budget, device_.space.size())));
    }
  }

  /// Second looks are free as long as there are no more of them than the budget has trials: an optimizer that doubts for ever must end too.
  std::optional<StudyEnd> budget_used(Advice::Kind next) const {
    if (next != Advice::Kind::kVerify) {
      if (explored(history_) < plan_.budget) return std::nullopt;
      return StudyEnd{StopReason::kBudget, fmt::format("budget of {} used", plan_.budget), {}, {}};
    }
    const auto looks =
        std::count_if(history_.begin(), history_.end(), [](const Trial& t) { return t.advice.kind == Advice::Kind::kVerify; });
    if (static_cast<std::size_t>(looks) < plan_.budget) return std::nullopt;
    return StudyEnd{StopReason::kBudget, fmt::format("{} second looks, as many as the budget has trials", looks), {}, {}};
  }

  /// Counted over the whole study, so that resuming it allows no more.
  std::optional<StudyEnd> violations_used(const Problem& problem) const {
    if (!plan_.max_violations) return std::nullopt;
    const std::size_t count = searched_in_violation(history_, problem.constraints);
    if (count < *plan_.max_violations) return std::nullopt;
    return StudyEnd{StopReason::kViolations,
                    fmt::format("{} of the search broke a limit, as many as --max-violations allows",
                                count == 1 ? "1 trial" : fmt::format("{} trials", count)),
                    {},
                    {}};
  }

  /// The optimizer's answer; where it names a setting that nobody has measured, the best of those that were.
  std::optional<Recommendation> choice(Optimizer& optimizer, const Problem& problem) const {
    auto best = optimizer.recommend(problem, history_);
    if (best && !held_before(best->config)) best = recommend(problem, history_);
    return best;
  }

  /// Why the last trials of this run were void, if all of the last few were. Those of earlier runs do not count: resuming is how somebody
  /// who has mended the cause goes on.
  std::optional<std::string> void_streak() const {
    if (history_.size() < before_this_run_ + kVoidInARow) return std::nullopt;
    const bool all = std::all_of(history_.end() - static_cast<std::ptrdiff_t>(kVoidInARow), history_.end(),
                                 [](const Trial& t) { return t.state == TrialState::kVoid && t.outcome.note != kInterruptedNote; });
    if (!all) return std::nullopt;
    return fmt::format("{} trials in a row were void: {}", kVoidInARow, history_.back().outcome.note);
  }

  /// Measures reference and choice again in alternation: drift hits both, and the choice is not flattered by having been picked.
  Status confirm(Optimizer& optimizer, const Problem& problem) {
    for (int turn = 0; turn < kConfirmedChoices; ++turn) {
      const auto best = optimizer.recommend(problem, history_);
      if (!best || !best->known_to_meet || best->config == device_.reference) return {};
      const auto rounds = [&](const Config& config) {
        return static_cast<std::size_t>(std::count_if(history_.begin(), history_.end(), [&](const Trial& t) {
          return t.advice.kind == Advice::Kind::kConfirm && t.state == TrialState::kCompleted && t.asked == config;
        }));
      };
      if (rounds(best->config) >= plan_.confirm_rounds) return {};
      std::size_t attempts = 0;
      while (rounds(best->config) < plan_.confirm_rounds && attempts++ < 2 * plan_.confirm_rounds) {
        for (const Config& config : {device_.reference, best->config}) {
          if (stop_.stop_requested()) return {};
          TRY(const Trial trial, one({Advice::Kind::kConfirm, config, "reference and best again, in alternation", {}},
                                     rounds(best->config) + 1, plan_.confirm_rounds));
        }
      }
    }
    return {};
  }

  /// One trial from journal to journal.
  Result<Trial> one(const Advice& advice, std::size_t number, std::size_t of) {
    const std::uint64_t seed = trial_seed(plan_.seed, history_.size());
    Clock& clock = device_.host.clock;
    TRY(const TrialId id, journal_.begin(advice, seed, clock.wall_seconds()));
    Trial trial;
    trial.id = id;
    trial.advice = advice;
    trial.asked = advice.config;
    trial.seed = seed;
    trial.started = clock.wall_seconds();
    if (observer_.began) observer_.began(trial, number, of);
    trial.outcome = outcome_of(advice, seed);
    trial.state = trial.outcome.state;
    trial.finished = clock.wall_seconds();
    TRY_STATUS(journal_.finish(id, trial.outcome, trial.finished));
    history_.push_back(trial);
    if (observer_.ended) observer_.ended(trial, history_, problem_);
    return trial;
  }

  /// Stops what a workload leaves running between the end of `run` and the closing of the window.
  struct EndOfTrial {
    Workload& workload;
    ~EndOfTrial() { workload.finish(); }
  };

  static Outcome broke(const Error& error) {
    return ended(error.code == Errc::kUnsupported ? TrialState::kRefused : TrialState::kFailed, error.text());
  }
  static Outcome ended(TrialState state, std::string note) { return Outcome{state, {}, {}, std::move(note), {}}; }

  /// Apply, read back, warm up, measure. Never fails: whatever goes wrong is an outcome.
  Outcome outcome_of(const Advice& advice, std::uint64_t seed) {
    const Config& config = advice.config;
    // A machine that says no refuses the setting; one that stutters says nothing of it; a workload that breaks has failed there.
    const auto refused = [](const Error& e, TrialState otherwise) {
      const bool said_no =
          e.code == Errc::kOutOfRange || e.code == Errc::kUnsupported || e.code == Errc::kInvalid || e.code == Errc::kPermission;
      return ended(said_no ? TrialState::kRefused : otherwise, e.text());
    };
    // What the search costs is metered too: from the first write to the end of warm-up, and then the window.
    std::unique_ptr<Window> before;
    if (device_.energy_meter) {
      if (auto opened = open_window()) before = std::move(*opened);
    }
    Config got = config;
    if (lease_ != nullptr) {
      auto applied = lease_->apply(config);
      if (applied && !same(*applied, config)) applied = lease_->apply(config);  // once more: a rival may just have written
      if (!applied) return refused(applied.error(), TrialState::kVoid);
      got = overlaid(config, *applied);
      if (!(got == config)) {
        // Where the setting held before, somebody else is writing; where it never did, the machine rounds or refuses it.
        Outcome outcome = ended(held_before(config) ? TrialState::kVoid : TrialState::kRefused,
                                fmt::format("asked for {}, the machine reports {}", config.text(), got.text()));
        outcome.got = got;
        return outcome;
      }
    }
    const EndOfTrial end_of_trial{*device_.workload};
    if (const auto configured = device_.workload->configure(config); !configured) return refused(configured.error(), TrialState::kFailed);
    if (const auto warm = device_.workload->warm_up(stop_); !warm) return broke(warm.error());
    if (stop_.stop_requested()) return ended(TrialState::kVoid, kInterruptedNote);
    std::optional<Joules> spent;
    if (before) {
      if (const auto reading = before->close()) spent = reading->energy;
      before.reset();
    }
    Outcome outcome = window(sample_budget(advice.kind, seed), spent);
    outcome.got = got;
    if (lease_ != nullptr) {
      // What was measured is this setting's only if it still stands.
      const auto now = lease_->now();
      if (!now || !same(*now, config)) {
        const std::string what = now ? fmt::format("somebody else set {} meanwhile", overlaid(config, *now).text()) : now.error().text();
        const auto spent_joules = outcome.metrics.find(kTrialEnergy);
        Outcome spoiled = ended(TrialState::kVoid, what);
        if (spent_joules != outcome.metrics.end()) spoiled.metrics.insert(*spent_joules);
        if (now) spoiled.got = overlaid(config, *now);
        return spoiled;
      }
    }
    return outcome;
  }

  /// `config` with what the machine reports of its knobs.
  static Config overlaid(Config config, const Config& reported) {
    for (const auto& [name, value] : reported.entries()) {
      if (config.get(name)) config.set(name, value);
    }
    return config;
  }
  static bool same(const Config& reported, const Config& config) { return overlaid(config, reported) == config; }

  bool held_before(const Config& config) const {
    return std::any_of(history_.begin(), history_.end(),
                       [&](const Trial& t) { return t.state == TrialState::kCompleted && t.asked == config; });
  }

  /// About twenty blocks in the shortest window: enough for an error, long against one batch.
  Result<std::unique_ptr<Window>> open_window() {
    return Window::open(device_.host, *device_.energy_meter, std::max(plan_.window / 20.0, 2.0 * device_.energy_meter->info().refresh));
  }

  /// Nothing before this line is counted.
  Outcome window(const Budget& budget, std::optional<Joules> spent_before) {
    std::unique_ptr<Window> window;
    if (device_.energy_meter) {
      auto opened = open_window();
      if (!opened) return ended(TrialState::kVoid, opened.error().text());
      window = std::move(*opened);
    }
    const auto events = events_now();
    const auto work = device_.workload->run(budget, stop_);
    Result<WindowReading> reading = window ? window->close() : Result<WindowReading>(WindowReading{});
    Outcome outcome = judged(work, reading, events);
    if (reading && spent_before) outcome.metrics[std::string(kTrialEnergy)] = {(reading->energy + *spent_before).si(), {}, {}, {}};
    return outcome;
  }

  Outcome judged(const Result<Work>& work, const Result<WindowReading>& reading, double events) {
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

  /// Sum of everything that counts throttling; what cannot be read counts nothing.
  double events_now() const {
    double sum = 0.0;
    for (const auto& gauge : device_.gauges) {
      if (gauge->counts()) sum += gauge->read().value_or(0.0);
    }
    return sum;
  }

  /// As many latencies as the strictest percentile needs. Only an exploratory trial may end early on the SLO: reference and confirmation
  /// are wanted whole.
  Budget sample_budget(Advice::Kind kind, std::uint64_t seed) const {
    Budget budget;
    budget.at_least = plan_.window;
    budget.at_most = plan_.window_limit;
    budget.seed = seed;
    for (const auto& limit : plan_.limits) {
      const MetricRow* row = find_metric(limit.metric);
      if (row != nullptr && row->quantile > 0.5) budget.samples = std::max(budget.samples, minimum_quantile_sample(row->quantile));
    }
    if (problem_ != nullptr && kind == Advice::Kind::kTry) {
      for (const auto& c : problem_->constraints) {
        const MetricRow* row = find_metric(c.metric);
        if (row == nullptr || row->unit != "s" || c.bound != Bound::kAtMost) continue;
        budget.limit = Seconds(c.limit);
        budget.quantile = row->quantile;
        break;
      }
    }
    // A setting that meets the SLO answers within it, so its sample is complete after so long; before the reference is measured a relative
    // limit is not known yet.
    double slowest = problem_ == nullptr ? plan_.window_limit.count() / 2.0 : 0.0;
    for (const auto& limit : plan_.limits) {
      const MetricRow* row = find_metric(limit.metric);
      if (row != nullptr && row->unit == "s" && !limit.relative) slowest = limit.limit;
    }
    if (problem_ != nullptr) {
      for (const auto& c : problem_->constraints) {
        const MetricRow* row = find_metric(c.metric);
        if (row != nullptr && row->unit == "s" && c.bound == Bound::kAtMost) slowest = std::max(slowest, c.limit);
      }
    }
    budget.at_most = std::max(budget.at_most, Seconds(1.1 * kSlack * slowest * static_cast<double>(budget.samples)));
    return budget;
  }

  Device& device_;
  Journal& journal_;
  Lease* lease_;
  const Plan& plan_;
  const Observer& observer_;
  std::stop_token stop_;
  std::vector<Trial> history_;
  std::size_t before_this_run_ = 0;  // trials that were in the journal already
  const Problem* problem_ = nullptr;
};

}  // namespace

const char* to_string(StopReason reason) {
  switch (reason) {
    case StopReason::kBudget: return "budget";
    case StopReason::kExhausted: return "exhausted";
    case StopReason::kOptimizer: return "optimizer";
    case StopReason::kViolations: return "violations";
    case StopReason::kInterrupted: return "interrupted";
    case StopReason::kFault: return "fault";
  }
  return "optimizer";
}

Status mark_lost(Journal& journal, double wall_seconds) {
  TRY(const auto history, journal.history());
  for (const auto& trial : history) {
    if (trial.state != TrialState::kRunning) continue;
    TRY_STATUS(journal.finish(trial.id, Outcome{TrialState::kLost, {}, {}, "we died while it ran", {}}, wall_seconds));
  }
  return {};
}

Result<std::vector<Constraint>> resolve_limits(const std::vector<ConstraintSpec>& limits, std::span<const Trial> history) {
  const Trial* reference = first_reference(history);
  if (reference == nullptr) return fail(Errc::kNotFound, "the reference setting has not been measured");
  std::vector<Constraint> out;
  for (const auto& spec : limits) {
    TRY(auto constraint, resolve(spec, reference->metrics()));
    out.push_back(std::move(constraint));
  }
  return out;
}

Result<StudyEnd> run_study(Device& device, Journal& journal, Lease* lease, Optimizer& optimizer, const Plan& plan, const Observer& observer,
                           std::stop_token stop) {
  TRY_STATUS(mark_lost(journal, device.host.clock.wall_seconds()));
  Run run(device, journal, lease, plan, observer, std::move(stop));
  return run.all(optimizer);
}

}  // namespace polythrottle
