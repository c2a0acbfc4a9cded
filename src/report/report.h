#pragma once
// What a person or another program takes away from a study. Everything here returns text; nothing prints.

#include <string>
#include <vector>

#include "study/summary.h"

namespace polythrottle {

/// Rows of cells as aligned columns, two spaces apart; the columns named in `right` are set flush right. Every row may be shorter than the
/// widest.
std::string align(const std::vector<std::vector<std::string>>& rows, const std::vector<std::size_t>& right = {});

/// The answer: reference against best, the saving with its interval, what broke the SLO, what the search cost.
std::string render_answer(const Summary& summary);
/// Every trial, a line each.
std::string render_trials(const Summary& summary);
/// The Pareto set of objective against latency.
std::string render_pareto(const Summary& summary);

/// The JSON of docs/terms.md ("tune --json"), pretty-printed, with a newline at the end.
std::string render_json(const Summary& summary);
/// One line per trial: id, state, kind, knobs, metrics with their standard errors, note. RFC 4180 with a header.
std::string render_csv(const Summary& summary);

/// "1 trial", "3 trials".
std::string counted(std::size_t count, std::string_view one, std::string_view many);

/// "mean latency <= 8.942 ms": a limit for people.
std::string describe(const Constraint& constraint);
/// A knob's value for people: clocks in MHz.
std::string knob_text(const std::string& name, const Value& value);
/// A configuration for people: "batch=4 gpu_max_hz=1300MHz".
std::string setting_text(const Config& config);
/// "energy per inference", "p99 latency".
std::string metric_label(std::string_view metric);

}  // namespace polythrottle
