#pragma once
// How long the workload of a trial works.

#include <cstdint>

#include "optimizer/optimizer.h"
#include "study/runner.h"
#include "study/sizing.h"
#include "workload/workload.h"

namespace polythrottle {

/// As many latencies as the strictest percentile needs. Only an exploratory trial may end early on the SLO: reference, checks and
/// confirmation are wanted whole. `problem`: absent until the reference is measured. `Budget::enough` is left to the caller.
Budget trial_budget(const Plan& plan, const Advice& advice, const Problem* problem, std::uint64_t seed);

/// What is asked of the window of such a trial.
SizingRule sizing_rule(const Plan& plan, const Budget& budget);

}  // namespace polythrottle
