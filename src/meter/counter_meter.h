#pragma once
// A meter made of counters that the hardware keeps itself: RAPL, and hwmon chips with an energy register.

#include <memory>
#include <vector>

#include "meter/counter.h"
#include "meter/meter.h"

namespace polythrottle {

/// The energy of `info.rails`, one counter for each, in the same order; those that are `counted` make up the meter's energy (without
/// rails, all do). Starts at 0.
/// Fills in read_cost and read_within, and where somebody can see it, refresh. The shared error is `gain_error` of the energy, under the
/// one name in info.error_sources.
///
/// A read that fails at any counter books nothing, so that a file that comes back costs no energy. After a counter went back or jumped, all
/// go on from there: the energy in between is unknown, and the caller was told. A counted one that stands still is an error too; the others
/// may (graphics that are off).
/// Errors: those of the first reads.
Result<std::unique_ptr<Meter>> counter_meter(Host& host, std::vector<CounterTraits> counters, MeterInfo info, double gain_error);

}  // namespace polythrottle
