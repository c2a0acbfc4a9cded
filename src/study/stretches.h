#pragma once
// A window of which only parts count.

#include <span>

#include "meter/window.h"
#include "workload/workload.h"

namespace polythrottle {

/// What `whole` saw of `parts`, put together as one reading: `elapsed` is their length, and `samples` are those of the blocks that lie in
/// them, one behind the other as if there were nothing between.
///
/// A meter is read where its blocks end, not where the parts do. So the mean power of the whole blocks inside the parts is taken to hold
/// for their edges too: interpolating inside an edge's block would mix in what lies beyond it, which is systematically less. `own_error`
/// has the scatter of the blocks' power over the time so extrapolated. A block counts as inside from 95 % on, so that a part that begins
/// with the window keeps its first block. Where no block is inside, those that overlap are shared out by time, and `own_error` is half of
/// what was so divided. No energy at all (elapsed 0) where nothing overlaps.
WindowReading within(const WindowReading& whole, std::span<const Stretch> parts);

}  // namespace polythrottle
