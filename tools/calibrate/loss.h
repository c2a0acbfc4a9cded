#pragma once
// What a fit minimises: weighted squared distances between simulated and published figures.

#include <string>
#include <vector>

#include "host/simulation/paper.h"

namespace polythrottle::calibrate {

/// `without`: a network whose figures teach nothing (held out), or "".
double loss(const simulation::Board& board, const simulation::Published& published, const std::vector<simulation::Figure>& figures,
            const std::string& without);

/// The board's scalars as a point of the unit cube and back; logarithmic where the bounds are more than a factor of four apart.
std::vector<double> to_cube(const simulation::Board& board);
void from_cube(simulation::Board& board, const std::vector<double>& point);

}  // namespace polythrottle::calibrate
