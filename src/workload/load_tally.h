#pragma once
// What became of the requests of a load.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "workload/latency_histogram.h"
#include "workload/oip_client.h"

namespace polythrottle {

/// Numbers in a reason are left out of its words, so that alike reasons are counted as one; at most 50 kinds, the rest is "other".
struct LoadTally {
  std::uint64_t sent = 0, answered = 0, dropped = 0, failed = 0, unanswered = 0;
  std::uint64_t in_time = 0;  ///< answered within `slo`
  std::uint64_t waited = 0;   ///< for a connection
  std::optional<Seconds> slo{};
  std::map<std::string, std::uint64_t> dropped_why{}, failed_why{};
  LatencyHistogram latency{};  ///< of those answered, from the scheduled time on
  LatencyHistogram lag{};      ///< of all: how late the generator was

  void add(const Exchange& exchange);
  /// Answered in time over all that were sent, those dropped, failed and unanswered too. nullopt without an SLO or a request.
  std::optional<double> attainment() const;
  /// Was the generator itself so late that its latencies are its own? If 1 % of requests were sent later than 1 ms and than a tenth of
  /// the latency's 99th percentile.
  bool generator_was_late() const;
};

}  // namespace polythrottle
