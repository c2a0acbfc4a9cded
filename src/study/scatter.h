#pragma once
// How far measurements of one setting lie apart, beyond what each of them says of its own error.

#include <span>
#include <string_view>
#include <vector>

#include "trial/trial.h"

namespace polythrottle {

/// Relative standard deviation that windows at the same setting have in common with nobody: what a machine does differently from one visit
/// to the next and no window can see in itself. Random effects by the moments of DerSimonian & Laird 1986, pooled over all settings with
/// several completed trials that state an error; 0 where there is none, or no more scatter than stated.
double scatter_between_visits(std::span<const Trial> trials, std::string_view metric);

/// Adds that scatter of each metric to the standard errors of the completed trials.
void add_scatter(std::vector<Trial>& trials);

}  // namespace polythrottle
