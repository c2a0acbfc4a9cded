#pragma once
// Paths of one kind of file, wherever this machine has it.

#include <string>
#include <string_view>
#include <vector>

#include "host/host.h"

namespace polythrottle {

/// The paths that fit `pattern`, whose parts may hold *, ? and [] as file names of a shell do; sorted. /nvml/* is the GPU that is tuned,
/// and nothing on a Jetson, where another way leads to it. Never fails: what cannot be listed is not there.
std::vector<std::string> paths_like(const Files& files, std::string_view pattern);

}  // namespace polythrottle
