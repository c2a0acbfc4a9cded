#pragma once
// Since when a load is steady.

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/units.h"
#include "study/blocks.h"

namespace polythrottle {

/// The straight line through a stretch of blocks.
struct Trend {
  double change = 0.0;     ///< from end to end of the stretch, relative to its mean
  double std_error = 0.0;  ///< of that
  Seconds length{0};       ///< of the stretch
};
/// Of numerator / denominator, over blocks joined to about ten. nullopt for fewer than six blocks, or where a block has no denominator.
std::optional<Trend> trend_of(std::span<const Block> blocks, double Block::*numerator, double Block::*denominator);

struct SettleRule {
  Seconds shortest{1};       ///< what is found steady is at least this long
  Seconds limit{20};         ///< and begins no later than this
  double power = 0.01;       ///< largest change of power that counts as none, relative, over the steady part
  double latency = 0.05;     ///< the same of latency
  double resolution = 0.03;  ///< a change of power this large must have been visible in what is called steady ...
  double patience = 2.0;     ///< ... unless it is so many times the shortest long already
};

/// The part of a load that may be measured.
struct SteadyPart {
  std::size_t from = 0;        ///< its first block; as many are left out
  bool steady = false;         ///< else: nothing within the limit was
  std::string moved;           ///< then: "power" or "latency"
  std::optional<Trend> trend;  ///< and how, over the part
};

/// The longest end of the load that is steady: neither power nor latency moves along a line, and its beginning is like the rest of it. A
/// movement counts where it is larger than the rule's tolerance and than two and a half of its standard errors: one that is within its
/// error cannot be told from noise, and harms the mean by no more than noise does. A load that scatters much is looked at for longer before
/// it is called steady, though not for ever: its window will be long in any case (study/sizing.h). Where no end is steady, the part begins
/// as late as the rule allows. Blocks are about equally long. `from`: judge the end that begins there and no other. What drifts over
/// minutes moves less than that within a window of seconds: it is no matter of one trial, see study/drift.h.
SteadyPart steady_part(std::span<const Block> blocks, const SettleRule& rule, std::optional<std::size_t> from = {});

}  // namespace polythrottle
