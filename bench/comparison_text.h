#pragma once
// A comparison for people and for programs.

#include <string>
#include <vector>

#include "bench/comparison.h"

namespace polythrottle::bench {

/// A table for each block, and where there are several families, one of the trials to 5 % by family. Below 150 columns.
std::string render_text(const Comparison& comparison, const std::vector<Cell>& cells);
/// {"schema": 1, ...}: what was run, every block, and every cell that went into it. Pretty-printed, with a newline at the end.
std::string render_comparison_json(const Comparison& comparison, const std::vector<Cell>& cells);

}  // namespace polythrottle::bench
