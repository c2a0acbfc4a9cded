#pragma once
// Co-runs before the first request of a replay, on a board of their own.

#include <functional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "replay/compare.h"

namespace polythrottle {

/// Runs batches beside steps of the first job at the clocks of the contender's rows, on a machine of the same board with a seed of its own.
/// Without a job: batches alone. Errors: those of make_co_runs.
Result<interference::Samples> calibrate_for(const replay::ReplayOptions& options, const replay::Contender& contender, std::uint64_t seed,
                                            const std::function<void(std::size_t done, std::size_t total)>& progress, std::stop_token stop);

}  // namespace polythrottle
