// polythrottle measure: what any program costs.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/meter_flags.h"
#include "cli/status_line.h"
#include "cli/this_machine.h"
#include "cli/validators.h"
#include "cli/version.h"
#include "platform/platform.h"
#include "report/command_energy.h"
#include "report/json.h"
#include "report/report.h"
#include "workload/command_line.h"

namespace polythrottle {
namespace {

/// Without --runs: of one command, and of each of two. An even number, so that each is first as often.
constexpr std::size_t kRuns = 1;
constexpr std::size_t kRunsOfTwo = 6;
/// As env(1), timeout(1) and shells have it.
constexpr int kExitNotExecutable = 126;
constexpr int kExitNotFound = 127;

struct MeasureOptions {
  std::vector<std::string> loose;  ///< words that should stand behind --
  std::optional<std::size_t> runs;
  std::size_t warm_up = 0;
  std::optional<std::string> vs;
  std::optional<double> per;
  double idle_seconds = 0.0;
  MeterFlags meters;
  std::string output = "pass";
  std::string json;
  bool quiet = false;
};

/// An error, the exit code it leads to, and lines that stand below its own.
struct Failure {
  Error error;
  int code = kExitFailure;
  std::string more{};
};

tl::unexpected<Failure> usage(Error error) { return tl::unexpected<Failure>(Failure{std::move(error), kExitUsage}); }

std::size_t runs_of(const MeasureOptions& o) { return o.runs.value_or(o.vs ? kRunsOfTwo : kRuns); }

/// The words of both commands.
Result<std::vector<std::vector<std::string>>> commands_of(const MeasureOptions& o, const Cli& cli) {
  if (!o.loose.empty()) {
    return fail(Errc::kInvalid, fmt::format("measure: '{}' is not behind --", o.loose.front()),
                "flags come first, then --, then the command: polythrottle measure --runs 5 -- ./bench --size 3");
  }
  if (!cli.words || cli.words->empty() || cli.words->front().empty()) {
    return fail(Errc::kInvalid, "measure: there is no command", "write it behind --: polythrottle measure -- ./bench --size 3");
  }
  std::vector<std::vector<std::string>> out{*cli.words};
  if (o.vs) {
    TRY(auto other, shell_words(*o.vs, "--vs"));
    out.push_back(std::move(other));
  }
  return out;
}

Status check_options(const MeasureOptions& o) {
  if (runs_of(o) == 0) return fail(Errc::kInvalid, "--runs 0 measures nothing", "1 or more");
  if (o.per && !(*o.per > 0.0 && std::isfinite(*o.per))) {
    return fail(Errc::kInvalid, fmt::format("--per {:g}: units of work in each run, above zero", *o.per));
  }
  if (o.output != "pass" && o.output != "drop") {
    return fail(Errc::kInvalid,
                fmt::format("--output {}: what the command prints goes where ours goes (pass), or nowhere (drop)", o.output));
  }
  if (o.json == "-" && o.output == "pass") {
    return fail(Errc::kInvalid, "--json -: standard output would hold what the command prints as well",
                "add --output drop, or name a file");
  }
  if (o.quiet && o.json.empty()) return fail(Errc::kInvalid, "--quiet: then nobody would be told", "add --json FILE");
  return check_writable(o.json);
}

/// Why there is no meter: what is absent and what would help, and what somebody would have to vouch for.
std::string absent_text(const MeterDiscovery& found) {
  std::string out;
  for (const auto& [name, why] : found.absent) {
    out += fmt::format("  {}  absent ({}): {}\n", name, to_string(why.code), why.what);
    if (!why.hint.empty()) out += fmt::format("    {}\n", why.hint);
  }
  for (const auto& meter : found.meters) {
    if (meter->info().only_by_name) out += fmt::format("  {}  only by name: covers {}\n", meter->info().name, meter->info().boundary);
  }
  return out;
}

/// Is it one that is used without being named? A model is not: whoever measures wants a sensor, or to know that there is none.
bool is_sensor(const std::unique_ptr<Meter>& meter) { return !meter->info().estimated && !meter->info().only_by_name; }

/// The meter to read, ready for it; what others there are goes into `others`.
tl::expected<std::unique_ptr<Meter>, Failure> open_meter(const MeterFlags& flags, MeterDiscovery found, std::vector<std::string>& others) {
  const std::string wanted = wanted_meter(flags);
  if (wanted.empty() && std::none_of(found.meters.begin(), found.meters.end(), is_sensor)) {
    return tl::unexpected<Failure>(Failure{{Errc::kNotFound, "no meter on this machine, so every joule would be a guess",
                                            "--meter estimate makes one from CPU time, and says so"},
                                           kExitFailure,
                                           absent_text(found)});
  }
  if (wanted.empty()) std::erase_if(found.meters, [](const auto& meter) { return !is_sensor(meter); });
  auto meter = choose_meter(found.meters, found.absent, wanted);
  if (!meter) return tl::unexpected<Failure>(Failure{meter.error(), usage_or_failure(meter.error())});
  for (const auto& other : found.meters) {
    if (other != nullptr && is_sensor(other)) others.push_back(other->info().name);
  }
  if (const auto ready = (*meter)->prepare(); !ready) return tl::unexpected<Failure>(Failure{ready.error()});
  return std::move(*meter);
}

/// As a shell answers: 127 for a program that is not there, 126 for one that cannot be started. One that was started and wants what it
/// cannot have (kUnsupported) is an ordinary failure.
int start_failure(const Error& error) {
  if (error.code == Errc::kUnsupported) return kExitFailure;
  return error.code == Errc::kNotFound ? kExitNotFound : kExitNotExecutable;
}

/// Is there something to read that several runs could not share?
bool input_is_data() {
  struct stat info {};
  return ::fstat(STDIN_FILENO, &info) == 0 && (S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode));
}

/// One line while runs are made. Where the commands print to the same terminal, a line for each run instead.
class MeasureProgress {
 public:
  MeasureProgress(const MeasureOptions& o, const MeterInfo& meter, std::size_t sides)
      : meter_(meter),
        total_((runs_of(o) + o.warm_up) * sides),
        two_(sides > 1),
        silent_(o.quiet || total_ < 2),
        shared_(o.output == "pass") {}

