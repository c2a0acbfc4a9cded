#pragma once
// What was not counted, what stayed undecided, and whether the machine stayed what it was.

#include <string>

#include "study/summary.h"
#include "trial/json.h"

namespace polythrottle {

/// A few lines, each with its newline; empty where nothing is to be said.
std::string render_discarded(const Summary& summary);
/// "Idle power was 5.12 W ...": empty where it was not measured.
std::string render_idle(const Summary& summary);

Json discarded_json(const Discarded& discarded);
/// null where the reference was measured only once.
Json drift_json(const Drift& drift);

}  // namespace polythrottle
