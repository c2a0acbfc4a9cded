#pragma once
// What a stretch of time saw of the hardware slowing itself down: heat, over-current, under-voltage.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "meter/meter.h"

namespace polythrottle {

/// What each gauge that counts says now, by its place among `gauges`; absent for the others, and where it cannot be read.
std::vector<std::optional<double>> counts_of(std::span<const std::unique_ptr<Gauge>> gauges);

/// "the hardware slowed itself down 2 times meanwhile: over-current (oc2)" by the first gauge that counted on since `before`; empty where
/// none did. A count that could not be read at one of the ends says nothing.
std::string slowed_down_since(std::span<const std::unique_ptr<Gauge>> gauges, std::span<const std::optional<double>> before);

}  // namespace polythrottle
