#pragma once
// What a person reads about a fit.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/simulation/paper.h"

namespace polythrottle::calibrate {

/// A board with what the paper printed and what the simulation makes of it.
struct Fitted {
  simulation::Board board;
  simulation::Published published;
  std::vector<simulation::Figure> figures;
};

/// Every goal of the calibration beside what was reached, one row of a Markdown table each.
std::string goals_rows(const Fitted& fitted);
/// Published beside simulated, one line per figure.
std::string figures_text(const Fitted& fitted);
/// Fitted numbers with units, bounds, sources and a mark on those within a hundredth of a bound, as rows of a Markdown table.
std::string scalars_rows(const Fitted& fitted);

/// The generated part of docs/simulation.md. `record` is what fits left behind (see main.cc).
std::string page(const std::vector<Fitted>& boards, const nlohmann::ordered_json& record);
/// Input for gnuplot: savings published against simulated, and the frontiers of figure 2; draws `output`.
std::string plot(const std::vector<Fitted>& boards, const std::string& output);

}  // namespace polythrottle::calibrate
