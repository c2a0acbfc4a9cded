#pragma once
// Latencies of any number of requests, in bounded memory.

#include <cstdint>
#include <optional>
#include <vector>

#include "base/units.h"

namespace polythrottle {

/// Log-linear, as HdrHistogram is (Gil Tene): 1024 equal buckets per doubling from 1 us on, so a quantile is off by at most 0.1 % of itself
/// and 1 ns. Holds 0 to 10^6 s; longer ones count as that. Mean and extremes are exact.
class LatencyHistogram {
 public:
  LatencyHistogram();
  void add(Seconds latency);
  std::uint64_t count() const { return count_; }
  /// nullopt while empty.
  std::optional<Seconds> mean() const;
  std::optional<Seconds> max() const;
  /// The smallest latency that at least the part `q` (0 to 1) of all do not exceed.
  std::optional<Seconds> quantile(double q) const;

 private:
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  double sum_ = 0.0, max_ = 0.0;
};

}  // namespace polythrottle
