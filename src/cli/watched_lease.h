#pragma once
// How the subcommands hold this machine: where its record is, and who puts it back if they die.

#include <string>

#include "knob/lease.h"

namespace polythrottle {

/// `sysroot`: as given to the program. The record is that of the machine (or of the recorded one below `sysroot`); the watchdog is this
/// program itself.
LeaseOptions watched_lease(const std::string& sysroot);

}  // namespace polythrottle
