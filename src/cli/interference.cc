// polythrottle interference: how inference and fine-tuning slow each other down.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/interference_cost.h"
#include "cli/replay_calibration.h"
#include "cli/status_line.h"
#include "cli/validators.h"
#include "interference/calibration.h"
#include "replay/co_runs.h"
#include "replay/job.h"
#include "report/json.h"
#include "report/report.h"

namespace polythrottle {
namespace {

using interference::Calibration;
using interference::Samples;

constexpr double kBound = 0.95;

struct CalibrateFlags {
  std::string device, model, finetune = "batch=64,outputs=1000", precision = "fp16", predictor = "physical", output, json;
  int largest_batch = 16;
  std::uint64_t seed = 0;
  bool quiet = false;
};

/// Steps have the precision of the model that is served.
Result<replay::CoRunWork> work_of(const CalibrateFlags& flags) {
  TRY(const auto precision, simulation::find_precision(flags.precision));
  TRY(auto job, replay::parse_finetune_step(flags.finetune));
  job.precision = precision;
  TRY_STATUS(simulation::find_network(flags.model));
  auto work = replay::co_run_work(flags.model, precision, job);
  work.largest_batch = flags.largest_batch;
  return work;
}

/// Each batch foretold by a predictor that has seen all others; a zero mean where the others are too few.
std::vector<interference::Prediction> left_out(const Calibration& calibration, const interference::PredictorDriver& driver) {
  std::vector<interference::Prediction> out;
  const auto& batches = calibration.samples.batches;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    Samples others = calibration.samples;
    others.batches.erase(others.batches.begin() + static_cast<long>(i));
    const auto predictor = driver.make(calibration.inference);
    (void)predictor->fit(others);  // without data it answers zero
    interference::Situation at = batches[i].at;
    if (batches[i].beside <= 0.0) at.step.reset();
    out.push_back(predictor->batch(at));
  }
  return out;
}

bool comparable(const interference::BatchSample& seen) { return seen.beside <= 0.02 || seen.beside >= 0.98; }

/// Mean of |predicted / measured - 1| over batches that were wholly alone or wholly beside a step; nullopt without any.
std::optional<double> mean_error(const Samples& samples, const std::vector<interference::Prediction>& said) {
  double sum = 0.0;
  int count = 0;
  for (std::size_t i = 0; i < said.size(); ++i) {
    if (!comparable(samples.batches[i]) || said[i].mean <= Seconds(0)) continue;
    sum += std::abs(said[i].mean / samples.batches[i].latency - 1.0);
    ++count;
  }
  return count > 0 ? std::optional(sum / count) : std::nullopt;
}

std::string table(const Calibration& calibration, const std::vector<interference::Prediction>& said) {
  std::vector<std::vector<std::string>> rows{
      {"batch", "gpu", "mem", "cpu", "beside", "items", "rested s", "latency ms", "predicted ms", "95 % bound ms"}};
  for (std::size_t i = 0; i < said.size(); ++i) {
    const auto& seen = calibration.samples.batches[i];
    const auto percent = [](double share) { return fmt::format("{:.0f} %", 100.0 * share); };
    std::vector<std::string> row{std::to_string(seen.at.batch),
                                 percent(seen.at.speeds.gpu),
                                 percent(seen.at.speeds.mem),
                                 percent(seen.at.speeds.cpu),
                                 percent(seen.beside),
                                 seen.at.step ? std::to_string(seen.at.step->items) : "-",
                                 seen.at.rested > Seconds(0) ? fmt::format("{:.1f}", seen.at.rested.count()) : "-",
                                 fmt::format("{:.2f}", 1e3 * seen.latency.count())};
    // A batch that was beside a step for a part of its time is learned from and not predicted: nobody asks for one.
    if (comparable(seen) && said[i].mean > Seconds(0)) {
      row.push_back(fmt::format("{:.2f}", 1e3 * said[i].mean.count()));
      row.push_back(fmt::format("{:.2f}", 1e3 * said[i].upper(kBound).count()));
    }
    rows.push_back(std::move(row));
  }
  return align(rows, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

/// What the co-runs taught, for people and as JSON.
struct Lesson {
  const Calibration& calibration;
  std::vector<interference::Prediction> said;
  std::vector<std::pair<std::string, std::optional<double>>> errors;  ///< of every predictor, leaving one out
};

Result<Lesson> lesson_of(const Calibration& calibration) {
  TRY(const auto* chosen, interference::find_predictor(calibration.predictor));
  TRY_STATUS(interference::fitted(calibration));
  Lesson out{calibration, {}, {}};
  for (const auto* driver : interference_drivers()) {
    auto said = left_out(calibration, *driver);
    out.errors.emplace_back(driver->name, mean_error(calibration.samples, said));
    if (driver == chosen) out.said = std::move(said);
  }
  return out;
}

std::string render(const Lesson& lesson) {
  std::string out =
      fmt::format("{} on {} beside {} ({}); clocks in per cent of the highest; predicted by '{}' from all other batches\n\n{}\n",
                  lesson.calibration.model, lesson.calibration.device, lesson.calibration.finetune, lesson.calibration.provenance,
                  lesson.calibration.predictor, table(lesson.calibration, lesson.said));
  out += "Mean error of a batch left out:";
  for (const auto& [name, error] : lesson.errors) {
    out += fmt::format(" {} {}{}", name, error ? fmt::format("{:.1f} %", 100.0 * *error) : "unknown",
                       name == lesson.errors.back().first ? "\n" : ",");
  }
  return out;
}

nlohmann::ordered_json json_of(const Lesson& lesson) {
  auto out = nlohmann::ordered_json::parse(interference::render_calibration(lesson.calibration));
  for (std::size_t i = 0; i < lesson.said.size(); ++i) {
    if (!comparable(lesson.calibration.samples.batches[i])) continue;
    out["batches"][i]["predicted_seconds"] = lesson.said[i].mean.count();
    out["batches"][i]["bound95_seconds"] = lesson.said[i].upper(kBound).count();
  }
  for (const auto& [name, error] : lesson.errors) {
    if (error) out["left_out_error"][name] = *error;
  }
  return out;
}

Result<int> calibrate(const CalibrateFlags& flags, Cli& cli) {
  constexpr std::string_view kSimulated = "sim:";
  const auto usage = [](Error error) {
    error.code = Errc::kInvalid;
    return tl::unexpected<Error>(std::move(error));
  };
  if (!flags.device.starts_with(kSimulated)) {
    if (flags.device == "cpu" || flags.device == "command") {
      return fail(Errc::kUnsupported, fmt::format("interference calibrate: co-runs on the device '{}' need the server", flags.device),
                  "sim:BOARD works without one");
    }
    return fail(Errc::kInvalid, fmt::format("unknown device '{}'", flags.device), "sim:jetson-orin, sim:jetson-tx2");
  }
  const auto work = work_of(flags);
  if (!work) return usage(work.error());
  TRY_STATUS(interference::find_predictor(flags.predictor));
  TRY_STATUS(check_distinct({{"--output", flags.output}, {"--json", flags.json}}, {}));
  TRY_STATUS(check_writable(flags.output));
  TRY_STATUS(check_writable(flags.json));
  auto machine = simulation::Machine::make(flags.device.substr(kSimulated.size()), {.seed = flags.seed});
  if (!machine) return usage(machine.error());
  TRY(const auto costs, replay::co_run_costs(*work));
  TRY(const auto clocks, replay::CoRunClocks::make(**machine));
  const std::vector<Config> configs = replay::spread_settings(clocks->knobs());
  std::vector<interference::Speeds> speeds;
  for (const Config& config : configs) speeds.push_back(replay::speeds_of(config, clocks->knobs()));

  replay::CoRunResult runs;
  {
    StatusLine line;
    const auto progress = [&](std::size_t done, std::size_t total) {
      if (!flags.quiet)
        line.show(fmt::format("co-runs: {} of {} batches, {:.1f} s simulated", done, total,
                              std::chrono::duration<double>((*machine)->host().clock.now().time_since_epoch()).count()));
    };
    TRY(runs, replay::make_co_runs(
                  **machine, *work, configs, speeds, replay::co_run_design(*work, configs.size()),
                  {.apply = [&](const Config& config) { return clocks->apply(config); }, .progress = progress, .stop = cli.stop}));
  }
  const Calibration calibration{.device = flags.device,
                                .model = flags.model + " " + flags.precision,
                                .finetune = replay::step_words(*work),
                                .provenance = "simulated",
                                .predictor = flags.predictor,
                                .inference = costs.inference,
                                .samples = std::move(runs.samples)};
  TRY(const Lesson lesson, lesson_of(calibration));
  if (!flags.output.empty()) TRY_STATUS(write_file(flags.output, interference::render_calibration(calibration)));
  auto json = json_of(lesson);
  json["co_runs"] = {
      {"batches", runs.runs.size()}, {"seconds", runs.took.count()}, {"joules", runs.energy.si()}, {"provenance", "simulated"}};
  if (!flags.json.empty()) TRY_STATUS(write_file(flags.json, dumped(json)));
  const std::string text =
      fmt::format("{}{} batches took {:.1f} s and {:.1f} J (simulated).\n{}", render(lesson), runs.runs.size(), runs.took.count(),
                  runs.energy.si(), flags.output.empty() ? "" : fmt::format("Written to {}.\n", flags.output));
  if (flags.json != "-" && flags.output != "-" && !flags.quiet) fmt::print("{}", text);
  return kExitOk;
}

Result<int> show_calibration(const std::string& path) {
  TRY(const auto calibration, load_calibration(path));
  TRY(const Lesson lesson, lesson_of(calibration));
  fmt::print("{}", render(lesson));
  return kExitOk;
}

int exit_code_of(const Result<int>& result, const Cli& cli) {
  if (result) return *result;
  if (cli.stop.stop_requested()) return complain(result.error(), kExitInterrupted);
  return complain(result.error(), usage_or_failure(result.error()));
}

void add_calibrate(CLI::App& parent, Cli& cli) {
  CLI::App* command = parent.add_subcommand("calibrate", "Makes the few co-runs that a predictor learns from");
  auto flags = std::make_shared<CalibrateFlags>();
  command->add_option("--device", flags->device, "sim:jetson-tx2, sim:jetson-orin")->required();
  command->add_option("--model", flags->model, "The network that is served: efficientnet-b0, -b4, -b7, bert-base")->required();
  command->add_option("--finetune", flags->finetune, "What is beside it: batch=N,outputs=N,train=head|all|LAYERS")->capture_default_str();
  command->add_option("--precision", flags->precision, "fp16, fp32")->capture_default_str();
  command->add_option("--largest-batch", flags->largest_batch, "Of inference")->capture_default_str()->check(CLI::Range(1, 1024));
  command->add_option("--predictor", flags->predictor, "physical, published")->capture_default_str();
  command->add_option("--seed", flags->seed, "Of the board's noise")->capture_default_str()->check(whole_number());
  command->add_option("--output", flags->output, "Where the samples go, - for stdout");
  command->add_option("--json", flags->json, "Result as JSON to this file, - for stdout");
  command->add_flag("--quiet", flags->quiet, "Nothing but complaints");
  command->footer(
      "About 24 batches at five settings of the clocks, most of them beside steps; the board is given back as found.\n"
      "Example: polythrottle interference calibrate --device sim:jetson-orin --model efficientnet-b7 --output b7.json");
  command->callback([flags, &cli] { cli.exit_code = exit_code_of(calibrate(*flags, cli), cli); });
}

void add_show_calibration(CLI::App& parent, Cli& cli) {
  CLI::App* command = parent.add_subcommand("show", "What a file of 'calibrate' teaches");
  auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "Written by 'interference calibrate --output'")->required();
  command->callback([path, &cli] { cli.exit_code = exit_code_of(show_calibration(*path), cli); });
}

}  // namespace

void add_interference(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("interference", "How inference and fine-tuning slow each other down");
  command->require_subcommand(1);
  add_calibrate(*command, cli);
  add_show_calibration(*command, cli);
  add_interference_cost(*command, cli);
}

}  // namespace polythrottle