  void begins(std::size_t side, std::size_t round, bool warm_up) {
    label_ = fmt::format("{} {}{}", warm_up ? "warm-up" : "run", round + 1, label_of(side));
    if (silent_ || shared_) return;
    constexpr std::size_t kWidth = 24;
    const std::size_t done = kWidth * std::min(done_, total_) / total_;
    line_.show(fmt::format("[{}{}] {}/{}  {}{}{}", std::string(done, '#'), std::string(kWidth - done, ' '), std::min(done_, total_), total_,
                           label_, left(), last_));
  }
  void ends(const Turn& turn) {
    ++done_;
    seconds_ += turn.run.time.count();
    last_ = fmt::format("  last: {}", describe(turn.run, meter_));
    if (silent_) return;
    if (turn.fate == Fate::kVoid) line_.leave(fmt::format("{}: void: {}\n", label_, turn.run.spoiled));
    if (shared_ && turn.fate != Fate::kVoid) line_.leave(fmt::format("{}/{}  {}: {}\n", done_, total_, label_, describe(turn.run, meter_)));
  }

 private:
  std::string label_of(std::size_t side) const { return !two_ ? "" : side == 0 ? " of A" : " of B"; }
  std::string left() const {
    if (done_ == 0 || done_ >= total_) return "";
    return fmt::format("  {} left", clock_text(seconds_ / static_cast<double>(done_) * static_cast<double>(total_ - done_)));
  }

