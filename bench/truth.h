#pragma once
// What a simulated board would show at every setting of a space if nothing were noisy.

#include <vector>

#include "cli/open_device.h"
#include "host/simulation/physics.h"

namespace polythrottle::bench {

struct Truth {
  double latency_seconds = 0.0;
  double joules = 0.0;  ///< per inference, total of the board
};

/// One entry per candidate of the opened device's space, computed on `threads` threads. `options` are those it was opened with.
/// Errors: unknown board, network or precision.
Result<std::vector<Truth>> truth_of(const TuneOptions& options, const Space& space, unsigned threads);

/// The limit's setting of one candidate: knobs that are not in the space stay as the board boots.
simulation::Setting setting_of(const simulation::Board& board, const Config& config);

}  // namespace polythrottle::bench
