#include "cli/replay_calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "replay/co_runs.h"

namespace polythrottle {
namespace {

/// Batches beside steps of the first job.
replay::CoRunWork work_of(const replay::ReplayOptions& options) {
  if (options.jobs.empty()) return {.network = options.network, .precision = options.precision};
  return replay::co_run_work(options.network, options.precision, options.jobs.front());
}

}  // namespace

Result<interference::Samples> calibrate_for(const replay::ReplayOptions& options, const replay::Contender& contender, std::uint64_t seed,
                                            const std::function<void(std::size_t, std::size_t)>& progress, std::stop_token stop) {
  TRY(auto machine, simulation::Machine::make(options.board, {.seed = seed, .noise = options.noise}));
  TRY(auto clocks, replay::CoRunClocks::make(*machine));
  auto work = work_of(options);
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

Result<interference::Calibration> load_calibration(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return tl::unexpected<Error>(system_error("read " + path, errno));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return tl::unexpected<Error>(system_error("read " + path, errno));
  auto calibration = interference::parse_calibration(text);
  if (!calibration) calibration.error().what = fmt::format("{}: {}", path, calibration.error().what);
  return calibration;
}

Result<interference::Samples> calibration_for(const replay::ReplayOptions& options, const std::string& path) {
  TRY(auto calibration, load_calibration(path));
  const std::string model = fmt::format("{} {}", options.network, simulation::to_string(options.precision));
  const std::string steps = options.jobs.empty() ? calibration.finetune : replay::step_words(work_of(options));
  auto fits = interference::check_calibration(calibration, "sim:" + options.board, model, steps);
  if (!fits) return fail(fits.error().code, fmt::format("{}: {}", path, fits.error().what), fits.error().hint);
  return std::move(calibration.samples);
}

}  // namespace polythrottle
