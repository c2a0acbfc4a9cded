#pragma once
// Times that hardware, firmware or kernel slowed the machine down.

#include <memory>

#include "meter/meter.h"

namespace polythrottle {

/// The gauge throttle_events, over every source this machine has; null without one. A power limit that the NVIDIA driver keeps to (software
/// power cap) is not among them: it is a setting, ours or the maker's, and belongs to what is measured. Nor is a clock held down by heat
/// all through: it shows in the limit that is read back.
std::unique_ptr<Gauge> throttle_events(const Files& files);

}  // namespace polythrottle
