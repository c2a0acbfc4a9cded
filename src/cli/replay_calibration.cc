#include "cli/replay_calibration.h"

#include <algorithm>

#include "replay/co_runs.h"

namespace polythrottle {

Result<interference::Samples> calibrate_for(const replay::ReplayOptions& options, const replay::Contender& contender, std::uint64_t seed,
                                            const std::function<void(std::size_t, std::size_t)>& progress, std::stop_token stop) {
  TRY(auto machine, simulation::Machine::make(options.board, {.seed = seed, .noise = options.noise}));
  TRY(auto clocks, replay::CoRunClocks::make(*machine));
  replay::CoRunWork work{.network = options.network, .precision = options.precision};
  if (!options.jobs.empty()) {
    const auto& job = options.jobs.front();
    work.items = job.batch;
    work.outputs = job.outputs;
    work.trained_layers = job.trained_layers;
  }
  std::vector<Config> configs;
  std::vector<interference::Speeds> speeds;
  work.largest_batch = 1;
  for (const auto& row : contender.rows) {
    Config clocks_alone;
    for (const auto& [name, value] : row.config.entries()) {
      if (name != "batch") clocks_alone.set(name, value);
    }
    configs.push_back(std::move(clocks_alone));
    speeds.push_back(row.speeds);
    work.largest_batch = std::max(work.largest_batch, row.max_batch);
  }
  const auto design = replay::co_run_design(work, configs.size());
  const replay::CoRunHooks hooks{[&](const Config& config) { return clocks->apply(config); }, progress, std::move(stop)};
  TRY(auto result, replay::make_co_runs(*machine, work, configs, speeds, design, hooks));
  return std::move(result.samples);
}

}  // namespace polythrottle
