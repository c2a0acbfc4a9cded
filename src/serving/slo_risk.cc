#include "serving/slo_risk.h"

#include <algorithm>
#include <cmath>

namespace polythrottle::serving {

void SloRisk::answered(std::optional<Seconds> lateness) {
  const bool missed = !lateness || *lateness > Seconds(0);
  misses_ = std::max(-1.0, misses_ - options_.allowed) + (missed ? 1.0 : 0.0);
}

std::optional<SloRisk::Danger> SloRisk::danger(const ServingState& state, const LoadTable& table, bool home) const {
  const double excess = home ? options_.home_excess : options_.excess;
  double misses = misses_;
  if (misses > excess) return Danger{};
  Time end = state.batch ? std::max(state.now, state.batch->expected_end) : state.now;
  const auto most = static_cast<std::size_t>(std::max(1, table.max_batch(state.row)));
  for (std::size_t first = 0; first < state.queue.size(); first += most) {
    const auto batch = state.queue.subspan(first, std::min(most, state.queue.size() - first));
    end += table.latency(state.row, batch.size());
    for (const Request& request : batch) {
      if (end <= request.deadline) break;  // those behind it have more time
      misses += 1.0;
      if (misses > excess) return Danger{end - state.now, request.deadline - state.now};
    }
  }
  return std::nullopt;
}

void SloRisk::fell_back(Time now) {
  calm_until_ = now + options_.calm;
  misses_ = 0.0;
}

}  // namespace polythrottle::serving
