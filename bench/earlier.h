#pragma once
// Earlier studies: what a search may know of another workload before it begins.

#include "base/result.h"
#include "bench/search.h"
#include "optimizer/optimizer.h"

namespace polythrottle::bench {

/// Everything that the search `plan` measures. Errors: those of run_search.
Result<EarlierStudy> finished_study(const SearchPlan& plan, Optimizer& optimizer);

/// The reference and 8 random settings of `plan.problem`, all measured to the end, as if ln(latency / reference) and ln(energy / reference)
/// had the opposite sign everywhere. `plan.noise_seed` decides the settings too.
EarlierStudy misleading_study(const SearchPlan& plan);

}  // namespace polythrottle::bench
