#pragma once
// The first batches of a model, before anybody is served: they warm it, and say how long batches take.

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/backend.h"
#include "host/host.h"
#include "interference/interference.h"

namespace polythrottle::server {

/// Inputs full of zeros (empty strings) for `batch` rows. `dimensions`: values of free axes other than the batch, by their name or
/// INPUT[AXIS]. Errors: kInvalid naming a free axis without a value.
Result<std::vector<Tensor>> zero_inputs(const ModelInfo& model, std::int64_t batch, const std::map<std::string, std::int64_t>& dimensions);

struct WarmUpOptions {
  int largest_batch = 1;  ///< 1, 2, 4, ... and this one are run
  int repeats = 5;        ///< of each, besides a first one that is not counted
  std::map<std::string, std::int64_t> dimensions;
};
/// Batches alone, in the clocks as they are now. Errors: those of zero_inputs and Backend::run; kTimeout where `stop` came.
Result<interference::Samples> warm_up(Backend& backend, Clock& clock, const interference::Speeds& speeds, const WarmUpOptions& options,
                                      std::stop_token stop);
/// The median latency of the smallest batch seen.
Seconds fastest(const interference::Samples& samples);

}  // namespace polythrottle::server
