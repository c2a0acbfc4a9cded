#pragma once
// Co-runs before the first request of a replay, on a board of their own.

#include <functional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "interference/calibration.h"
#include "replay/compare.h"

namespace polythrottle {

/// Runs batches beside steps of the first job at the clocks of the contender's rows, on a machine of the same board with a seed of its own.
/// Without a job: batches alone. Errors: those of make_co_runs.
Result<interference::Samples> calibrate_for(const replay::ReplayOptions& options, const replay::Contender& contender, std::uint64_t seed,
                                            const std::function<void(std::size_t done, std::size_t total)>& progress, std::stop_token stop);

/// The file of `interference calibrate --output`. Errors: those of the file; those of parse_calibration. Each names it.
Result<interference::Calibration> load_calibration(const std::string& path);
/// Its samples, if it was made for the device, the model and the first job of `options`; without a job, for the first two. Errors: those of
/// load_calibration and check_calibration.
Result<interference::Samples> calibration_for(const replay::ReplayOptions& options, const std::string& path);

}  // namespace polythrottle
