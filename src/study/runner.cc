#include "study/runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "study/baseline.h"
#include "study/drift.h"
#include "study/facts.h"
#include "study/history.h"
#include "study/one_trial.h"

namespace polythrottle {
namespace {

/// A trial that a rival or a fault voided is tried again this often before the study gives up on the setting it cannot do without.
constexpr int kReferenceAttempts = 3;
/// After confirmation another setting may turn out best; it is confirmed too, but not for ever.
constexpr int kConfirmedChoices = 3;

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
      : device_(device),
        journal_(journal),
        lease_(lease),
        plan_(plan),
        observer_(observer),
        stop_(std::move(stop)),
        trial_(device, lease, plan, stop_) {}

  Result<StudyEnd> all(Optimizer& optimizer) {
    TRY(history_, journal_.history());
    before_this_run_ = history_.size();
    TRY_STATUS(look_before());
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

  /// What the machine is before the first trial, unless an earlier run has looked.
  Status look_before() {
    TRY(const auto facts, journal_.facts());
    TRY(auto baseline, baseline_of(facts));
    const bool wanted = plan_.idle > Seconds(0) || plan_.cool_down > Seconds(0);
    if (!baseline && wanted && !stop_.stop_requested()) {
      baseline = measure_baseline(device_, plan_.idle, stop_);
      if (!stop_.stop_requested()) TRY_STATUS(journal_.describe({{fact::kBaseline, to_fact(*baseline)}}));
    }
    if (baseline) trial_.cool_down_to(baseline->temperature);
    return {};
  }

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
                    trial.state == TrialState::kVoid || trial.state == TrialState::kFailed ? "" : "name another with --reference");
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
      if (check_due(history_, device_.reference, plan_.objective.metric, plan_.check_every) && explored(history_) < plan_.budget) {
        if (const auto fault = void_streak()) return StudyEnd{StopReason::kFault, *fault, {}, {}};
        const Advice check{Advice::Kind::kCheck, device_.reference, "the reference again, to see drift", {}};
        TRY(const Trial trial, one(check, explored(history_), std::min(plan_.budget, device_.space.size())));
        continue;
      }
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
    trial.outcome = trial_.run(advice, seed, history_, problem_);
    keep_printed(trial);
    trial.state = trial.outcome.state;
    trial.finished = clock.wall_seconds();
    TRY_STATUS(journal_.finish(id, trial.outcome, trial.finished));
    history_.push_back(trial);
    if (observer_.ended) observer_.ended(trial, history_, problem_);
    return trial;
  }

  /// What its program printed goes into a file, and where that is into the note of a trial that did not go well.
  void keep_printed(Trial& trial) const {
    const std::string text = device_.workload->take_printed();
    if (text.empty() || !observer_.printed) return;
    trial.state = trial.outcome.state;
    const auto where = observer_.printed(trial, text);
    if (!where) {
      trial.outcome.notes.push_back("what the command printed is not kept: " + where.error().text());
    } else if (trial.state == TrialState::kFailed || trial.state == TrialState::kRefused || trial.state == TrialState::kVoid) {
      trial.outcome.note += "; all of it in " + *where;
    }
  }

  bool held_before(const Config& config) const {
    return std::any_of(history_.begin(), history_.end(),
                       [&](const Trial& t) { return t.state == TrialState::kCompleted && t.asked == config; });
  }

  Device& device_;
  Journal& journal_;
  Lease* lease_;
  const Plan& plan_;
  const Observer& observer_;
  std::stop_token stop_;
  OneTrial trial_;
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
  // Nothing of the workload is left when the caller gives the machine back.
  struct EndOfStudy {
    Workload& workload;
    ~EndOfStudy() { workload.close(); }
  } end_of_study{*device.workload};
  TRY_STATUS(mark_lost(journal, device.host.clock.wall_seconds()));
  Run run(device, journal, lease, plan, observer, std::move(stop));
  return run.all(optimizer);
}

}  // namespace polythrottle
