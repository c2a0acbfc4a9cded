#pragma once
// From completions and joules to metrics with errors.

#include <vector>

#include "meter/window.h"
#include "trial/metric.h"
#include "workload/workload.h"

namespace polythrottle {

/// Metrics of one window. Statistical errors come from about twenty blocks of it, and are never below the meter's own (study/blocks.h);
/// percentiles state the error of their order statistic. Metrics without a single inference are left out.
/// error_sources: names for `reading.one_sigma`, from the meter's info.
Metrics measure(const Work& work, const WindowReading& reading, const std::vector<std::string>& error_sources);

/// Mean power of a window, as `measure` has it.
Estimate power_of(const WindowReading& reading, const std::vector<std::string>& error_sources);

/// Latency alone (an aborted trial, whose energy means nothing).
Metrics measure_latency(const Work& work);

}  // namespace polythrottle
