#pragma once
// The lowest and the highest clock a governor may choose, as two files of the kernel that check or clamp each other.
//
// Kernel 4.9 (JetPack 4) answers a write that crosses the other limit with EINVAL. Later ones (PM QoS) take any number as a request, and a
// floor above the ceiling waits hidden behind it. One order is right for both: the floor to the bottom, the ceiling, the floor. Source:
// drivers/cpufreq/cpufreq.c of both generations, tried on 6.1.

#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"
#include "knob/knob.h"

namespace polythrottle {

using Khz = long long;

struct ClockBand {
  std::string floor_path;
  std::string ceiling_path;
  Khz bottom = 0;  ///< a floor that is below every ceiling, and that reads back as written
};

/// Sets the ceiling, and the floor to `floor` or, where that is above it, to the ceiling. Errors: those of Files::write; the first ends it.
Status write_band(Files& files, const ClockBand& band, Khz ceiling, Khz floor);

/// Appends the nodes that bring back what is found now, with the floor at the bottom on the way (see Knob::found_nodes).
Status append_found(const Files& files, const ClockBand& band, std::vector<FoundNode>& nodes);

/// Reads a clock. Errors: those of `read_integer`; kCorrupt for what is no clock.
Result<Khz> read_khz(const Files& files, const std::string& path);

double to_hertz(Khz khz);
Khz to_khz(double hertz);

/// Ceilings for hardware without a table: the first whole step from `bottom` on, further whole steps, and `top`; at most 16, evenly spread.
/// 0 < bottom <= top.
std::vector<Khz> stepped_levels(Khz bottom, Khz top, Khz step);

}  // namespace polythrottle
