// polythrottle tune: from the words of the user to the answer.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/borrow.h"
#include "cli/cli.h"
#include "cli/kept_output.h"
#include "cli/open_device.h"
#include "cli/progress.h"
#include "cli/tune_options.h"
#include "cli/tune_search.h"
#include "cli/version.h"
#include "journal/observed.h"
#include "optimizer/optimizer.h"
#include "platform/rivals.h"
#include "report/report.h"
#include "study/summary.h"
#include "trial/search_limits.h"

namespace polythrottle {
namespace {

constexpr std::size_t kDefaultBudget = 20;
constexpr std::size_t kDefaultConfirm = 3;
constexpr double kDefaultEnergyError = 0.01;
constexpr double kDefaultSettleLimit = 10.0;  ///< s
constexpr double kDefaultCoolDown = 20.0;     ///< s
constexpr double kDefaultIdleWindows = 3.0;   ///< shortest windows
constexpr double kLongestDefaultIdle = 3.0;  ///< s
constexpr std::size_t kDefaultCheckEvery = 8;

/// An error with the exit code it leads to.
struct Failure {
  Error error;
  int code = kExitFailure;
};

/// Everything that can be checked before a device is opened.
Status check_options(const TuneOptions& o) {
  if (o.slo.empty()) return fail(Errc::kInvalid, "--slo is missing", "e.g. p99=50ms, mean=20ms or 1.2x");
  if (o.budget && *o.budget == 0) return fail(Errc::kInvalid, "--budget 0 measures nothing", "the reference alone takes one trial");
  if (!(o.window_seconds > 0.0) || !(o.window_limit_seconds >= o.window_seconds)) {
    return fail(Errc::kInvalid, "--window must be above zero and not above --window-limit");
  }
  if (o.rate && !(*o.rate > 0.0)) return fail(Errc::kInvalid, "--rate must be above zero");
  if (o.pace_seconds < 0.0) return fail(Errc::kInvalid, "--pace must not be negative");
  if (o.batch_delay_seconds && *o.batch_delay_seconds < 0.0) return fail(Errc::kInvalid, "--batch-delay must not be negative");
  if (o.energy_error) TRY_STATUS(parse_energy_error(*o.energy_error));
  TRY_STATUS(check_search(o));
  TRY_STATUS(parse_objective(o.objective));
  return {};
}

/// How a window is sized, and what is looked at between trials. A recorded table has neither.
Status plan_windows(const TuneOptions& o, const Device& device, Plan& plan) {
  const bool recorded = device.energy_provenance == Provenance::kRecorded;
  if (recorded && (o.energy_error || o.settle_limit_seconds || o.cool_down_seconds || o.idle_seconds || o.check_every)) {
    return fail(Errc::kInvalid,
                "--energy-error, --settle-limit, --cool-down, --idle and --check-every say how to measure, and a recorded table has been",
                "leave them out");
  }
  if (recorded) return {};
  plan.energy_error = kDefaultEnergyError;
  if (o.energy_error) {
    TRY(plan.energy_error, parse_energy_error(*o.energy_error));
  }
  plan.settle_limit = Seconds(o.settle_limit_seconds.value_or(kDefaultSettleLimit));
  plan.cool_down = Seconds(o.cool_down_seconds.value_or(kDefaultCoolDown));
  plan.idle = Seconds(o.idle_seconds.value_or(std::min(kDefaultIdleWindows * o.window_seconds, kLongestDefaultIdle)));
  plan.check_every = o.check_every.value_or(kDefaultCheckEvery);
  return {};
}

Result<Plan> make_plan(const TuneOptions& o, const Device& device) {
  Plan plan;
  TRY(plan.objective, parse_objective(o.objective));
  TRY(auto slo, parse_slo(o.slo));
  plan.limits.push_back(std::move(slo));
  for (const auto& text : o.constraints) {
    TRY(auto constraint, parse_constraint(text));
    plan.limits.push_back(std::move(constraint));
  }
  const auto gives = [&](const std::string& metric) {
    return std::find(device.metrics.begin(), device.metrics.end(), metric) != device.metrics.end();
  };
  std::string given;
  for (const auto& name : device.metrics) given += fmt::format("{}{}", given.empty() ? "" : ", ", find_metric(name)->alias);
  for (const auto& limit : plan.limits) {
    if (!gives(limit.metric))
      return fail(Errc::kInvalid, fmt::format("'{}': this device gives no {}", limit.text, limit.metric), "it gives " + given);
  }
  if (!gives(plan.objective.metric)) {
    return fail(Errc::kInvalid, fmt::format("--objective {}: this device gives no {}", o.objective, plan.objective.metric),
                "it gives " + given);
  }
  plan.seed = o.seed;
  TRY(const auto* driver, find_driver(o.optimizer));
  plan.budget = o.budget.value_or(driver->exhaustive ? device.space.size() : std::min(kDefaultBudget, device.space.size()));
  if (o.confirm.value_or(0) > 0 && device.energy_provenance == Provenance::kRecorded) {
    return fail(Errc::kInvalid, "--confirm: a recorded table gives the same readings again", "leave it out");
  }
  plan.confirm_rounds = o.confirm.value_or(device.energy_provenance == Provenance::kRecorded ? 0 : kDefaultConfirm);
  if (o.horizon && device.energy_provenance == Provenance::kRecorded) {
    return fail(Errc::kInvalid, "--horizon: a recorded table does not say what a trial costs", "leave it out");
  }
  plan.window = Seconds(o.window_seconds);
  plan.window_limit = Seconds(o.window_limit_seconds);
  TRY_STATUS(plan_windows(o, device, plan));
  plan.max_violations = o.max_violations;
  TRY(plan.search, make_search(o));
  return plan;
}

StudyFacts describe_study(const TuneOptions& o, const Device& device, const Plan& plan, StudyFacts facts, const Json& typed) {
  facts[fact::kProgram] = fmt::format("polythrottle {}", kVersion);
  facts[fact::kDevice] = device.name;
  facts[fact::kSpace] = to_json(device.space.parameters()).dump();
  if (std::string allowed = device.space.ranges(); !allowed.empty()) facts[fact::kAllowed] = std::move(allowed);
  facts[fact::kCandidates] = std::to_string(device.space.size());
  facts[fact::kReference] = to_json(device.reference).dump();
  facts[fact::kObjective] = plan.objective.metric;
  facts[fact::kSlo] = o.slo;
  facts[fact::kConstraints] = Json(o.constraints).dump();
  facts[fact::kMeter] = device.meter;
  facts[fact::kBoundary] = device.meter_boundary;
  facts[fact::kProvenance] = to_string(device.energy_provenance);
  facts[fact::kOptimizer] = o.optimizer;
  facts[fact::kSearch] = search_fact(o, plan.search).dump();
  facts[fact::kSeed] = std::to_string(o.seed);
  facts[fact::kBudget] = std::to_string(plan.budget);
  facts[fact::kOptions] = typed.dump();
  facts[fact::kNotes] = Json(device.notes).dump();
  Json conditions{{"dim", o.dimensions},      {"input", o.inputs},  {"provider", o.provider},     {"power_model", o.meters.power_model},
                  {"precision", o.precision}, {"faults", o.faults}, {"window", o.window_seconds}, {"window_limit", o.window_limit_seconds}};
  if (o.warm_up_seconds) conditions["warm_up"] = *o.warm_up_seconds;
  if (!o.patterns.empty()) conditions["pattern"] = o.patterns;
  if (!o.environment.empty()) conditions["env"] = o.environment;
  if (o.energy_error) conditions["energy_error"] = *o.energy_error;
  if (o.settle_limit_seconds) conditions["settle_limit"] = *o.settle_limit_seconds;
  if (o.cool_down_seconds) conditions["cool_down"] = *o.cool_down_seconds;
  if (o.check_every) conditions["check_every"] = *o.check_every;
  facts[fact::kConditions] = conditions.dump();
  return facts;
}

/// A fact for a line of complaint: lists of levels may be long.
std::string shown(const StudyFacts& facts, const std::string& key) {
  const auto it = facts.find(key);
  if (it == facts.end()) return "none";
  constexpr std::size_t kMost = 200;
  return it->second.size() <= kMost ? it->second : it->second.substr(0, kMost) + "...";
}

/// What must not differ when a study goes on.
Status same_study(const StudyFacts& before, const StudyFacts& now) {
  for (const std::string key : {fact::kDevice, fact::kSha256, fact::kCommand, fact::kSpace, fact::kCandidates, fact::kReference,
                                fact::kObjective, fact::kSlo, fact::kConstraints, fact::kLoad, fact::kMeter, fact::kOptimizer, fact::kSeed,
                                fact::kDeviceText, fact::kConditions, fact::kAllowed, fact::kSearch}) {
    const bool newer = key == fact::kAllowed || key == fact::kSearch;  // studies of older versions lack them, and go on without
    const auto a = before.find(key), b = now.find(key);
    if (a == before.end() && (b == now.end() || newer)) continue;
    if (a != before.end() && b != now.end() && a->second == b->second) continue;
    return fail(Errc::kInvalid,
                fmt::format("cannot resume: the {} differs: the study has {}, this run {}",
                            key == fact::kSha256 ? "model or table (its content)" : key, shown(before, key), shown(now, key)),
                "leave the flag out to use the study's own, or start a new study");
  }
  return {};
}

/// A new file in the state folder, for a study the user gave no name.
Result<std::string> default_study_path() {
  namespace fs = std::filesystem;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  if (state != nullptr && *state == '\0') state = nullptr;  // empty counts as unset (XDG base directory specification)
  if (state == nullptr && home == nullptr)
    return fail(Errc::kNotFound, "neither XDG_STATE_HOME nor HOME is set", "name a file with --study");
  const fs::path folder = (state != nullptr ? fs::path(state) : fs::path(home) / ".local/state") / "polythrottle";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return tl::unexpected<Error>(system_error("make folder " + folder.string(), error.value()));
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
  return (folder / fmt::format("{}-{}.sqlite", stamp, getpid())).string();
}

/// Does this device have settings of a machine that outlives this program?
bool is_real(const Device& device) {
  return device.energy_provenance != Provenance::kSimulated && device.energy_provenance != Provenance::kRecorded;
}

/// Is that the machine this program runs on, whose settings an earlier run may have left?
bool is_here(const TuneOptions& o) { return o.device == "cpu" || o.device == "command" || (o.device.empty() && o.command); }

void print_dry_run(const OpenedDevice& opened, const Plan& plan, const TuneOptions& o, const std::string& record_path) {
  const Device& device = opened.device;
  fmt::print("Device   {}\n", opened.facts.at(fact::kDeviceText));
  if (const auto command = opened.facts.find(fact::kCommand); command != opened.facts.end()) fmt::print("Command  {}\n", command->second);
  fmt::print("Load     {}\nEnergy   {}: {}\n", opened.facts.at(fact::kLoad), to_string(device.energy_provenance), device.meter_boundary);
  fmt::print("Space    {} candidates; reference {}\n", device.space.size(), device.reference.text());
  fmt::print("Search   {}\n\n", describe_search(o, plan.search));
  std::vector<std::vector<std::string>> rows{{"knob", "levels"}};
  for (const auto& p : device.space.parameters()) {
    std::string levels;
    for (const auto& level : p.levels) levels += (levels.empty() ? "" : " ") + knob_text(p.name, level);
    rows.push_back({p.name, levels});
  }
  fmt::print("{}\n", align(rows));
  for (const auto& knob : device.knobs) {
    fmt::print("{} would write\n", knob->parameter().name);
    for (const auto& path : knob->paths()) fmt::print("  {}\n", path);
  }
  if (!device.knobs.empty()) fmt::print("\n");
  const std::size_t trials = std::min(plan.budget, device.space.size());
  const std::size_t confirm = 2 * plan.confirm_rounds;
  if (device.energy_provenance == Provenance::kRecorded) {
    fmt::print("Time     {} trials; {:.1f} s\n", trials, o.pace_seconds * static_cast<double>(trials));
  } else {
    const double count = static_cast<double>(trials + confirm);
    fmt::print(
        "Time     {} trials and {} to confirm: {:.0f} s if every window is the shortest ({:.3g} s) and warm-up takes half a second, "
        "at most {:.0f} s; second looks{} come on top\n",
        trials, confirm, count * (plan.window.count() + 0.5), plan.window.count(),
        count * (plan.window_limit.count() + o.warm_up_seconds.value_or(5.0)), o.command ? " and the command's start" : "");
  }
  if (device.knobs.empty()) {
    fmt::print("Restore  nothing to restore: no setting of the machine is changed\n");
  } else if (!is_real(device)) {
    fmt::print("Restore  what was found is written back at the end, to a simulated board that ends with this program\n");
  } else {
    fmt::print(
        "Restore  what was found is kept in {} before the first write, and written back in reverse order at the end and on\n"
        "         Ctrl-C, by a watchdog process if this one is killed, and else by 'polythrottle restore' or the next run{}\n",
        record_path, o.keep ? "\n         --keep: the best setting of the machine stays in place until 'polythrottle restore'" : "");
  }
  for (const auto& note : device.notes) fmt::print("Note     {}\n", note);
  fmt::print("Nothing was touched.\n");
}

/// For tests of crashes: the calls of the study file are points as the writes to the machine are.
std::unique_ptr<Journal> with_points(std::unique_ptr<Journal> journal, Injection& injection) {
  return observed_journal(std::move(journal), {.before = [&](const std::string& call) { (void)injection.before("journal " + call); },
                                               .after = [&](const std::string& call) { injection.after("journal " + call); }});
}

/// Leaves the best setting in place, and says so; else gives the machine back, and says why. True if it is in place.
bool keep_best(Host& host, Lease& lease, std::span<Knob* const> knobs, const Result<Summary>& summary, const std::string& source) {
  Result<Kept> kept = fail(Errc::kOutOfRange, "--keep: no best setting is known");
  if (summary && summary->best) kept = keep_in_place(host, lease, knobs, summary->best->config, source);
  if (!kept) {
    const bool whole = give_back(lease);
    Error why = kept.error();
    why.what += whole ? "; the machine is as it was found" : "; the machine is NOT as it was found";
    complain(why, kExitFailure);
    return false;
  }
  tell("Kept in place: {}\n'polythrottle restore' undoes it; until then no other run takes this machine.\n", setting_text(kept->in_place));
  if (!kept->ended.empty()) tell("Not kept, it ends with this program: {}\n", setting_text(kept->ended));
  Config own;
  for (const auto& [name, value] : summary->best->config.entries()) {
    if (!kept->in_place.get(name) && !kept->ended.get(name)) own.set(name, value);
  }
  if (!own.empty()) tell("The program that runs the model sets the rest: {}\n", setting_text(own));
  return true;
}

tl::expected<int, Failure> tune(TuneOptions& o, CLI::App& command, Cli& cli) {
  const auto usage = [](const Error& e) { return tl::unexpected<Failure>(Failure{e, kExitUsage}); };
  const auto failed = [](const Error& e) { return tl::unexpected<Failure>(Failure{e, kExitFailure}); };
  const auto either = [](const Error& e) { return tl::unexpected<Failure>(Failure{e, usage_or_failure(e)}); };

  std::unique_ptr<Journal> journal;
  StudyFacts before;
  if (o.resume) {
    if (o.study.empty()) return usage(Error{Errc::kInvalid, "--resume needs --study FILE", {}});
    auto opened = open_sqlite_journal(o.study, o.dry_run ? OpenMode::kReadOnly : OpenMode::kResume);
    if (!opened) return failed(opened.error());
    journal = std::move(*opened);
    auto facts = journal->facts();
    if (!facts) return failed(facts.error());
    before = std::move(*facts);
    if (const auto it = before.find(fact::kOptions); it != before.end()) {
      const auto typed = parse_json(it->second);
      if (!typed) return failed(typed.error());
      if (const auto filled = fill_options(command, *typed); !filled) return failed(filled.error());
    }
    // The default may be another than when the study was made.
    if (const auto own = before.find(fact::kOptimizer); own != before.end() && command.get_option("--optimizer")->count() == 0) {
      o.optimizer = own->second;
    }
  }
  if (const auto checked = check_options(o); !checked) return usage(checked.error());
  if (const auto slo = parse_slo(o.slo); !slo) return usage(slo.error());
  for (const auto& text : o.constraints) {
    if (const auto constraint = parse_constraint(text); !constraint) return usage(constraint.error());
  }

  ThisMachine here(cli.sysroot, cli.gpu, cli.injection);
  if (const auto fits = here.check_gpu(); !fits) return either(fits.error());
  // What an earlier run left comes back before the machine is looked at: it may have cut the tables short.
  Status back;
  if (is_here(o) && !o.dry_run) {
    if (const auto brought = bring_back_leftovers(here.host(), here.record_path(), {.quiet = o.quiet}); !brought) {
      back = tl::unexpected<Error>(brought.error());
    }
  }
  auto opened = open_device(o, here.host());
  // A study that sets nothing of the machine may run beside whoever holds it.
  if (!back && (!opened || !opened->device.knobs.empty())) return failed(back.error());
  if (!opened) return either(opened.error());
  Device& device = opened->device;
  const bool real = is_real(device);
  if (o.keep && !real) {
    return usage(Error{Errc::kInvalid, "--keep: only settings of the real machine can stay, and this device is simulated or recorded",
                       "leave it out"});
  }
  if (o.keep && device.knobs.empty()) {
    return usage(Error{Errc::kInvalid, "--keep: no setting of the machine is in this space", "'polythrottle probe' says why"});
  }
  device.suspects = [&host = device.host] { return who_may_interfere(rivals(host)); };
  const std::string others = device.knobs.empty() ? std::string() : rivals_note(rivals(device.host));
  if (!others.empty()) device.notes.push_back(others);
  const auto plan = make_plan(o, device);
  if (!plan) return either(plan.error());
  const auto optimizer = make_searcher(o, device.space);
  if (!optimizer) return usage(optimizer.error());
  const std::string table = o.device.starts_with("recorded:") ? o.device.substr(9, o.device.rfind('#') - 9) : std::string();
  std::vector<std::pair<std::string, std::string>> inputs{
      {"study", o.study}, {"model", o.model}, {"table", table}, {"arrivals", o.arrivals}};
  for (const auto& earlier : o.warm_start) inputs.emplace_back("earlier study", earlier);
  if (const auto distinct = check_distinct({{"--json", o.json}, {"--csv", o.csv}}, inputs); !distinct) return usage(distinct.error());
  for (const std::string& path : {o.json, o.csv}) {
    if (const auto ok = check_writable(path); !ok) return failed(ok.error());
  }
  if (o.dry_run) {
    if (const auto note = real ? leftovers_note(here.host(), here.record_path()) : std::string(); !note.empty()) {
      device.notes.push_back(note);
    }
    print_dry_run(*opened, *plan, o, here.record_path());
    return kExitOk;
  }

  std::vector<Knob*> knobs;
  for (const auto& knob : device.knobs) knobs.push_back(knob.get());
  const LeaseOptions borrowing = real ? lease_options(here) : LeaseOptions{.record_path = device.lease_record};

  StudyFacts facts = describe_study(o, device, *plan, opened->facts, typed_options(command));
  std::string path = o.study;
  if (o.resume) {
    if (!before.empty()) {
      if (const auto same = same_study(before, facts); !same) return usage(same.error());
    }
  } else if (path.empty() && device.energy_provenance == Provenance::kRecorded) {
    journal = memory_journal();
  } else {
    if (path.empty()) {
      auto made = default_study_path();
      if (!made) return failed(made.error());
      path = *made;
    }
    auto created = open_sqlite_journal(path, OpenMode::kCreate);
    if (!created) return either(created.error());
    journal = std::move(*created);
  }
  if (cli.injection != nullptr) journal = with_points(std::move(journal), *cli.injection);

  std::unique_ptr<Lease> lease;
  if (!knobs.empty()) {
    auto taken = borrow(device.host, knobs, borrowing);
    if (!taken) return failed(taken.error());
    lease = std::move(*taken);
    if (cli.injection != nullptr) cli.injection->set_watchdog([&held = *lease] { return held.watchdog(); });
    facts[fact::kFound] = to_json(lease->found()).dump();
  }
  GiveBack giving_back(lease.get());
  for (const auto& [key, value] : running_facts()) facts[key] = value;
  if (o.resume && before.contains(fact::kOptions)) facts[fact::kOptions] = before.at(fact::kOptions);
  if (const auto described = journal->describe(facts); !described) return failed(described.error());

  Result<StudyEnd> end = fail(Errc::kIo, "not run");
  {
    if (!o.quiet && !path.empty()) tell("Study {}\n", path);
    for (const auto& note : device.notes) {
      if (!o.quiet) tell("Note: {}\n", note);
    }
    if (!o.quiet && !others.empty()) tell("Note: {}.\n", others);
    Progress progress(o.quiet, device.energy_provenance, plan->budget);
    Observer observer = progress.observer();
    if (o.command) observer.printed = keep_output_beside(path);
    end = run_study(device, *journal, lease.get(), **optimizer, *plan, observer, cli.stop);
  }
  const bool keeping = o.keep && end && end->reason != StopReason::kInterrupted && end->reason != StopReason::kFault;
  bool whole = keeping || giving_back.now();
  if (!end) return failed(end.error());
  if (const auto stored = journal->describe(stopped_facts(*end)); !stored) return failed(stored.error());
  const auto all_facts = journal->facts();
  if (!all_facts) return failed(all_facts.error());
  auto history = journal->history();
  if (!history) return failed(history.error());
  const auto summary = summarize(*all_facts, std::move(*history));

  if (keeping) {
    giving_back.dismiss();
    whole = keep_best(device.host, *lease, knobs, summary, std::filesystem::absolute(path).string());
  }

  const bool interrupted = end->reason == StopReason::kInterrupted;
  if (interrupted) {
    tell("Interrupted. {}\n", lease == nullptr ? "No setting of the machine was changed."
                              : whole          ? "The machine is as it was found."
                                               : "The machine is NOT as it was found.");
    if (!path.empty()) tell("Go on with: polythrottle tune --resume --study {}\n", path);
  }
  if (!summary) return interrupted ? tl::expected<int, Failure>(kExitInterrupted) : failed(summary.error());
  if (!o.json.empty()) {
    if (const auto written = write_file(o.json, render_json(*summary)); !written) return failed(written.error());
  }
  if (!o.csv.empty()) {
    if (const auto written = write_file(o.csv, render_csv(*summary)); !written) return failed(written.error());
  }
  if (o.json != "-" && o.csv != "-") fmt::print("{}", render_answer(*summary));
  if (interrupted) return kExitInterrupted;
  if (end->reason == StopReason::kFault) {
    return failed(Error{Errc::kIo, "the search was given up: " + end->text,
                        path.empty() ? "" : "mend that, then go on with --resume --study " + path});
  }
  if (!summary->best) {
    std::string fastest;
    if (summary->fastest) {
      const auto& c = summary->constraints.front();
      fastest = fmt::format("the fastest setting seen, {}, has {} {}", setting_text(summary->fastest->config), metric_label(c.metric),
                            format_metric(c.metric, summary->fastest->metrics.find(c.metric)->second.value));
    }
    return failed(Error{Errc::kOutOfRange, fmt::format("no setting is known to meet {}", o.slo), fastest});
  }
  return whole ? kExitOk : kExitFailure;
}

}  // namespace

void add_tune(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("tune", "Find the least-energy configuration under a latency SLO");
  auto options = std::make_shared<TuneOptions>();
  bind_tune_options(*command, *options);
  add_gpu_options(*command, cli.gpu);
  command->callback([command, options, &cli] {
    const auto code = tune(*options, *command, cli);
    cli.exit_code = code ? *code : complain(code.error().error, code.error().code);
  });
}

}  // namespace polythrottle
