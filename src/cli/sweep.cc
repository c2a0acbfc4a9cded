// polythrottle sweep: static reference, static tuned and load-adaptive on the same requests, over a range of loads.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/cli.h"
#include "cli/load_sweep.h"
#include "cli/status_line.h"
#include "cli/validators.h"
#include "replay/duration.h"

namespace polythrottle {
namespace {

struct SweepFlags {
  std::string device, model, precision = "fp16", slo, study, duration = "300s", json;
  std::vector<std::string> arrivals = {"uniform", "poisson"};
  std::vector<std::string> loads = {"5%", "10%", "20%", "30%", "40%", "50%", "60%", "70%", "80%", "90%"};
  std::uint64_t seed = 0;
  std::size_t seeds = 1;
  bool no_wait = false, quiet = false;
};

Result<double> parse_load(std::string text) {
  const std::string what = "--loads " + text;
  if (!text.ends_with('%'))
    return fail(Errc::kInvalid, what + ": no per cent sign", "write 5%,50%,90%: of what the reference does back to back");
  text.pop_back();
  TRY(const double percent, to_number(text, what));
  if (!(percent > 0.0 && percent <= 1000.0)) return fail(Errc::kInvalid, what + ": not above 0 and up to 1000");
  return percent / 100.0;
}

/// What was typed is wrong, wherever that is found.
template <class T>
Result<T> usage(std::string_view flag, Result<T> result) {
  if (!result) return fail(Errc::kInvalid, fmt::format("{}: {}", flag, result.error().what), result.error().hint);
  return result;
}

Result<SweepOptions> options_of(const SweepFlags& f) {
  constexpr std::string_view kSimulated = "sim:";
  SweepOptions o;
  if (!f.device.starts_with(kSimulated))
    return fail(Errc::kInvalid, "--device " + f.device + ": a replay needs a simulated board", "write sim:jetson-orin or sim:jetson-tx2");
  o.base.board = f.device.substr(kSimulated.size());
  o.base.network = f.model;
  o.base.seed = f.seed;
  if (f.seeds < 1 || f.seeds > 10'000) return fail(Errc::kInvalid, "--seeds: give 1 to 10,000");
  o.seeds = f.seeds;
  o.base.policy_options.wait = !f.no_wait;
  TRY(o.base.precision, usage("--precision", simulation::find_precision(f.precision)));
  TRY(o.base.slo, usage("--slo", replay::parse_duration(f.slo)));
  TRY(o.base.duration, usage("--duration", replay::parse_duration(f.duration)));
  if (o.base.slo <= Seconds(0) || o.base.duration <= Seconds(0)) return fail(Errc::kInvalid, "--slo and --duration: give times above zero");
  for (const auto& load : f.loads) {
    TRY(const double share, parse_load(load));
    o.loads.push_back(share);
  }
  o.arrivals = f.arrivals;
  TRY(const simulation::Board* board, usage("--device", simulation::find_board(o.base.board)));
  TRY(const simulation::Network* network, usage("--model", simulation::find_network(f.model)));
  if (!f.study.empty()) {
    TRY(o.rows, rows_of_study(f.study, o.base.slo, serving_model(!f.no_wait)));
  } else {
    TRY(o.rows, rows_of_board(*board, *network, o.base.precision, o.base.slo, serving_model(!f.no_wait)));
  }
  return o;
}

int sweep(const SweepFlags& f, const Cli& cli) {
  auto options = options_of(f);
  if (!options) return complain(options.error(), usage_or_failure(options.error()));
  if (!f.json.empty()) {
    if (const auto fine = check_writable(f.json); !fine) return complain(fine.error(), kExitFailure);
  }
  options->stop = cli.stop;
  const auto status = f.quiet ? nullptr : std::make_unique<StatusLine>();
  const auto result = load_sweep(*options, [&](std::size_t done, std::size_t all) {
    if (status) status->show(fmt::format("run {} of {}", done + 1, all));
  });
  if (status) status->leave("");
  if (cli.stop.stop_requested()) {
    tell("interrupted; nothing was written\n");
    return kExitInterrupted;
  }
  if (!result) return complain(result.error(), usage_or_failure(result.error()));
  if (f.json != "-") fmt::print("{}", render_sweep(*options, *result));
  if (f.json.empty()) return kExitOk;
  const auto written = write_file(f.json, render_sweep_json(*options, *result));
  return written ? kExitOk : complain(written.error(), kExitFailure);
}

}  // namespace

void add_sweep(CLI::App& app, Cli& cli) {
  CLI::App* c = app.add_subcommand("sweep", "Energy of a static and a load-adaptive configuration over loads, on a simulated board");
  auto f = std::make_shared<SweepFlags>();
  c->add_option("--device", f->device, "sim:jetson-orin or sim:jetson-tx2")->required();
  c->add_option("--model", f->model, "Network of the board, e.g. efficientnet-b7")->required();
  c->add_option("--precision", f->precision, "fp16 or fp32")->capture_default_str();
  c->add_option("--slo", f->slo, "Longest time to the answer, e.g. 700ms")->required();
  c->add_option("--study", f->study, "Rows from this study instead of every setting of the board");
  c->add_option("--loads", f->loads, "Over what the reference does back to back: 5%,50%,90%")->delimiter(',')->capture_default_str();
  c->add_option("--arrivals", f->arrivals, "uniform, poisson, or a file of times, scaled to each rate")
      ->delimiter(',')
      ->capture_default_str();
  c->add_option("--duration", f->duration, "Traffic of each run")->capture_default_str();
  c->add_option("--seed", f->seed, "Of arrivals and of the board's noise")->check(whole_number())->capture_default_str();
  c->add_option("--seeds", f->seeds, "Runs of each, with this seed and those after it")->check(whole_number())->capture_default_str();
  c->add_option("--json", f->json, "As JSON to this file, - for stdout");
  c->add_flag("--no-wait", f->no_wait, "Batches do not wait for more requests");
  c->add_flag("--quiet", f->quiet, "No progress");
  c->footer("Example:\n  polythrottle sweep --device sim:jetson-orin --model efficientnet-b7 --slo 700ms");
  c->callback([f, &cli] { cli.exit_code = sweep(*f, cli); });
}

}  // namespace polythrottle
