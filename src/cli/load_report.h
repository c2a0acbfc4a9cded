#pragma once
// What a load came to, for people and for programs.

#include <cstdint>
#include <string>

#include "trial/json.h"
#include "workload/load_tally.h"

namespace polythrottle {

struct LoadHeading {
  std::string target, model, arrivals, payload;
  double rate = 0.0;  ///< requests a second, as scheduled
  Seconds duration{0};
  std::uint64_t seed = 0;
  std::size_t connection_limit = 0;
  bool interrupted = false;
};

/// Several lines, a newline at the end.
std::string render_load(const LoadHeading& heading, const LoadTally& tally, const OipLoadRun& run);
/// Schema 1; SI units; null where nothing is known.
Json load_json(const LoadHeading& heading, const LoadTally& tally, const OipLoadRun& run);
/// "12 s  600 sent  598 answered  2 dropped  p50 3.1 ms  p99 12 ms  3 under way"
std::string load_progress(Seconds now, const LoadTally& tally, std::size_t under_way);

}  // namespace polythrottle
