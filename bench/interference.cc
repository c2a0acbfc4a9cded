// How well the predictors foretell batches, at sizes and clocks where none was run.
//   polythrottle-bench interference [--seeds N] [--markdown]
// Simulated boards, their noise on. Their interference comes of time slices, a shared memory and a shared CPU, kernel by kernel; no
// predictor is made from those formulas (docs/interference.md).

#include "interference/interference.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>

#include "bench/commands.h"
#include "bench/progress_line.h"
#include "cli/cli.h"
#include "host/simulation/machine.h"
#include "replay/co_runs.h"
#include "report/report.h"

namespace polythrottle::bench {
namespace {

using interference::Predictor;
using interference::Samples;
using interference::Speeds;
using replay::CoRun;

struct Case {
  std::string board, network;
};

/// Sizes and clocks that the calibration has not seen.
const std::vector<int> kBatches{3, 6, 12};
const std::vector<Speeds> kClocks{{0.6, 1.0, 1.0}, {0.8, 0.6, 1.0}, {0.55, 1.0, 0.7}, {0.9, 1.0, 0.6}};

/// Errors of one predictor in one place.
struct Errors {
  double absolute = 0.0;  ///< sum of |predicted / seen - 1|
  std::size_t below95 = 0, below99 = 0, count = 0;
  void add(const interference::Prediction& said, Seconds seen) {
    absolute += std::abs(said.mean / seen - 1.0);
    below95 += seen <= said.upper(0.95) ? 1 : 0;
    below99 += seen <= said.upper(0.99) ? 1 : 0;
    ++count;
  }
  double mape() const { return 100.0 * absolute / static_cast<double>(count); }
  double share95() const { return 100.0 * static_cast<double>(below95) / static_cast<double>(count); }
  double share99() const { return 100.0 * static_cast<double>(below99) / static_cast<double>(count); }
};
/// Of one predictor: at the clocks it was calibrated at, and after a change.
struct Score {
  Errors same, changed, rested, steps;
};
struct Scores {
  Score fixed;  ///< published, fitted to co-runs at one clock, as it is meant
  Score same;   ///< published, fitted to the samples that ours has
  Score ours;
};

/// A board with its clocks in our hands.
struct Board {
  std::unique_ptr<simulation::Machine> machine;
  std::unique_ptr<replay::CoRunClocks> clocks;
  Result<replay::CoRunResult> run(const replay::CoRunWork& work, const std::vector<Config>& configs, const std::vector<CoRun>& design) {
    std::vector<Speeds> speeds;
    for (const Config& config : configs) speeds.push_back(replay::speeds_of(config, clocks->knobs()));
    return replay::make_co_runs(*machine, work, configs, speeds, design,
                                {.apply = [this](const Config& config) { return clocks->apply(config); }, .stop = {}});
  }
};

Config nearest(std::span<const std::unique_ptr<Knob>> knobs, const Speeds& speeds) {
  Config out;
  for (const auto& knob : knobs) {
    const Parameter& parameter = knob->parameter();
    const double share = parameter.name == "gpu_max_hz" ? speeds.gpu : parameter.name == "mem_hz" ? speeds.mem : speeds.cpu;
    if (parameter.name != "gpu_max_hz" && parameter.name != "mem_hz" && parameter.name != "cpu_hz") continue;
    const double top = std::get<double>(parameter.levels.back());
    Value best = parameter.levels.back();
    for (const Value& level : parameter.levels) {
      if (std::abs(std::get<double>(level) / top - share) < std::abs(std::get<double>(best) / top - share)) best = level;
    }
    out.set(parameter.name, best);
  }
  return out;
}

void judge(const Predictor& predictor, const Samples& seen, Score& score, Errors Score::*place) {
  for (const auto& sample : seen.batches) {
    // A share between is no batch the predictor is asked for.
    if (sample.beside > 0.02 && sample.beside < 0.98) continue;
    interference::Situation at = sample.at;
    if (sample.beside <= 0.02) at.step.reset();
    (at.rested > Seconds(0) ? score.rested : score.*place).add(predictor.batch(at), sample.latency);
  }
  for (const auto& sample : seen.steps) score.steps.add(predictor.step(sample.speeds, sample.step, sample.beside), sample.duration);
}

/// The published model knows nothing of rests; batches after one would only mislead it.
Samples without_rests(Samples samples) {
  std::erase_if(samples.batches, [](const auto& seen) { return seen.at.rested > Seconds(0); });
  return samples;
}

Status one_seed(const Case& on, std::uint64_t seed, Scores& scores) {
  Board board;
  TRY(board.machine, simulation::Machine::make(on.board, {.seed = seed}));
  TRY(board.clocks, replay::CoRunClocks::make(*board.machine));
  const replay::CoRunWork work{.network = on.network};
  TRY(const replay::CoRunCosts costs, replay::co_run_costs(work));
  const auto knobs = board.clocks->knobs();

  const std::vector<Config> spread = replay::spread_settings(knobs);
  TRY(const auto ours, board.run(work, spread, replay::co_run_design(work, spread.size())));
  // The same co-runs again, all at the reference.
  const std::vector<Config> reference(spread.size(), spread[0]);
  TRY(const auto one_clock, board.run(work, reference, replay::co_run_design(work, reference.size())));

  TRY(const auto* published, interference::find_predictor("published"));
  TRY(const auto* physical, interference::find_predictor("physical"));
  const auto fixed = published->make(costs.inference), same = published->make(costs.inference), our = physical->make(costs.inference);
  TRY_STATUS(fixed->fit(without_rests(one_clock.samples)));
  TRY_STATUS(same->fit(without_rests(ours.samples)));
  TRY_STATUS(our->fit(ours.samples));

  const auto test = [&](const std::vector<Config>& configs, Errors Score::*place) -> Status {
    std::vector<CoRun> design;
    for (std::size_t setting = 0; setting < configs.size(); ++setting) {
      for (const int items : {work.items, work.items / 2}) {
        for (const int batch : kBatches) design.push_back({setting, batch, items, {}});
        for (const int batch : kBatches) design.push_back({setting, batch, 0, {}});
      }
      // Last, for a governor takes a while to come to rest again, and the next setting begins with that.
      for (const Seconds rest : {Seconds(0.1), Seconds(0.5)}) {
        for (const int batch : kBatches) design.push_back({setting, batch, 0, rest});
      }
    }
    TRY(const auto seen, board.run(work, configs, design));
    judge(*fixed, seen.samples, scores.fixed, place);
    judge(*same, seen.samples, scores.same, place);
    judge(*our, seen.samples, scores.ours, place);
    return {};
  };
  TRY_STATUS(test({spread[0]}, &Score::same));
  std::vector<Config> held_out;
  for (const Speeds& speeds : kClocks) held_out.push_back(nearest(knobs, speeds));
  return test(held_out, &Score::changed);
}

int accuracy(std::size_t seeds, bool markdown, bool quiet) {
  const std::vector<Case> cases{{"jetson-orin", "efficientnet-b0"}, {"jetson-orin", "efficientnet-b4"}, {"jetson-orin", "efficientnet-b7"},
                                {"jetson-orin", "bert-base"},       {"jetson-tx2", "efficientnet-b0"},  {"jetson-tx2", "efficientnet-b4"},
                                {"jetson-tx2", "efficientnet-b7"},  {"jetson-tx2", "bert-base"}};
  std::vector<std::vector<std::string>> rows{{"board", "network", "published", "ours", "covered", "published, clocks changed",
                                              "published, same samples", "ours", "covered", "99 %", "rested", "steps"}};
  ProgressLine line(quiet, cases.size() * seeds);
  std::size_t done = 0;
  for (const Case& place : cases) {
    Scores scores;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      if (const auto ran = one_seed(place, seed, scores); !ran) return complain(ran.error(), kExitFailure);
      line.show(++done);
    }
    const auto percent = [](double value) { return fmt::format("{:.1f}", value); };
    rows.push_back({place.board, place.network, percent(scores.fixed.same.mape()), percent(scores.ours.same.mape()),
                    percent(scores.ours.same.share95()), percent(scores.fixed.changed.mape()), percent(scores.same.changed.mape()),
                    percent(scores.ours.changed.mape()), percent(scores.ours.changed.share95()), percent(scores.ours.changed.share99()),
                    percent(scores.ours.rested.mape()), percent(scores.ours.steps.mape())});
  }
  if (!markdown) {
    fmt::print("{}", align(rows, {2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
    return kExitOk;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    fmt::print("| {} |\n", fmt::join(rows[i], " | "));
    if (i == 0) fmt::print("|---|---|{}\n", fmt::join(std::vector<std::string>(rows[0].size() - 2, "--:|"), ""));
  }
  return kExitOk;
}

}  // namespace

void add_interference(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("interference", "Predictors of latency beside fine-tuning, at held-out batches and clocks");
  auto seeds = std::make_shared<std::size_t>(10);
  auto markdown = std::make_shared<bool>(false);
  auto quiet = std::make_shared<bool>(false);
  command->add_option("--seeds", *seeds, "Boards per case")->capture_default_str()->check(CLI::Range(1, 1000));
  command->add_flag("--markdown", *markdown, "As the table of docs/interference.md");
  command->add_flag("--quiet", *quiet, "No progress");
  command->callback([seeds, markdown, quiet, &exit_code] { exit_code = accuracy(*seeds, *markdown, *quiet); });
}

}  // namespace polythrottle::bench
