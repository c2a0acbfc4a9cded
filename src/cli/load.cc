// polythrottle load: requests in an open loop at any Open Inference Protocol server.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "arrivals/spec.h"
#include "cli/cli.h"
#include "cli/load_report.h"
#include "cli/status_line.h"
#include "cli/target.h"
#include "cli/validators.h"
#include "host/host.h"
#include "replay/duration.h"
#include "report/json.h"

namespace polythrottle {
namespace {

constexpr std::size_t kMostConnections = 20'000;

struct LoadFlags {
  TargetFlags target;
  std::optional<double> rate;
  std::string arrivals = "poisson", duration = "60s", slo, json, timeout = "30s";
  std::size_t connections = 256;
  bool quiet = false;
};

Result<Seconds> flag_duration(const char* flag, const std::string& text) {
  auto parsed = replay::parse_duration(text);
  if (!parsed) return fail(Errc::kInvalid, fmt::format("{}: {}", flag, parsed.error().what), parsed.error().hint);
  if (*parsed <= Seconds(0)) return fail(Errc::kInvalid, fmt::format("{} {}: give a time above zero", flag, text));
  return parsed;
}

Result<int> load(const LoadFlags& f, Cli& cli) {
  LoadTally tally;
  TRY(const auto duration, flag_duration("--duration", f.duration));
  TRY(const auto patience, flag_duration("--timeout", f.timeout));
  if (!f.slo.empty()) {
    TRY(tally.slo, flag_duration("--slo", f.slo));
  }
  if (f.connections < 1 || f.connections > kMostConnections) {
    return fail(Errc::kInvalid, fmt::format("--concurrency-limit: give 1 to {}", kMostConnections));
  }
  if (f.quiet && f.json.empty()) return fail(Errc::kInvalid, "--quiet: then nobody would be told", "add --json FILE");
  auto spec = ArrivalSpec::parse(f.arrivals);
  if (!spec) return fail(Errc::kInvalid, "--arrivals: " + spec.error().what, spec.error().hint);
  if (spec->path.empty() && !f.rate) return fail(Errc::kInvalid, "--rate is missing", "give the requests a second, as in --rate 50");
  if (f.rate && !(*f.rate > 0.0)) return fail(Errc::kInvalid, "--rate: give a number above zero");
  auto arrivals = spec->open(f.rate, f.target.seed, duration);
  if (!arrivals) return fail(arrivals.error().code, "--arrivals: " + arrivals.error().what, arrivals.error().hint);
  TRY_STATUS(check_writable(f.json));
  TRY(auto target, open_target(f.target));

  LoadHeading heading{.target = f.target.target,
                      .model = f.target.model,
                      .arrivals = spec->text(),
                      .payload = target.payload_text,
                      .rate = arrivals->rate(),
                      .duration = duration,
                      .seed = f.target.seed,
                      .connection_limit = f.connections};
  const auto clock = real_clock();
  OipLoadRun run;
  {
    StatusLine line;
    const OipLoadWatch watch{.ended =
                                 [&](const Exchange& exchange) {
                                   tally.add(exchange);
                                   return Go::kOn;
                                 },
                             .tick =
                                 [&, shown = Seconds(-1)](Seconds now, std::size_t under_way, std::size_t) mutable {
                                   if (!f.quiet && line.terminal() && now - shown >= Seconds(0.5)) {
                                     line.show(load_progress(now, tally, under_way));
                                     shown = now;
                                   }
                                   return Go::kOn;
                                 }};
    TRY(run, run_oip_load(*clock,
                          {.server = target.server,
                           .model = f.target.model,
                           .payloads = std::move(target.payloads),
                           .arrivals = std::move(*arrivals),
                           .duration = duration,
                           .connections = f.connections,
                           .patience = patience},
                          watch, cli.stop));
  }
  heading.interrupted = cli.stop.stop_requested();
  if (!f.quiet) {
    const std::string text = render_load(heading, tally, run);
    if (f.json == "-") {
      tell("{}", text);
    } else {
      fmt::print("{}", text);
    }
  }
  if (!f.json.empty()) TRY_STATUS(write_file(f.json, dumped(load_json(heading, tally, run))));
  if (heading.interrupted) return kExitInterrupted;
  return tally.answered > 0 || tally.sent == 0 ? kExitOk : kExitFailure;
}

}  // namespace

void add_load(CLI::App& app, Cli& cli) {
  CLI::App* c =
      app.add_subcommand("load", "Sends requests to a server of the Open Inference Protocol at a given rate, and says what came of them");
  auto f = std::make_shared<LoadFlags>();
  const char* kServer = "Server";
  c->add_option("--target", f->target.target, "http://HOST:PORT[/PREFIX]")->group(kServer);
  c->add_option("--model", f->target.model, "Its name on the server")->group(kServer);
  const char* kRequests = "Requests";
  c->add_option("--batch", f->target.batch, "Inferences in one request, where the model's batch is free")
      ->check(whole_number())
      ->group(kRequests)
      ->capture_default_str();
  c->add_option("--dim", f->target.dimensions, "Size of another free axis, repeatable: 'INPUT[AXIS]=128'")
      ->group(kRequests)
      ->allow_extra_args(false);
  c->add_option("--input", f->target.inputs, "Fill an input with one number instead of random data, repeatable: NAME=VALUE")
      ->group(kRequests)
      ->allow_extra_args(false);
  c->add_flag("--json-tensors", f->target.as_json, "Plain JSON instead of the binary tensor extension")->group(kRequests);
  c->add_option("--seed", f->target.seed, "Of arrivals and of input data")->check(whole_number())->group(kRequests)->capture_default_str();
  const char* kLoad = "Load";
  c->add_option("--rate", f->rate, "Requests per second, whatever the server does")->check(duration_number())->group(kLoad);
  c->add_option("--arrivals", f->arrivals,
                "poisson, uniform, a file of arrival times (rescaled to --rate, if that is given), or FILE#bursty for its burstiest part")
      ->group(kLoad)
      ->capture_default_str();
  c->add_option("--duration", f->duration, "Requests that come within it are sent")->group(kLoad)->capture_default_str();
  c->add_option("--concurrency-limit", f->connections, "Connections at once; requests beyond wait for one, and that time counts")
      ->check(whole_number())
      ->group(kLoad)
      ->capture_default_str();
  c->add_option("--timeout", f->timeout, "A request not answered so long after its scheduled time has failed")
      ->group(kLoad)
      ->capture_default_str();
  const char* kOutput = "Result";
  c->add_option("--slo", f->slo, "Longest from the scheduled time to the answer: 50ms; the part that met it is shown")->group(kOutput);
  c->add_option("--json", f->json, "Result as JSON to this file, - for stdout")->group(kOutput);
  c->add_flag("--quiet", f->quiet, "No progress and no text (with --json)")->group(kOutput);
  c->footer(
      "Exit codes: 0 done, 1 the server is not there or answered nothing, 2 wrong usage, 130 interrupted.\n"
      "Example:\n"
      "  polythrottle load --target http://127.0.0.1:8000 --model resnet --rate 50 --duration 60s --slo 100ms");
  c->callback([f, &cli] {
    const auto code = load(*f, cli);
    cli.exit_code = code ? *code : complain(code.error(), usage_or_failure(code.error()));
  });
}

}  // namespace polythrottle
