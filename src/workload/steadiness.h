#pragma once
// When warm-up is over.

#include <cmath>
#include <cstddef>
#include <deque>
#include <numeric>

#include "base/units.h"

namespace polythrottle {

inline constexpr Seconds kLongestWarmUp{5.0}, kShortestWarmUp{0.2};

/// Latencies of the last batches during warm-up: they are steady once the last few took as long as those before them.
class Steadiness {
 public:
  void add(double latency) {
    latencies_.push_back(latency);
    if (latencies_.size() > 2 * kBatches) latencies_.pop_front();
  }
  bool steady() const {
    if (latencies_.size() < 2 * kBatches) return false;
    const auto middle = latencies_.begin() + kBatches;
    const double before = std::accumulate(latencies_.begin(), middle, 0.0), after = std::accumulate(middle, latencies_.end(), 0.0);
    return std::abs(after - before) <= kChange * before;
  }

 private:
  static constexpr std::size_t kBatches = 5;  ///< compared with as many before them
  static constexpr double kChange = 0.05;     ///< of their mean
  std::deque<double> latencies_;
};

}  // namespace polythrottle
