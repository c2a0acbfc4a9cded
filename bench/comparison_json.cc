#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/comparison_text.h"
#include "cli/version.h"

namespace polythrottle::bench {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json estimate(const Group& group, Figure figure) {
  const MeanAndError value = group[figure];
  return {{"mean", number(value.mean)}, {"std_error", number(value.std_error)}};
}

Json trials(const Group& group, Figure count, Figure never) {
  Json out = estimate(group, count);
  out["never_share"] = number(group[never].mean);
  return out;
}

Json violations(const Group& group, Figure count, Figure excess) {
  Json out = estimate(group, count);
  const auto size = group.violation_size(excess, count);
  out["mean_latency_over_slo"] = size ? Json(*size) : Json(nullptr);
  return out;
}

Json stop(const Group& group) {
  if (std::isnan(group[Figure::kStopTrials].mean)) return nullptr;
  return {{"trials_explored", estimate(group, Figure::kStopTrials)},
          {"trials_measured", estimate(group, Figure::kStopMeasurements)},
          {"missed_share", estimate(group, Figure::kStopMissed)},
          {"regret", estimate(group, Figure::kStopRegret)}};
}

Json figures(const Group& group) {
  Json to_5 = trials(group, Figure::kTrialsTo5, Figure::kNeverTo5);
  to_5["p90"] = group.p90_trials_to_5();
  return {{"trials_to_5_percent", to_5},
          {"trials_to_1_percent", trials(group, Figure::kTrialsTo1, Figure::kNeverTo1)},
          {"violations_to_5_percent", violations(group, Figure::kViolationsTo5, Figure::kExcessTo5)},
          {"violations_to_stop", violations(group, Figure::kViolationsToStop, Figure::kExcessToStop)},
          {"share_with_trial_above_1.5_slo", estimate(group, Figure::kFarOver)},
          {"regret_after",
           {{"5", estimate(group, Figure::kRegret5)},
            {"8", estimate(group, Figure::kRegret8)},
            {"10", estimate(group, Figure::kRegret10)},
            {"15", estimate(group, Figure::kRegret15)},
            {"25", estimate(group, Figure::kRegret25)}}},
          {"own_stop", stop(group)},
          {"suggestion_milliseconds",
           {{"mean", group[Figure::kSuggestionMilliseconds].mean}, {"largest", group.largest_suggestion_milliseconds()}}}};
}

Json run_of(const Comparison& comparison) {
  return {{"slack", kSlack},
          {"seeds", comparison.seeds},
          {"ensembles", comparison.ensembles},
          {"noise", comparison.noise.text},
          {"stop_early", comparison.stop_early},
          {"explore", to_string(comparison.explore)},
          {"min_gain", comparison.min_gain}};
}

Json methods_of(const Comparison& comparison) {
  Json out = Json::array();
  for (const Method& method : comparison.methods) {
    out.push_back({{"name", method.name}, {"stops_by_itself", method.steered}});
    if (method.steered) out.back()["explore"] = to_string(method.explore.value_or(comparison.explore));
    if (!method.command.empty()) out.back().update({{"command", method.command}, {"about", method.about}});
  }
  return out;
}

Json problems_of(const Comparison& comparison) {
  Json out = Json::array();
  for (const SearchProblem& problem : comparison.problems) {
    const Noise noise = comparison.noise.of(problem);
    out.push_back({{"family", problem.family},
                   {"workload", problem.workload},
                   {"settings", problem.space.size()},
                   {"cap", comparison.cap_of(problem)},
                   {"energy_metric", problem.energy_metric},
                   {"energy_noise", noise.energy},
                   {"latency_noise", noise.latency},
                   {"outliers", noise.outliers}});
  }
  return out;
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json means_of(const Comparison& comparison, const std::vector<Cell>& cells) {
  Json out = Json::array();
  for (const Block& block : blocks_of(comparison, cells)) {
    for (std::size_t i = 0; i < block.groups.size(); ++i) {
      Json row{{"family", or_null(block.family)}, {"slo", or_null(block.slo)}, {"method", comparison.methods[i].name}};
      row.update(figures(block.groups[i]));
      out.push_back(std::move(row));
    }
  }
  return out;
}

Json cells_of(const std::vector<Cell>& cells) {
  Json out = Json::array();
  for (const Cell& cell : cells) {
    Json row{{"family", cell.problem->family},
             {"workload", cell.problem->workload},
             {"slo", cell.goal.slo},
             {"limit_seconds", cell.goal.limit_seconds},
             {"best_energy", cell.goal.best_joules},
             {"settings_within_5_percent", cell.goal.near},
             {"method", cell.method->name}};
    row.update(figures(cell.group));
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

std::string render_comparison_json(const Comparison& comparison, const std::vector<Cell>& cells) {
  const Json out{{"schema", 1},
                 {"benchmark", "optimizers"},
                 {"versions", {{"polythrottle", kVersion}, {"compiler", __VERSION__}}},
                 {"run", run_of(comparison)},
                 {"methods", methods_of(comparison)},
                 {"problems", problems_of(comparison)},
                 {"means", means_of(comparison, cells)},
                 {"cells", cells_of(cells)}};
  return out.dump(2) + '\n';
}

}  // namespace polythrottle::bench
