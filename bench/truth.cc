#include "bench/truth.h"

#include <map>
#include <thread>

namespace polythrottle::bench {

simulation::Setting setting_of(const simulation::Board& board, const Config& config) {
  simulation::Setting setting = board.default_setting();
  if (const auto hz = config.number("gpu_min_hz")) setting.gpu_min = Hertz(*hz);
  if (const auto hz = config.number("gpu_max_hz")) setting.gpu_max = Hertz(*hz);
  if (const auto hz = config.number("mem_hz")) setting.mem = Hertz(*hz);
  if (const auto hz = config.number("cpu_hz")) setting.cpu = Hertz(*hz);
  return setting;
}

Result<std::vector<Truth>> truth_of(const TuneOptions& options, const Space& space, unsigned threads) {
  TRY(const auto* board, simulation::find_board(options.device.substr(options.device.find(':') + 1)));
  TRY(const auto* network, simulation::find_network(options.model));
  TRY(const auto precision, simulation::find_precision(options.precision.empty() ? "fp16" : options.precision));
  std::map<int, simulation::Plan> plans;
  for (CandidateId id = 0; id < space.size(); ++id) {
    const int batch = static_cast<int>(space.config(id).number("batch").value_or(1.0));
    if (!plans.contains(batch)) plans.emplace(batch, simulation::inference_plan(*board, *network, precision, batch));
  }
  std::vector<Truth> out(space.size());
  const auto work = [&](unsigned first) {
    for (std::size_t id = first; id < space.size(); id += threads) {
      const Config config = space.config(static_cast<CandidateId>(id));
      const int batch = static_cast<int>(config.number("batch").value_or(1.0));
      const auto steady = simulation::steady_state(plans.at(batch), setting_of(*board, config));
      out[id] = {steady.latency.count(), steady.energy.si()};
    }
  };
  {
    std::vector<std::jthread> workers;  // joined before `out` moves away
    for (unsigned t = 1; t < threads; ++t) workers.emplace_back(work, t);
    work(0);
  }
  return out;
}

}  // namespace polythrottle::bench
