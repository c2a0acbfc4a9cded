// polythrottle-bench optimizers: how many trials, violations and milliseconds each way to search costs, judged on the truth.
//   polythrottle-bench optimizers --table FILE ... --device sim:BOARD ... --slo 1.2x,1.5x,rel --methods polythrottle,eic,gp,random

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "bench/commands.h"
#include "bench/comparison.h"
#include "bench/comparison_text.h"
#include "bench/progress_line.h"
#include "cli/cli.h"

namespace polythrottle::bench {
namespace {

struct Options {
  std::vector<std::string> tables, workloads{"all"};
  std::vector<std::string> devices, models{"all"}, knobs;
  std::string precision = "both", space = "paper-7.2";
  std::string slos = "1.2x,1.5x,rel", noise = "published", explore = "safe", ensembles = "0";
  std::vector<std::string> methods;
  std::int64_t seeds = 50;
  std::optional<std::int64_t> cap, threads;
  double min_gain = SearchOptions{}.min_gain;
  bool stop_early = true, quiet = false;
  std::string json;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

bool is_all(const std::vector<std::string>& names) { return names.size() == 1 && names.front() == "all"; }

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

/// Each workload named must be in one table at least.
Status check_workloads(const Options& o) {
  if (is_all(o.workloads)) return {};
  if (o.tables.empty()) return fail(Errc::kInvalid, "--workload is for --table");
  std::vector<std::string> known;
  for (const auto& path : o.tables) {
    TRY(const auto names, workloads_of_table(path));
    known.insert(known.end(), names.begin(), names.end());
  }
  for (const auto& name : o.workloads) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return fail(Errc::kInvalid, fmt::format("unknown workload '{}'", name), "one of all, " + joined(known));
  }
  return {};
}

Result<std::vector<std::string>> precisions_of(const std::string& text) {
  if (text == "both") return std::vector<std::string>{"fp16", "fp32"};
  if (text == "fp16" || text == "fp32") return std::vector<std::string>{text};
  return fail(Errc::kInvalid, fmt::format("unknown --precision '{}'", text), "one of fp16, fp32, both");
}

Status add_tables(const Options& o, std::vector<SearchProblem>& problems) {
  TRY_STATUS(check_workloads(o));
  for (const auto& path : o.tables) {
    TRY(auto found, problems_of_table(path, is_all(o.workloads) ? std::vector<std::string>{} : o.workloads));
    std::move(found.begin(), found.end(), std::back_inserter(problems));
  }
  return {};
}

Status add_boards(const Options& o, std::vector<SearchProblem>& problems) {
  TRY(const auto precisions, precisions_of(o.precision));
  for (const auto& device : o.devices) {
    if (!device.starts_with("sim:")) return fail(Errc::kInvalid, fmt::format("--device '{}' is no simulated board", device), "sim:BOARD");
    TuneOptions options;
    options.device = device;
    options.space = o.space;
    options.knobs = o.knobs;
    TRY(auto found, problems_of_board(options, is_all(o.models) ? simulated_models() : o.models, precisions));
    std::move(found.begin(), found.end(), std::back_inserter(problems));
  }
  return {};
}

/// Noise and means go by the names of family and workload.
Status check_names(const std::vector<SearchProblem>& problems) {
  std::set<std::pair<std::string, std::string>> names;
  for (const SearchProblem& problem : problems) {
    if (names.emplace(problem.family, problem.workload).second) continue;
    return fail(Errc::kInvalid, fmt::format("{}, {} is there twice", problem.family, problem.workload), "a table goes by its file name");
  }
  return {};
}

Result<std::vector<std::uint64_t>> parse_ensembles(const std::string& text) {
  std::vector<std::uint64_t> out;
  for (const auto& part : split(text)) {
    const bool digits = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) return fail(Errc::kInvalid, fmt::format("--ensembles '{}' is not understood", text), "numbers, as in 1,2,3");
    out.push_back(std::stoull(part));
    if (std::count(out.begin(), out.end(), out.back()) > 1) return fail(Errc::kInvalid, "--ensembles names one twice: " + text);
  }
  if (out.empty()) return fail(Errc::kInvalid, "--ensembles names none");
  return out;
}

Result<std::vector<SloRule>> parse_slos(const std::string& text) {
  std::vector<SloRule> rules;
  for (const auto& part : split(text)) {
    TRY(rules.emplace_back(), parse_slo_rule(part));
    const auto same = [&](const SloRule& rule) { return rule.text == part; };
    if (std::count_if(rules.begin(), rules.end(), same) > 1) return fail(Errc::kInvalid, "--slo names one twice: " + text);
  }
  if (rules.empty()) return fail(Errc::kInvalid, "--slo names none");
  return rules;
}

/// Below the distance between ensembles, so that no two searches of a method share its seed.
constexpr std::int64_t kMostSeeds = 999;
constexpr std::int64_t kMostThreads = 1024;

Status check_numbers(const Options& o) {
  if (o.tables.empty() && o.devices.empty()) return fail(Errc::kInvalid, "nothing to search", "give --table FILE or --device sim:BOARD");
  if (o.seeds < 1 || o.seeds > kMostSeeds) return fail(Errc::kInvalid, fmt::format("--seeds {}: 1 to {}", o.seeds, kMostSeeds));
  if (o.cap && *o.cap < 1) return fail(Errc::kInvalid, fmt::format("--cap {}: at least 1", *o.cap));
  if (o.threads && (*o.threads < 1 || *o.threads > kMostThreads)) {
    return fail(Errc::kInvalid, fmt::format("--threads {}: 1 to {}", *o.threads, kMostThreads));
  }
  if (!(o.min_gain >= 0.0 && o.min_gain < 1.0)) return fail(Errc::kInvalid, fmt::format("--min-gain {}: from 0 to below 1", o.min_gain));
  return {};
}

Result<Comparison> comparison_of(const Options& o) {
  TRY_STATUS(check_numbers(o));
  Comparison comparison;
  TRY(comparison.slos, parse_slos(o.slos));
  TRY(comparison.methods, parse_methods(o.methods.empty() ? usual_methods() : o.methods));
  TRY(comparison.noise, parse_noise(o.noise));
  TRY(comparison.ensembles, parse_ensembles(o.ensembles));
  TRY(comparison.explore, parse_explore(o.explore));
  TRY_STATUS(add_tables(o, comparison.problems));
  TRY_STATUS(add_boards(o, comparison.problems));
  TRY_STATUS(check_names(comparison.problems));
  comparison.seeds = static_cast<std::uint64_t>(o.seeds);
  if (o.cap) comparison.cap = static_cast<std::size_t>(*o.cap);
  comparison.stop_early = o.stop_early;
  comparison.min_gain = o.min_gain;
  comparison.threads = o.threads ? static_cast<unsigned>(*o.threads) : std::max(1U, std::thread::hardware_concurrency());
  return comparison;
}

int exit_code_of(const Error& error) { return error.code == Errc::kInvalid ? kExitUsage : kExitFailure; }

/// Asked before a long run.
Status check_output(const Options& o) {
  std::vector<std::pair<std::string, std::string>> read;
  for (const auto& path : o.tables) read.emplace_back("--table", path);
  TRY_STATUS(check_distinct({{"--json", o.json}}, read));
  return o.json.empty() ? Status{} : check_writable(o.json);
}

Result<std::vector<Cell>> searched(const Comparison& comparison, bool quiet) {
  ProgressLine line(quiet, comparison.searches());
  return compare(comparison, [&](std::size_t done) { line.show(done); });
}

/// Tables on stdout, unless that is where the JSON goes.
Status write(const Options& o, const Comparison& comparison, const std::vector<Cell>& cells) {
  if (!o.json.empty()) TRY_STATUS(write_file(o.json, render_comparison_json(comparison, cells)));
  return o.json == "-" ? Status{} : write_file("-", render_text(comparison, cells));
}

int optimizers(const Options& o) {
  // A peer that died, or a reader of our output that left, is an error where it is met, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  if (const auto checked = check_output(o); !checked) return complain(checked.error(), exit_code_of(checked.error()));
  const auto comparison = comparison_of(o);
  if (!comparison) return complain(comparison.error(), exit_code_of(comparison.error()));
  const auto cells = searched(*comparison, o.quiet);
  if (!cells) return complain(cells.error(), exit_code_of(cells.error()));
  const auto written = write(o, *comparison, *cells);
  return written ? kExitOk : complain(written.error(), kExitFailure);
}

}  // namespace

