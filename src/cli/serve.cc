// polythrottle serve: a model under its SLO at the least energy, for any client of the Open Inference Protocol.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "cli/cli.h"
#include "cli/replay_calibration.h"
#include "cli/serve_fronts.h"
#include "cli/serve_log.h"
#include "cli/serve_machine.h"
#include "cli/validators.h"
#include "cli/version.h"
#include "replay/duration.h"
#include "report/report.h"
#include "server/dispatcher.h"
#include "server/jobs.h"
#include "server/live.h"
#include "server/sampler.h"
#include "server/warm_up.h"
#include "study/stale.h"

namespace polythrottle {
namespace {

namespace fs = std::filesystem;

struct Flags {
  ServeFlags serve;
  FrontFlags fronts;
  std::string log = "text", drain = "10s", duration, jobs;
  bool no_meters = false;
};

Status check(Flags& f) {
  if (f.serve.model.empty() && f.serve.upstream.empty())
    return fail(Errc::kInvalid, "MODEL is missing", "give an ONNX file, or with --device sim:BOARD a network");
  if (f.serve.slo.empty()) return fail(Errc::kInvalid, "--slo is missing", "give the longest a request may take, as in --slo 50ms");
  if (f.serve.batch < 1 || f.serve.batch > 1024) return fail(Errc::kInvalid, fmt::format("--batch {}: give 1 to 1024", f.serve.batch));
  if (f.serve.threads < 1 || f.serve.threads > 1024)
    return fail(Errc::kInvalid, fmt::format("--threads {}: give 1 to 1024", f.serve.threads));
  if (!(f.serve.budget > 0.0 && f.serve.budget < 1.0))
    return fail(Errc::kInvalid, fmt::format("--budget {}: give a number between 0 and 1", f.serve.budget));
  if (f.log != "text" && f.log != "json") return fail(Errc::kInvalid, fmt::format("--log {}: give text or json", f.log));
  if (f.serve.name.empty()) f.serve.name = fs::path(f.serve.model).stem().string();
  if (f.serve.name.empty() || f.serve.name.find('/') != std::string::npos)
    return fail(Errc::kInvalid, fmt::format("--name '{}' is no name of a model", f.serve.name));
  return check_fronts(f.fronts);
}

/// Its samples are those of the warm-up, and where there are any those of co-runs.
Result<std::unique_ptr<interference::Predictor>> predictor_of(const Flags& f, const interference::WorkCost& cost,
                                                              interference::Samples samples) {
  const bool paper = f.serve.policy == "paper";
  TRY(const auto* driver, interference::find_predictor(paper ? "published" : "physical"));
  if (!f.serve.calibration.empty()) {
    TRY(const auto calibration, load_calibration(f.serve.calibration));
    samples.batches.insert(samples.batches.end(), calibration.samples.batches.begin(), calibration.samples.batches.end());
    samples.steps.insert(samples.steps.end(), calibration.samples.steps.begin(), calibration.samples.steps.end());
  }
  auto predictor = driver->make(cost);
  const auto fitted = predictor->fit(samples);
  // Too few co-runs say nothing of a batch beside a step, and all that is needed of one alone.
  if (!fitted && fitted.error().code != Errc::kNotFound) return tl::unexpected<Error>(fitted.error());
  return predictor;
}

class Server {
 public:
  Server(Flags flags, Cli& cli) : f_(std::move(flags)), cli_(cli), log_(f_.log == "json") {}

