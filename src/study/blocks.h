#pragma once
// A window cut into blocks of time: what every statement about its errors and its steadiness is made from.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "meter/window.h"
#include "workload/workload.h"

namespace polythrottle {

/// Between two neighbouring readings of the meter.
struct Block {
  double seconds = 0.0;
  double joules = 0.0;
  double inferences = 0.0;  ///< those of a batch count in every block it ran in, by its share of time there
  double latencies = 0.0;   ///< s, sum over the batches (open loop: requests) that ended in it
  double ended = 0.0;       ///< how many did
};

/// Block i lies between readings i and i + 1 of the window. A batch counts in every block it ran in: counted where it ends, one that is not
/// short against a block would make neighbours look alternately idle and busy, and the error many times too large.
std::vector<Block> blocks_of(const Work& work, const WindowReading& reading);

/// Neighbours joined until there are at least `count` and fewer than twice as many; fewer blocks stay as they are.
std::vector<Block> joined(std::span<const Block> blocks, std::size_t count);

/// Sum of a column over blocks.
double sum_of(std::span<const Block> blocks, double Block::*column);

/// Standard error of sum(numerator) / sum(denominator) by the ratio estimator, from blocks joined to about twenty, so that correlation
/// shorter than a twentieth of the window is in it, however long the window was. nullopt for fewer than three blocks.
std::optional<double> scatter_of_ratio(std::span<const Block> blocks, double Block::*numerator, double Block::*denominator);

/// Relative standard error of a window's energy per inference (with `denominator` = seconds: of its power): the larger of what its blocks
/// scatter by and of the meter's own error of this window. Not both in quadrature: the blocks were read with that meter, so its edges and
/// its sampling are in their scatter already, and more often than in the window as a whole; they are a floor for when the blocks happen to
/// agree, or a slow meter has made them agree. nullopt where neither is known.
std::optional<double> relative_error(std::span<const Block> blocks, Joules own_error, double Block::*denominator);

}  // namespace polythrottle