void add_optimizers(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("optimizers", "Trials, violations and time of each way to search, judged on the truth");
  auto o = std::make_shared<Options>();
  command->add_option("--table", o->tables, "Recorded table; repeatable")->allow_extra_args(false);
  command->add_option("--workload", o->workloads, "Workload of the tables; repeatable (default all)")->allow_extra_args(false);
  command->add_option("--device", o->devices, "sim:jetson-tx2 or sim:jetson-orin; repeatable")->allow_extra_args(false);
  command->add_option("--model", o->models, "Network on the boards; repeatable (default all)")->allow_extra_args(false);
  command->add_option("--precision", o->precision, "fp16, fp32 or both, on the boards")->capture_default_str();
  command->add_option("--space", o->space, "Of the boards: paper-7.2, paper, full")->capture_default_str();
  command->add_option("--knob", o->knobs, "As for tune, on the boards")->allow_extra_args(false);
  command->add_option("--slo", o->slos, "1.2x of the reference, mean=20ms, rel, tight72, relaxed72")->capture_default_str();
  command
      ->add_option("--methods", o->methods,
                   "Of " + method_names() + "; repeatable (default " + joined(usual_methods()) + "). " + variants_help())
      ->allow_extra_args(false);
  command->add_option("--seeds", o->seeds, "Searches of each kind")->capture_default_str();
  command->add_option("--ensembles", o->ensembles, "The methods' own seeds, times all of --seeds")->capture_default_str();
  command->add_option("--noise", o->noise, "published, none, or ENERGY,LATENCY relative")->capture_default_str();
  command->add_option("--cap", o->cap, "Trials per search (default 25 on tables, 40 on boards)");
  command->add_flag("--abort,!--no-abort", o->stop_early, "Trials clearly over the SLO give their latency alone (default)");
  command->add_option("--explore", o->explore, "Of steered methods: safe, strict, bold")->capture_default_str();
  command->add_option("--min-gain", o->min_gain, "Where steered methods stop by themselves")->capture_default_str();
  command->add_option("--threads", o->threads, "Searches at a time (default: cores)");
  command->add_option("--json", o->json, "Every figure, also of each workload, as JSON to this file; - is stdout, without the tables");
  command->add_flag("--quiet", o->quiet, "No progress");
  command->callback([o, &exit_code] { exit_code = optimizers(*o); });
}

}  // namespace polythrottle::bench
