#include "cli/tune_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/validators.h"
#include "optimizer/optimizer.h"
#include "workload/presets.h"

namespace polythrottle {
namespace {

/// Flags about this run, not about the study.
bool about_this_run(const std::string& name) {
  static const std::set<std::string> names{"--study", "--resume",  "--json",           "--csv",           "--quiet", "--dry-run", "--keep",
                                           "--help",  "--sysroot", "--found-gpu-lock", "--found-mem-lock"};
  return names.contains(name);
}

}  // namespace

void bind_tune_options(CLI::App& c, TuneOptions& o) {
  std::string optimizers;
  for (const auto* driver : optimizer_drivers())
    optimizers += fmt::format("{}{} ({})", optimizers.empty() ? "" : ", ", driver->name, driver->summary);

  const char* kWhat = "What to tune";
  c.add_option("--device", o.device, "cpu, command (default with --command), recorded:FILE.csv#WORKLOAD, sim:jetson-tx2, sim:jetson-orin")
      ->group(kWhat);
  c.add_option("--target", o.target, "A server that runs on this machine, http://127.0.0.1:PORT (Open Inference Protocol), under the load of --rate")->group(kWhat);
  c.add_option("--model", o.model, "ONNX file; with --target the server's name for it; on simulated boards efficientnet-b0, -b4, -b7 or bert-base")->group(kWhat);
  c.add_option(
       "--command", o.command,
       "Program that does the work on this machine and prints a JSON line per batch; {NAME} stands for a knob's level, --knob gives "
       "them (docs/command.md)")
      ->group(kWhat);
  std::string presets;
  for (const auto& preset : polythrottle::presets()) presets += fmt::format(", {}", preset.name);
  c.add_option("--read", o.read, "How the command is understood: json (default), steps (it is told when a window begins and ends)" + presets)
      ->group(kWhat);
  c.add_option("--pattern", o.patterns, "Its output by patterns of your own, repeatable: MEANING=REGEX, e.g. 'p95_ms=p95: ([0-9.]+) ms'")
      ->group(kWhat)
      ->allow_extra_args(false);
  c.add_option("--env", o.environment, "Environment variable of the command, repeatable: 'BATCH={batch}'")
      ->group(kWhat)
      ->allow_extra_args(false);
  c.add_option("--slo", o.slo, "Latency limit: p99=50ms, p95=80ms, mean=20ms, or 1.2x the reference's mean")->group(kWhat);
  c.add_option("--constraint", o.constraints, "Further limit, repeatable: power<=15W, throughput>=100/s, temperature<=70C, memory<=2GB")
      ->group(kWhat)
      ->allow_extra_args(false);
  c.add_option("--objective", o.objective, "What to make best: energy, power, latency, throughput, ...")
      ->group(kWhat)
      ->capture_default_str();

  const char* kSpace = "Space";
  c.add_option("--knob", o.knobs, "Levels of a knob, repeatable: batch=1,2,4; or cpu_quota_ratio=off to leave it as it is")
      ->group(kSpace)
      ->allow_extra_args(false);
  c.add_option("--reference", o.reference, "Setting to start at and compare with: KNOB=VALUE,...")->group(kSpace);

  const char* kSearch = "Search";
  c.add_option("--optimizer", o.optimizer, optimizers)->group(kSearch)->capture_default_str();
  c.add_option("--budget", o.budget, "Trials, the reference included (default 20; grid: the whole space)")
      ->check(whole_number())
      ->group(kSearch);
  c.add_option("--explore", o.explore,
               "safe (default): settings that may break a limit only for much more gain; strict: never; bold: wherever "
               "most is expected")
      ->group(kSearch);
  c.add_option("--min-gain", o.min_gain, "Stop when one more trial is expected to save less: 0.4% (default) or 0.004")->group(kSearch);
  c.add_option("--horizon", o.horizon,
               "Stop when one more trial costs more energy than it is expected to save in this use: 1d@8/s, or inferences: 1e6")
      ->group(kSearch);
  c.add_option("--max-violations", o.max_violations, "End the search after so many trials that broke a limit")
      ->check(whole_number())
      ->group(kSearch);
  c.add_option("--warm-start", o.warm_start, "Study file to learn from beforehand, repeatable")->group(kSearch)->allow_extra_args(false);
  c.add_option("--phases", o.phases, "joint: all knobs together; paper: the CPU clock first, then the rest at the best one")
      ->group(kSearch)
      ->capture_default_str();
  c.add_option("--seed", o.seed, "Seed of every random choice")->check(whole_number())->group(kSearch)->capture_default_str();
  c.add_option("--confirm", o.confirm, "Rounds of reference and best again at the end (default 3; recorded tables 0)")
      ->check(whole_number())
      ->group(kSearch);

  const char* kLoad = "Load and measurement";
  c.add_option("--rate", o.rate, "Open loop: requests per second")->check(duration_number())->group(kLoad);
  c.add_option("--arrivals", o.arrivals, "Open loop: poisson (default with --rate), uniform, a file of arrival times, or FILE#bursty: its burstiest 30 s")->group(kLoad);
  c.add_option("--batch-delay", o.batch_delay_seconds,
               "Open loop: seconds a batch waits to fill (default: half the SLO if that is a time, else 0)")
      ->check(duration_number())
      ->group(kLoad);
  c.add_option("--window", o.window_seconds, "Shortest measuring window in seconds")
      ->check(duration_number())
      ->group(kLoad)
      ->capture_default_str();
  c.add_option("--window-limit", o.window_limit_seconds, "Longest, in seconds")
      ->check(duration_number())
      ->group(kLoad)
      ->capture_default_str();
  c.add_option("--energy-error", o.energy_error, "Standard error of the energy at which a window may end: 1% (default); 0: not asked")
      ->group(kLoad);
  c.add_option("--settle-limit", o.settle_limit_seconds,
               "Seconds that may be left out before a window until power and latency are steady (default 10; 0: none)")
      ->check(duration_number())
      ->group(kLoad);
  c.add_option("--cool-down", o.cool_down_seconds,
               "Longest wait without load before a trial, in seconds, for the temperature at the start (default 20; 0: none)")
      ->check(duration_number())
      ->group(kLoad);
  c.add_option("--idle", o.idle_seconds,
               "Seconds over which idle power is measured before the first trial (default: three shortest windows, no more than 3; 0: it is not)")
      ->check(duration_number())
      ->group(kLoad);
  c.add_option("--check-every", o.check_every, "Trials after which the reference is measured again, to see drift (default 8; 0: never)")
      ->check(whole_number())
      ->group(kLoad);
  c.add_option("--warm-up", o.warm_up_seconds, "Of a command: longest, in seconds from its first batch on (default 5)")
      ->check(duration_number())
      ->group(kLoad);
  c.add_option("--command-timeout", o.command_timeout_seconds, "A command that says nothing of its work for so many seconds failed (default 30)")
      ->check(duration_number())
      ->group(kLoad);
  add_meter_options(c, o.meters, kLoad);
  c.add_option("--pace", o.pace_seconds, "Seconds each trial of a recorded table takes")->check(duration_number())->group(kLoad);

  const char* kModel = "Model";
  c.add_option("--dim", o.dimensions, "Value of a free dimension other than the batch, repeatable: NAME=VALUE")
      ->group(kModel)
      ->allow_extra_args(false);
  c.add_option("--input", o.inputs, "Fill an input with one number instead of random data, repeatable: NAME=VALUE")
      ->group(kModel)
      ->allow_extra_args(false);
  c.add_option("--provider", o.provider, "ONNX Runtime provider: cpu, cuda, tensorrt")->group(kModel)->capture_default_str();

  const char* kSimulated = "Simulated boards";
  c.add_option("--precision", o.precision, "fp16 (default) or fp32")->group(kSimulated);
  c.add_option("--space", o.space, "full (default), paper (GPU floor and ceiling, memory, batch), paper-7.2 (GPU ceiling, memory, batch)")
      ->group(kSimulated);
  c.add_option("--faults", o.faults, "Nodes that fail, see docs/simulation.md")->group(kSimulated);

  const char* kOutput = "Study and output";
  c.add_option("--study", o.study, "Study file (default: a new one in the state folder; none for recorded tables)")->group(kOutput);
  c.add_flag("--resume", o.resume, "Go on with --study; its own options are used where none are given")->group(kOutput);
  c.add_flag("--dry-run", o.dry_run, "Say what would be done, and touch nothing")->group(kOutput);
  c.add_flag("--keep", o.keep, "Leave the best setting of the machine in place at the end; 'polythrottle restore' undoes it")
      ->group(kOutput);
  c.add_option("--json", o.json, "Result as JSON to this file, - for stdout")->group(kOutput);
  c.add_option("--csv", o.csv, "Trials as CSV to this file, - for stdout")->group(kOutput);
  c.add_flag("--quiet", o.quiet, "No progress")->group(kOutput);
  c.footer(
      "Examples:\n"
      "  polythrottle tune --device cpu --model net.onnx --slo p99=50ms\n"
      "  polythrottle tune --command './bench --batch={batch} net.plan' --knob batch=1,2,4,8 --slo p95=80ms\n"
      "  polythrottle tune --device sim:jetson-orin --model efficientnet-b4 --slo 1.2x\n"
      "  polythrottle tune --device 'recorded:table.csv#resnet50' --slo 1.2x --optimizer grid --json -");
}

Json typed_options(const CLI::App& command) {
  Json out = Json::object();
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() > 0 && !about_this_run(option->get_name())) out[option->get_name()] = option->results();
  }
  return out;
}

Status fill_options(CLI::App& command, const Json& typed) {
  try {
    for (const auto& [name, values] : typed.get_ref<const Json::object_t&>()) {
      CLI::Option* option = command.get_option_no_throw(name);
      if (option == nullptr) return fail(Errc::kCorrupt, fmt::format("the study was made with {}, which this program does not know", name));
      if (option->count() > 0) continue;
      for (const auto& value : values) option->add_result(value.get<std::string>());
      option->run_callback();
    }
  } catch (const std::exception& e) {
    return fail(Errc::kCorrupt, fmt::format("the study's options cannot be read: {}", e.what()));
  }
  return {};
}

}  // namespace polythrottle
