#include "serving/slo_risk.h"

#include <algorithm>
#include <cmath>

namespace polythrottle::serving {

void SloRisk::answered(std::optional<Seconds> lateness) {
  const bool missed = !lateness || *lateness > Seconds(0);
  misses_ = std::max(-1.0, misses_ - options_.allowed) + (missed ? 1.0 : 0.0);
}

std::optional<SloRisk::Danger> SloRisk::danger(const ServingState& state, const LoadTable& table) const {
  if (misses_ > 0.0) return Danger{};
  if (state.queue.empty()) return std::nullopt;
  const Time free = state.batch ? std::max(state.now, state.batch->expected_end) : state.now;
  const auto late = [&](const Request& request, Time end) -> std::optional<Danger> {
    if (end <= request.deadline) return std::nullopt;
    return Danger{end - state.now, request.deadline - state.now};
  };
  if (auto oldest = late(state.queue.front(), free + table.latency(state.row, 1))) return oldest;
  const std::size_t waiting = state.queue.size();
  const auto most = static_cast<std::size_t>(std::max(1, table.max_batch(state.row)));
  const double full = static_cast<double>(waiting / most);
  return late(state.queue.back(), free + table.latency(state.row, most) * full + table.latency(state.row, waiting % most));
}

void SloRisk::fell_back(Time now) {
  // Soon: before it has been well for as long as it was left alone last time.
  const bool soon = last_calm_ > Seconds(0) && now < calm_until_ + last_calm_;
  last_calm_ = soon ? std::min(options_.longest_calm, last_calm_ * 2.0) : options_.calm;
  calm_until_ = now + last_calm_;
  misses_ = 0.0;
}

}  // namespace polythrottle::serving