  const MeterInfo& meter_;
  std::size_t total_, done_ = 0;
  bool two_, silent_, shared_;
  double seconds_ = 0.0;
  std::string label_, last_;
  StatusLine line_;
};

/// What the whole command line ends with: the command's own code comes through.
int exit_code_of(const CommandEnergy& found, bool interrupted) {
  if (interrupted) return kExitInterrupted;
  if (const Turn* last = cut_short_by(found.series)) return last->run.exit.signal != 0 ? 128 + last->run.exit.signal : last->run.exit.code;
  for (std::size_t side = 0; side < found.commands.size(); ++side) {
    if (counted_runs(found.series, side).empty()) return kExitFailure;
  }
  return found.series.given_up.empty() ? kExitOk : kExitFailure;
}

tl::expected<int, Failure> measure(const MeasureOptions& o, Cli& cli) {
  const auto commands = commands_of(o, cli);
  if (!commands) return usage(commands.error());
  if (const auto checked = check_options(o); !checked) {
    return tl::unexpected<Failure>(Failure{checked.error(), usage_or_failure(checked.error())});
  }
  auto meters = meter_options(o.meters);
  if (!meters) return usage(meters.error());

  ThisMachine machine(cli.sysroot, cli.gpu);
  if (const auto fits = machine.check_gpu(); !fits) return tl::unexpected<Failure>(Failure{fits.error(), usage_or_failure(fits.error())});
  Host& host = machine.host();
  const std::shared_ptr<Launcher> launcher = real_launcher(host.clock);
  for (const auto& words : *commands) {
    if (const auto fine = launcher->check(words.front()); !fine) {
      return tl::unexpected<Failure>(Failure{fine.error(), start_failure(fine.error())});
    }
  }
  meters->work_cpu = [launcher] { return launcher->cpu_time(); };
  meters->worker = "the command's process group";
  std::vector<std::string> others;
  auto meter = open_meter(o.meters, discover_meters(host, *meters), others);
  if (!meter) return tl::unexpected<Failure>(meter.error());
  const auto gauges = discover_gauges(host);

  CommandEnergy found{.commands = *commands,
                      .meter = (*meter)->info(),
                      .other_meters = others,
                      .runs = runs_of(o),
                      .units = o.per,
                      .program = fmt::format("polythrottle {}", kVersion),
                      .machine = machine_facts(host)};
  SeriesPlan plan{.runs = runs_of(o), .warm_up = o.warm_up};
  // What one run has read no other can read again.
  const bool once = (plan.runs + plan.warm_up) * commands->size() == 1;
  if (!once && !o.quiet && input_is_data()) {
    tell("Note: several runs cannot share one standard input, so they get none; sh -c './bench < FILE' gives each its own.\n");
  }
  for (const auto& words : *commands) {
    plan.programs.push_back(
        {.words = words, .output = o.output == "pass" ? Output::kOurs : Output::kDropped, .input = once ? Input::kOurs : Input::kNothing});
  }
  CommandMeter runs(host, *launcher, **meter, gauges);
  if (o.idle_seconds > 0.0) {
    auto idle = runs.idle(Seconds(o.idle_seconds), cli.stop);
    if (!idle) return tl::unexpected<Failure>(Failure{idle.error()});
    found.idle = std::move(*idle);
  }
  {
    MeasureProgress progress(o, found.meter, commands->size());
    auto series = run_series(
        runs, plan, [&](std::size_t side, std::size_t round, bool warm_up) { progress.begins(side, round, warm_up); },
        [&](const Turn& turn) { progress.ends(turn); }, cli.stop);
    if (!series) return tl::unexpected<Failure>(Failure{series.error(), start_failure(series.error())});
    found.series = std::move(*series);
  }
  std::fflush(stdout);
  if (!o.quiet) tell("\n{}", render_command_energy(found));
  if (!o.json.empty()) {
    if (const auto written = write_file(o.json, dumped(command_energy_json(found))); !written) {
      return tl::unexpected<Failure>(Failure{written.error()});
    }
  }
  const int code = exit_code_of(found, cli.stop.stop_requested());
  if (code == kExitFailure && cut_short_by(found.series) == nullptr) {
    const std::string what = found.series.given_up.empty() ? "every run was void: " : "given up, too many runs in a row were void: ";
    return tl::unexpected<Failure>(Failure{{Errc::kIo, what + found.series.turns.back().run.spoiled, {}}});
  }
  return code;
}

}  // namespace

void add_measure(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("measure", "Energy, power and time of any program, with their errors");
  auto o = std::make_shared<MeasureOptions>();
  command->add_option("COMMAND", o->loose, "Behind --: the program to run, and its arguments");
  const char* kRunning = "Runs";
  command->add_option("--runs", o->runs, "Runs that count, of each command (default 1; with --vs 6)")
      ->check(whole_number())
      ->group(kRunning);
  command->add_option("--warm-up", o->warm_up, "Runs of each command before, which do not count")->check(whole_number())->group(kRunning);
  command->add_option("--vs", o->vs, "A second command, as one word: both run in turn, and the ratio is shown with its interval")
      ->group(kRunning);
  command->add_option("--per", o->per, "Units of work in one run (images, tokens): energy is also shown per unit")->group(kRunning);
  command->add_option("--output", o->output, "What the command prints: pass it on (default), or drop it")->group(kRunning);
  const char* kMeter = "Meter";
  add_meter_options(*command, o->meters, kMeter);
  command->add_option("--gpu", cli.gpu.gpu, "The NVIDIA GPU that its meter reads, by index or UUID (default: 0)")->group(kMeter);
  command->add_option("--idle", o->idle_seconds, "Seconds for which idle power is measured before the first run (default: not at all)")
      ->check(duration_number())
      ->group(kMeter);
  const char* kOutput = "Result";
  command->add_option("--json", o->json, "Result as JSON to this file, - for stdout (with --output drop)")->group(kOutput);
  command->add_flag("--quiet", o->quiet, "Nothing on stderr but complaints (with --json)")->group(kOutput);
  command->footer(
      "The result goes to stderr, what the command prints where it would go without us. Exit code: the command's own (128 + N if\n"
      "signal N killed it); 127 no such command, 126 not executable; 1 no meter or all runs void; 2 wrong usage; 130 interrupted.\n"
      "Examples:\n"
      "  polythrottle measure --runs 5 -- ./bench --images 1000\n"
      "  polythrottle measure --vs './bench --fp32' --per 1000 -- ./bench --fp16");
  command->callback([o, &cli] {
    const auto code = measure(*o, cli);
    cli.exit_code = code ? *code : complain(code.error().error, code.error().code);
    if (!code) tell("{}", code.error().more);
  });
}

}  // namespace polythrottle
