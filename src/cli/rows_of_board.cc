// Rows for serving on a simulated board without a study: its physics says what each setting does under each load.

#include <algorithm>
#include <array>
#include <limits>

#include "cli/rows_of_study.h"
#include "host/simulation/paper.h"

namespace polythrottle {
namespace {

using serving_rows::Candidate;
using simulation::Board;
using simulation::Plan;
using simulation::Setting;

/// Pauses between batches, as multiples of a batch back to back, the longest first.
constexpr std::array kPauses = {30.0, 12.0, 6.0, 3.0, 1.5, 0.8, 0.4, 0.15, 0.0};

serving::BatchCurve curve_of(const Plan& plan, const Setting& setting) {
  const auto full = steady_state(plan, setting);
  serving::BatchCurve curve{plan.batch, {}};
  for (const double pause : kPauses) {
    const auto load = pause > 0.0 ? steady_state(plan, setting, {.idle_gap = full.latency * pause}) : full;
    if (curve.points.empty()) curve.points.push_back({0.0, load.latency, serving_rows::idle_power(*plan.board, setting)});
    curve.points.push_back({plan.batch / load.period.count(), load.latency, load.power.total()});
  }
  return curve;
}

Candidate candidate_of(const std::vector<Plan>& plans, const Setting& setting, std::size_t batches) {
  const Board& board = *plans.front().board;
  const Setting reference = board.default_setting();
  Candidate out;
  for (std::size_t i = 0; i < batches; ++i) out.cost.batches.push_back(curve_of(plans[i], setting));
  serving::Row& row = out.row;
  row.config = {{"gpu_min_hz", setting.gpu_min.si()}, {"gpu_max_hz", setting.gpu_max.si()}, {"mem_hz", setting.mem.si()}};
  row.max_batch = plans[batches - 1].batch;
  row.config.set("batch", static_cast<double>(row.max_batch));
  row.speeds = {setting.gpu_max / reference.gpu_max, setting.mem / reference.mem, setting.cpu / reference.cpu};
  row.idle = out.cost.batches.back().points.front().power;
  row.busy = out.cost.batches.back().points.back().power;
  return out;
}

}  // namespace

namespace serving_rows {

Setting setting_of(const Board& board, const Config& config) {
  Setting setting = board.default_setting();
  const auto take = [&](const char* knob, Hertz& clock) {
    if (const auto value = config.number(knob)) clock = Hertz(*value);
  };
  take("gpu_min_hz", setting.gpu_min);
  take("gpu_max_hz", setting.gpu_max);
  take("mem_hz", setting.mem);
  take("cpu_hz", setting.cpu);
  return setting;
}

Watts idle_power(const Board& board, const Setting& setting) {
  const simulation::Clocks clocks{setting.gpu_min, setting.mem, setting.cpu};
  const Celsius reference(board.constants.reference_celsius);
  const Watts cold = rail_power(board, clocks, {}, reference).total();
  return rail_power(board, clocks, {}, equilibrium(board, cold)).total();
}

}  // namespace serving_rows

Result<ServingRows> rows_of_board(const Board& board, const simulation::Network& network, simulation::Precision precision, Seconds slo,
                                  const serving::LoadModel& model) {
  std::vector<Plan> plans;
  for (const int batch : simulation::kPaperBatches) plans.push_back(inference_plan(board, network, precision, batch));
  std::vector<Candidate> others;
  std::optional<Candidate> tuned;
  double least = std::numeric_limits<double>::infinity();
  for (const Hertz ceiling : board.gpu_levels) {
    for (const Hertz memory : board.mem_levels) {
      for (const Hertz floor : {board.gpu_levels.front(), ceiling}) {
        Setting setting = board.default_setting();
        setting.gpu_min = floor;
        setting.gpu_max = ceiling;
        setting.mem = memory;
        others.push_back(candidate_of(plans, setting, plans.size()));
        for (std::size_t i = 0; i < plans.size(); ++i) {
          const auto full = steady_state(plans[i], setting);
          if (full.latency > slo || full.energy.si() >= least) continue;
          least = full.energy.si();
          tuned = candidate_of(plans, setting, i + 1);
        }
        if (ceiling == floor) break;
      }
    }
  }
  auto out = serving_rows::useful(candidate_of(plans, board.default_setting(), 1), std::move(tuned), std::move(others), slo, model);
  if (out) out->idle = "computed for each setting from the simulated board's physics";
  return out;
}

}  // namespace polythrottle