  int run() {
    if (const auto right = check(f_); !right) return complain(right.error(), kExitUsage);
    const auto slo = replay::parse_duration(f_.serve.slo), drain = replay::parse_duration(f_.drain);
    if (!slo || !(*slo > Seconds(0)))
      return complain(Error{Errc::kInvalid, fmt::format("--slo {}: no duration", f_.serve.slo), "as in 50ms or 1.5s"}, kExitUsage);
    if (!drain) return complain(drain.error(), kExitUsage);
    Seconds duration(0);
    if (!f_.duration.empty()) {
      const auto given = replay::parse_duration(f_.duration);
      if (!given) return complain(given.error(), kExitUsage);
      duration = *given;
    }
    const auto policy = serving::find_policy(f_.serve.policy);
    if (!policy) return complain(policy.error(), kExitUsage);

    auto machine = ServeMachine::open(f_.serve, cli_);
    if (!machine) return complain(machine.error(), usage_or_failure(machine.error()));
    ServeMachine& device = **machine;
    auto rows = device.rows(f_.serve, *slo);
    if (!rows) return complain(rows.error(), usage_or_failure(rows.error()));
    if (const auto threads = rows->program.number("threads")) f_.serve.threads = static_cast<int>(*threads);
    auto backend = device.engine(f_.serve, f_.serve.model);
    if (!backend) return complain(backend.error(), usage_or_failure(backend.error()));
    if (!batchable((*backend)->model())) {
      for (auto& row : rows->rows) row.max_batch = 1;
    }
    const auto cost = device.cost(f_.serve);
    if (!cost) return complain(cost.error(), usage_or_failure(cost.error()));

    if (const auto borrowed = device.borrow(*rows); !borrowed) return complain(borrowed.error(), kExitFailure);
    const serving::Row first = rows->rows[rows->row];
    const auto set = device.set(first);
    if (!set) return complain(set.error(), kExitFailure);
    if (!*set)
      return complain(
          Error{Errc::kIo, "the machine did not take the configuration to serve in", "'polythrottle probe' says what its knobs hold"},
          kExitFailure);

    Host& host = device.host();
    const auto dimensions = dimensions_of(f_.serve);
    if (!dimensions) return complain(dimensions.error(), kExitUsage);
    log_.event("warming up", {{"model", f_.serve.name}, {"configuration", rows->origin}});
    auto samples =
        server::warm_up(**backend, host.clock, first.speeds, {.largest_batch = first.max_batch, .dimensions = *dimensions}, cli_.stop);
    if (!samples) return complain(samples.error(), cli_.stop.stop_requested() ? kExitInterrupted : usage_or_failure(samples.error()));
    const Seconds fastest = server::fastest(*samples);
    if (fastest > *slo) {
      return complain(
          Error{Errc::kInvalid, fmt::format("--slo {}: one request alone takes {} here", f_.serve.slo, replay::duration_text(fastest)),
                "give a longer SLO, or a faster configuration"},
          kExitUsage);
    }
    auto predictor = predictor_of(f_, *cost, std::move(*samples));
    if (!predictor) return complain(predictor.error(), usage_or_failure(predictor.error()));

    server::DispatcherOptions options;
    options.core.slo = *slo;
    options.core.rows = rows->rows;
    options.core.row = rows->row;
    if (f_.serve.rate > 0.0) options.core.expected_rate = f_.serve.rate;
    options.upstream = !f_.serve.upstream.empty();
    options.apply = [&](const serving::Row& row) {
      const auto took = device.set(row);
      if (!took) log_.event("configuration refused", {{"why", took.error().text()}});
      return took && *took;
    };
    options.costs = rows->costs;
    const auto stale = [&](const std::string& reason) {
      log_.event("what was measured no longer holds", {{"why", reason}});
      if (rows->study.empty()) return;
      const auto marked = mark_stale(rows->study, {reason, host.clock.wall_seconds()});
      if (!marked) log_.event("the study could not be marked stale", {{"why", marked.error().text()}});
    };
    options.stale = [&](const serving::DriftGuard::Stale& found) { stale(found.reason); };
    server::Dispatcher dispatcher(host.clock, options, (*policy)->make({.budget = f_.serve.budget, .wait = !f_.serve.no_wait}),
                                  std::move(*predictor), rows->choice ? rows->choice() : nullptr, *backend);
    std::optional<server::Sampler> sampler;
    if (!f_.no_meters)
      sampler.emplace(host.clock, device.machine().meters, device.machine().gauges, server::SamplerOptions{device.simulated()});
    std::unique_ptr<job::Store> store;
    std::optional<server::Jobs> jobs;
    if (!f_.jobs.empty()) {
      auto opened = job::Store::open(f_.jobs, host.clock.wall_seconds());
      if (!opened) return complain(opened.error(), kExitFailure);
      store = std::move(*opened);
      for (const auto& lost : store->unreadable()) log_.event("a job cannot be read", {{"why", lost.text()}});
      jobs.emplace(host.clock, *store, dispatcher,
                   server::JobsOptions{.inference = *cost,
                                       .batch_alone = fastest,
                                       .largest_batch = first.max_batch,
                                       .dimensions = *dimensions,
                                       .simulated = device.simulated()});
    }
    server::LiveOptions live;
    live.name = f_.serve.name;
    live.program = kVersion;
    live.path = f_.serve.model;
    live.engine = (*backend)->model().runtime;
    live.policy = f_.serve.policy;
    live.device = device.words();
    if (!device.simulated() && f_.serve.upstream.empty()) {
      live.open = [&](const std::string& path) -> Result<std::shared_ptr<Backend>> {
        TRY(auto next, device.engine(f_.serve, path));
        TRY(const auto warm,
            server::warm_up(*next, host.clock, {}, {.largest_batch = first.max_batch, .repeats = 1, .dimensions = *dimensions}, cli_.stop));
        (void)warm;
        log_.event("model swapped in", {{"path", path}, {"sha256", next->model().sha256}});
        return next;
      };
    }
    live.configuration = [&](std::size_t row) { return row_words(options.core.rows[row]); };
    live.knobs = [&] {
      auto knobs = device.knobs();
      if (device.rival()) {
        dispatcher.alarm(serving::Alarm::kRival);
        stale("somebody else wrote a knob");
      }
      return knobs;
    };
    server::LiveService service(host.clock, std::move(live), dispatcher, sampler ? &*sampler : nullptr, jobs ? &*jobs : nullptr);
    auto fronts = open_fronts(service, f_.fronts);
    if (!fronts) return complain(fronts.error(), usage_or_failure(fronts.error()));
    for (const auto& address : (*fronts)->addresses()) log_.event("serving", {{"model", f_.serve.name}, {"at", address}});
    wait(duration);

    log_.event("draining", {{"patience", f_.drain}});
    service.close();
    if (jobs) jobs->stop();
    dispatcher.stop(*drain);
    (*fronts)->stop(Seconds(2));
    service.publish();
    const auto last = service.snapshot();
    std::vector<std::pair<std::string, std::string>> counts = {{"requests", std::to_string(last->requests)},
                                                               {"answered", std::to_string(last->answered)},
                                                               {"late", std::to_string(last->late)},
                                                               {"failed", std::to_string(last->failed)}};
    for (const auto& [cause, count] : last->drops) counts.emplace_back("dropped, " + cause, std::to_string(count));
    log_.event("stopped", counts);
    if (!device.give_back()) return kExitFailure;
    return kExitOk;
  }

