#include "replay/nominal.h"

#include <algorithm>
#include <array>
#include <limits>

#include "replay/duration.h"

namespace polythrottle::replay {
namespace {

constexpr std::array kBatches{1, 2, 4, 8, kLargestBatch};

int batch_of(const Config& config) { return static_cast<int>(config.number("batch").value_or(1.0)); }

}  // namespace

Result<Nominal> Nominal::make(const std::string& board, const std::string& network, simulation::Precision precision) {
  Nominal out;
  TRY(out.board_, simulation::find_board(board));
  TRY(out.network_, simulation::find_network(network));
  out.precision_ = precision;
  return out;
}

const simulation::Plan& Nominal::plan(int batch) const {
  auto& entry = plans_[batch];
  if (!entry) entry = std::make_unique<simulation::Plan>(simulation::inference_plan(*board_, *network_, precision_, batch));
  return *entry;
}

simulation::Setting Nominal::setting(const Config& config) const {
  simulation::Setting out = board_->default_setting();
  if (const auto hz = config.number("gpu_min_hz")) out.gpu_min = Hertz(*hz);
  if (const auto hz = config.number("gpu_max_hz")) out.gpu_max = Hertz(*hz);
  if (const auto hz = config.number("mem_hz")) out.mem = Hertz(*hz);
  if (const auto hz = config.number("cpu_hz")) out.cpu = Hertz(*hz);
  return out;
}

Config Nominal::reference() const {
  const simulation::Setting found = board_->default_setting();
  return {{"gpu_min_hz", found.gpu_min.si()},
          {"gpu_max_hz", found.gpu_max.si()},
          {"mem_hz", found.mem.si()},
          {"cpu_hz", found.cpu.si()},
          {"batch", 1.0}};
}

Config Nominal::complete(const Config& config) const {
  Config out = reference();
  for (const auto& [name, value] : config.entries()) out.set(name, value);
  return out;
}

simulation::Steady Nominal::steady(const Config& config, int batch) const { return simulation::steady_state(plan(batch), setting(config)); }

std::vector<Seconds> Nominal::fastest_batches(const Config& config, int largest) const {
  simulation::Setting at_ceiling = setting(config);
  at_ceiling.gpu_min = at_ceiling.gpu_max;
  std::vector<Seconds> out;
  for (int batch = 1; batch <= largest; ++batch) out.push_back(simulation::steady_state(plan(batch), at_ceiling).latency);
  return out;
}

std::optional<Nominal::Rate> Nominal::highest_rate(const Config& config, Seconds slo) const {
  std::optional<Rate> best;
  for (int batch = 1; batch <= batch_of(config); ++batch) {
    const simulation::Steady at = steady(config, batch);
    const double rate = batch / at.period.count();
    if (at.latency <= slo && (!best || rate > best->per_second)) best = Rate{rate, batch, config};
  }
  return best;
}

std::optional<Nominal::Rate> Nominal::highest_rate(Seconds slo) const {
  Config highest = reference();
  highest.set("gpu_min_hz", board_->gpu_levels.back().si());
  highest.set("batch", static_cast<double>(kLargestBatch));
  return highest_rate(highest, slo);
}

serving::Row Nominal::row(const Config& config) const {
  const simulation::Setting mine = setting(config);
  const simulation::Setting reference = board_->default_setting();
  serving::Row out;
  out.config = complete(config);
  out.max_batch = batch_of(out.config);
  out.speeds = {.gpu = mine.gpu_max / reference.gpu_max, .mem = mine.mem / reference.mem, .cpu = mine.cpu / reference.cpu};
  const simulation::Steady busy = steady(config, out.max_batch);
  out.busy = busy.power.total();
  Celsius temperature(board_->constants.ambient_celsius);
  const simulation::Clocks resting{mine.gpu_min, mine.mem, mine.cpu};
  for (int i = 0; i < 20; ++i) {
    out.idle = simulation::rail_power(*board_, resting, {}, temperature).total();
    temperature = simulation::equilibrium(*board_, *out.idle);
  }
  return out;
}

Result<Nominal::Tuned> Nominal::tuned(Seconds slo, double rate) const {
  Tuned best;
  best.energy = Joules(std::numeric_limits<double>::infinity());
  Config config = reference();
  for (const Hertz floor : board_->gpu_levels) {
    config.set("gpu_min_hz", floor.si());
    for (const Hertz ceiling : board_->gpu_levels) {
      if (ceiling < floor) continue;
      config.set("gpu_max_hz", ceiling.si());
      for (const Hertz memory : board_->mem_levels) {
        config.set("mem_hz", memory.si());
        for (const int batch : kBatches) {
          ++best.settings;
          const simulation::Steady at = steady(config, batch);
          if (at.latency > slo || batch / at.period.count() < rate || at.energy >= best.energy) continue;
          config.set("batch", static_cast<double>(batch));
          best.config = config;
          best.energy = at.energy;
          best.latency = at.latency;
        }
      }
    }
  }
  if (best.config.empty()) {
    return fail(Errc::kOutOfRange, "no setting of the grid serves " + network_->name + " within " + duration_text(slo) + " at this rate");
  }
  return best;
}

}  // namespace polythrottle::replay
