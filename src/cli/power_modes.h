#pragma once
#include "host/host.h"
#include "platform/platform.h"

namespace polythrottle {

/// The power modes of a Jetson's nvpmodel, for `probe`: their caps, which one is in force, and what has been changed since it was set.
/// Prints nothing on other machines. Only reads.
void print_power_modes(const Files& files, const Machine& machine);

}  // namespace polythrottle