 private:
  static std::string row_words(const serving::Row& row) {
    std::string out;
    for (const auto& [name, value] : row.config.entries())
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, knob_text(name, value));
    return out;
  }

  /// Until a signal, or for `duration` where that is not 0.
  void wait(Seconds duration) const {
    std::mutex mutex;
    std::condition_variable_any ended;
    std::unique_lock lock(mutex);
    if (duration > Seconds(0)) {
      ended.wait_for(lock, cli_.stop, duration, [] { return false; });
    } else {
      ended.wait(lock, cli_.stop, [] { return false; });
    }
  }

  Flags f_;
  Cli& cli_;
  ServeLog log_;
};

}  // namespace

void add_serve(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("serve", "Answer requests to a model under its SLO at the least energy (Open Inference Protocol)");
  auto f = std::make_shared<Flags>();
  command->add_option("MODEL", f->serve.model, "ONNX file; with --device sim:BOARD a network, with --upstream its model's name");
  command->add_option("--slo", f->serve.slo, "Longest a request may take, from arrival to answer (50ms, 1.5s)");
  command->add_option("--name", f->serve.name, "Name clients call the model by (default: the file's, without its ending)");
  command->add_option("--device", f->serve.device, "cpu (this machine), sim:jetson-tx2 or sim:jetson-orin")->capture_default_str();
  command->add_option("--precision", f->serve.precision, "Simulated boards: fp16 or fp32")->capture_default_str();
  command->add_option("--provider", f->serve.provider, "ONNX Runtime's: cpu, cuda, tensorrt")->capture_default_str();
  command->add_option("--upstream", f->serve.upstream, "Serve what another Open Inference Protocol server runs: http://HOST:PORT");
  command->add_option("--config", f->serve.config,
                      "as-found; STUDY.sqlite or PROFILE.json (its best); STUDY.sqlite#load-adaptive; simulated: reference, tuned, "
                      "load-adaptive, KNOB=VALUE,...");
  command->add_option("--batch", f->serve.batch, "Most requests in one batch, where the configuration says nothing")->capture_default_str();
  command->add_option("--threads", f->serve.threads, "Threads of the engine, likewise")->capture_default_str();
  command->add_option("--dim", f->serve.dimensions, "NAME=VALUE: usual value of a free dimension, for warming up");
  command->add_option("--policy", f->serve.policy, "adaptive, inference-only, greedy, paper")->capture_default_str();
  command->add_option("--budget", f->serve.budget, "adaptive: probability that a request may miss its deadline for a job's sake")
      ->capture_default_str();
  command->add_option("--calibration", f->serve.calibration, "Co-runs of 'polythrottle interference calibrate'");
  command->add_option("--rate", f->serve.rate, "Requests a second expected at first")->check(duration_number());
  command->add_flag("--no-wait", f->serve.no_wait, "Run what is there: no batch waits for more requests");
  command->add_flag("--no-meters", f->no_meters, "Read no power");
  bind_fronts(*command, f->fronts);
  command->add_option("--jobs", f->jobs, "Take fine-tuning jobs, and keep them in this folder");
  command->add_option("--drain", f->drain, "On SIGTERM: how long what waits may still be answered")->capture_default_str();
  command->add_option("--duration", f->duration, "End by itself after so long");
  command->add_option("--log", f->log, "text or json, on stderr")->capture_default_str();
  command->footer(
      "Examples:\n"
      "  polythrottle serve camera.onnx --slo 50ms --config study.sqlite\n"
      "  polythrottle serve efficientnet-b7 --device sim:jetson-orin --slo 700ms --config load-adaptive");
  command->callback([f, &cli] { cli.exit_code = Server(*f, cli).run(); });
}

}  // namespace polythrottle
