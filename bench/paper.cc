// polythrottle-bench paper: the search experiment of the paper's figure 4 on the simulated boards: trials until a setting within 5 % of the
// grid's best has been measured, over seeds, beside the published bars (arXiv 2310.19991, figure 4, decoded from its vector art).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <thread>

#include "base/stats.h"
#include "bench/commands.h"
#include "bench/portable_random.h"
#include "bench/truth.h"
#include "cli/cli.h"
#include "optimizer/eic.h"
#include "report/report.h"

namespace polythrottle::bench {
namespace {

/// Relative standard deviation of one trial's energy and latency: the medians of shared/data/README.md (a TX2's own figures).
constexpr double kEnergyNoise = 0.012, kLatencyNoise = 0.013;

constexpr std::array<const char*, 4> kNetworks{"efficientnet-b0", "efficientnet-b4", "efficientnet-b7", "bert-base"};

struct Experiment {
  const char* board;
  bool tight;
  double limit;                     ///< times the best latency at batch 1
  std::array<double, 8> published;  ///< trials of CBO: each network at FP16 and FP32
};
constexpr std::array<Experiment, 4> kExperiments{{
    {"jetson-orin", true, 1.2, {8.7, 8.6, 8.1, 8.0, 8.1, 8.3, 9.7, 10.2}},
    {"jetson-tx2", true, 1.2, {7.8, 7.6, 8.2, 8.1, 8.1, 8.2, 9.9, 9.8}},
    {"jetson-orin", false, 6.4, {11.6, 11.7, 11.8, 11.9, 11.2, 11.7, 12.9, 12.2}},
    {"jetson-tx2", false, 4.2, {12.3, 12.3, 12.8, 12.9, 12.4, 12.1, 13.2, 13.9}},
}};

struct Cell {
  Space space;
  Config reference;
  std::vector<Truth> truth;
  double limit = 0.0;  ///< seconds
  std::vector<bool> near;
  std::size_t near_count = 0;
};

Result<Cell> make_cell(const Experiment& experiment, const std::string& network, const std::string& precision) {
  TuneOptions options;
  options.device = std::string("sim:") + experiment.board;
  options.model = network;
  options.precision = precision;
  options.space = "paper-7.2";
  if (experiment.tight) options.knobs = {"batch=1"};
  TRY(auto opened, open_simulated_device(options, experiment.board));
  Cell cell{.space = opened.device.space, .reference = opened.device.reference};
  TRY(cell.truth, truth_of(options, cell.space, 1));
  double fastest = INFINITY, best = INFINITY;
  for (CandidateId id = 0; id < cell.space.size(); ++id) {
    if (cell.space.config(id).number("batch").value_or(1.0) == 1.0) fastest = std::min(fastest, cell.truth[id].latency_seconds);
  }
  cell.limit = experiment.limit * fastest;
  for (const auto& t : cell.truth) {
    if (t.latency_seconds <= cell.limit) best = std::min(best, t.joules);
  }
  for (const auto& t : cell.truth) {
    cell.near.push_back(t.latency_seconds <= cell.limit && t.joules <= 1.05 * best);
    cell.near_count += cell.near.back() ? 1U : 0U;
  }
  return cell;
}

/// Trials until a near-optimal setting has been measured; the whole space if that never happens.
std::size_t search(const Cell& cell, Optimizer& optimizer, std::uint64_t seed) {
  const Problem problem{cell.space, Objective{}, {{std::string(kLatencyMean), Bound::kAtMost, cell.limit}}, cell.reference, seed};
  std::mt19937_64 random(seed * 7919 + 17);
  std::vector<Trial> history;
  while (history.size() < cell.space.size()) {
    const auto advice = optimizer.ask(problem, history);
    if (!advice || advice->kind == Advice::Kind::kStop) break;
    const CandidateId id = *cell.space.find(advice->config);
    Trial trial;
    trial.id = static_cast<TrialId>(history.size()) + 1;
    trial.state = trial.outcome.state = TrialState::kCompleted;
    trial.advice = *advice;
    trial.asked = trial.outcome.got = advice->config;
    const double joules = cell.truth[id].joules * std::exp(kEnergyNoise * normal(random));
    const double latency = cell.truth[id].latency_seconds * std::exp(kLatencyNoise * normal(random));
    trial.outcome.metrics[std::string(kEnergy)] = {joules, kEnergyNoise * joules, 1000, {}};
    trial.outcome.metrics[std::string(kLatencyMean)] = {latency, kLatencyNoise * latency, 1000, {}};
    history.push_back(std::move(trial));
    if (cell.near[id]) break;
  }
  return history.size();
}

struct Bar {
  double mean = 0.0, deviation = 0.0;
};

using Maker = std::function<std::unique_ptr<Optimizer>()>;

Bar bar_of(const Cell& cell, const Maker& make, std::uint64_t seeds) {
  std::vector<double> trials(seeds);
  const auto work = [&](std::uint64_t first) {
    const auto optimizer = make();
    for (std::uint64_t i = first; i < seeds; i += 2) trials[i] = static_cast<double>(search(cell, *optimizer, i + 1));
  };
  {
    const std::jthread other(work, 1);
    work(0);
  }
  return {mean(trials), std::sqrt(variance(trials))};
}

std::string setting_name(const Experiment& e) {
  return fmt::format("{}, {}", e.board, e.tight ? "batch 1, 1.2x" : fmt::format("all batches, {}x", e.limit));
}

int reproduce(std::uint64_t seeds) {
  fmt::print("| board and SLO | network | grid | k | eic | published | random | 1/share |\n|---|---|---|---|---|---|---|---|\n");
  std::string means;
  for (const auto& experiment : kExperiments) {
    double ours = 0.0, published = 0.0, spread = 0.0;
    for (std::size_t i = 0; i < 8; ++i) {
      const char* precision = i % 2 == 0 ? "fp16" : "fp32";
      const auto cell = make_cell(experiment, kNetworks[i / 2], precision);
      if (!cell) return complain(cell.error(), kExitFailure);
      const Bar eic = bar_of(
          *cell, [] { return std::move(*make_optimizer("eic")); }, seeds);
      const Bar random = bar_of(
          *cell, [] { return std::move(*make_optimizer("random")); }, seeds);
      fmt::print("| {} | {} {} | {} | {} | {:.1f} +- {:.1f} | {:.1f} | {:.1f} +- {:.1f} | {:.1f} |\n", setting_name(experiment),
                 kNetworks[i / 2], precision, cell->space.size(), cell->near_count, eic.mean, eic.deviation, experiment.published[i],
                 random.mean, random.deviation, static_cast<double>(cell->space.size()) / static_cast<double>(cell->near_count));
      std::fflush(stdout);
      ours += eic.mean / 8.0, published += experiment.published[i] / 8.0, spread = std::max(spread, eic.deviation);
    }
    means += fmt::format("| {} | {:.1f} | {:.1f} | {:+.0f} % | {:.1f} |\n", setting_name(experiment), ours, published,
                         100.0 * (ours / published - 1.0), spread);
  }
  fmt::print("\n| board and SLO | eic, mean of 8 | published | difference | largest standard deviation |\n|---|---|---|---|---|\n{}",
             means);
  return kExitOk;
}

/// What the paper leaves open, one choice changed at a time and in the pairs that matter.
int sweep(std::uint64_t seeds) {
  struct Reading {
    std::string name;
    EicOptions options;
  };
  std::vector<Reading> readings;
  for (const auto& [kernel_name, kernel] :
       {std::pair{"Matern-5/2", Kernel::kMatern52}, {"squared exponential", Kernel::kSquaredExponential}}) {
    for (const auto& [target_name, target] : {std::pair{"raw", Target::kRaw}, {"log", Target::kLog}}) {
      for (const auto& [encoding_name, encoding] : {std::pair{"index", Encoding::kIndex}, {"MHz", Encoding::kValue}}) {
        for (const auto& [noise_name, noise] : {std::pair{"fitted", Noise::kFitted}, {"reported", Noise::kReported}}) {
          EicOptions options;
          options.kernel = kernel, options.target = target, options.encoding = encoding, options.noise = noise;
          readings.push_back({fmt::format("{} | {} | {} | {}", kernel_name, target_name, encoding_name, noise_name), options});
        }
      }
    }
  }
  std::vector<std::vector<Cell>> cells;
  for (const auto& experiment : kExperiments) {
    cells.emplace_back();
    for (std::size_t i = 0; i < 8; ++i) {
      auto cell = make_cell(experiment, kNetworks[i / 2], i % 2 == 0 ? "fp16" : "fp32");
      if (!cell) return complain(cell.error(), kExitFailure);
      cells.back().push_back(std::move(*cell));
    }
  }
  fmt::print(
      "| kernel | targets | encoding | noise | Orin tight | TX2 tight | Orin relaxed | TX2 relaxed | mean distance "
      "|\n|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& reading : readings) {
    std::string line;
    double distance = 0.0;
    for (std::size_t e = 0; e < kExperiments.size(); ++e) {
      double ours = 0.0, published = 0.0;
      for (std::size_t i = 0; i < 8; ++i) {
        ours += bar_of(
                    cells[e][i], [&] { return std::move(*make_eic(reading.options)); }, seeds)
                    .mean /
                8.0;
        published += kExperiments[e].published[i] / 8.0;
      }
      line += fmt::format(" {:.1f} ({:.1f}) |", ours, published);
      distance += std::abs(std::log(ours / published)) / 4.0;
    }
    fmt::print("| {} |{} {:.0f} % |\n", reading.name, line, 100.0 * std::expm1(distance));
    std::fflush(stdout);
  }
  return kExitOk;
}

}  // namespace

void add_paper(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("paper", "The search experiment of the paper's figure 4, beside its bars");
  auto seeds = std::make_shared<std::uint64_t>(100);
  auto readings = std::make_shared<bool>(false);
  command->add_option("--seeds", *seeds, "Searches per cell")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_flag("--sweep", *readings, "The choices that the paper leaves open, instead");
  command->callback([=, &exit_code] { exit_code = *readings ? sweep(*seeds) : reproduce(*seeds); });
}

}  // namespace polythrottle::bench
