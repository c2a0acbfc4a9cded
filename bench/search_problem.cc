#include "bench/search_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "host/simulation/network.h"
#include "workload/csv.h"
#include "workload/recorded.h"

namespace polythrottle::bench {
namespace {

/// Relative standard deviation of one trial's energy on the boards: the larger the network, the fewer inferences fit into a window.
constexpr std::array<std::pair<std::string_view, double>, 4> kBoardEnergyNoise{
    {{"efficientnet-b0", 0.01}, {"efficientnet-b4", 0.02}, {"efficientnet-b7", 0.03}, {"bert-base", 0.04}}};

Result<std::string> file_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) return tl::unexpected<Error>(system_error("read " + path, errno));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<double> mean_of(const std::vector<Metrics>& repeats, std::string_view metric) {
  double sum = 0.0, count = 0.0;
  for (const Metrics& metrics : repeats) {
    if (const auto it = metrics.find(metric); it != metrics.end()) sum += it->second.value, count += 1.0;
  }
  return count > 0.0 ? std::optional(sum / count) : std::nullopt;
}

bool has(const RecordedTable& table, std::string_view metric) {
  return std::any_of(table.cells.begin(), table.cells.end(), [&](const auto& cell) { return mean_of(cell, metric).has_value(); });
}

Result<SearchProblem> problem_of(const RecordedTable& table, const std::string& family) {
  SearchProblem problem{.family = family, .workload = table.workload, .board = {}, .space = {}, .reference = table.reference};
  problem.energy_metric = has(table, kEnergy) ? kEnergy : kEnergyProxy;
  std::vector<Config> complete;
  for (CandidateId id = 0; id < table.space.size(); ++id) {
    const auto energy = mean_of(table.cells[id], problem.energy_metric), latency = mean_of(table.cells[id], kLatencyMean);
    if (!energy || !latency) continue;
    complete.push_back(table.space.config(id));
    problem.truth.push_back({.latency_seconds = *latency, .joules = *energy});
  }
  if (std::find(complete.begin(), complete.end(), table.reference) == complete.end()) {
    return fail(Errc::kCorrupt, fmt::format("{}: {}: the reference setting lacks energy or latency", family, table.workload));
  }
  TRY(problem.space, Space::list(table.space.parameters(), complete));
  return problem;
}

std::string family_of(const TuneOptions& options) {
  std::string family = options.device + ' ' + (options.space.empty() ? "full" : options.space);
  for (const auto& knob : options.knobs) family += ' ' + knob;
  return family;
}

Result<SearchProblem> board_problem(const TuneOptions& options) {
  const std::string board = options.device.substr(options.device.find(':') + 1);
  TRY(const auto opened, open_simulated_device(options, board));
  SearchProblem problem{.family = family_of(options),
                        .workload = options.model + ' ' + options.precision,
                        .board = board,
                        .space = opened.device.space,
                        .reference = opened.device.reference};
  problem.energy_metric = kEnergy;
  for (const auto& [model, noise] : kBoardEnergyNoise) {
    if (model == options.model) problem.energy_noise = noise;
  }
  TRY(problem.truth, truth_of(options, problem.space, 1));
  return problem;
}

}  // namespace

Result<std::vector<std::string>> workloads_of_table(const std::string& path) {
  TRY(const std::string text, file_text(path));
  const auto csv = parse_csv(text);
  if (!csv) return fail(csv.error().code, path + ": " + csv.error().what, csv.error().hint);
  const auto column = std::find(csv->header.begin(), csv->header.end(), "workload");
  if (column == csv->header.end()) return std::vector<std::string>{""};
  std::vector<std::string> names;
  for (const CsvRow& row : csv->rows) {
    const std::string& name = row.cells[static_cast<std::size_t>(column - csv->header.begin())];
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

Result<std::vector<SearchProblem>> problems_of_table(const std::string& path, const std::vector<std::string>& workloads) {
  TRY(const auto names, workloads_of_table(path));
  std::vector<SearchProblem> problems;
  for (const std::string& name : names) {
    if (!workloads.empty() && std::find(workloads.begin(), workloads.end(), name) == workloads.end()) continue;
    TRY(const RecordedTable table, read_recorded_table(path, name));
    TRY(problems.emplace_back(), problem_of(table, std::filesystem::path(path).filename().string()));
  }
  return problems;
}

Result<std::vector<SearchProblem>> problems_of_board(TuneOptions options, const std::vector<std::string>& models,
                                                     const std::vector<std::string>& precisions) {
  std::vector<SearchProblem> problems;
  for (const std::string& model : models) {
    for (const std::string& precision : precisions) {
      options.model = model;
      options.precision = precision;
      TRY(problems.emplace_back(), board_problem(options));
    }
  }
  return problems;
}

std::vector<std::string> simulated_models() {
  std::vector<std::string> names;
  for (const auto& network : simulation::networks()) names.emplace_back(network.name);
  return names;
}

}  // namespace polythrottle::bench
