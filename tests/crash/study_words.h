#pragma once
// A short study that moves every knob of a recorded machine.

#include <string>
#include <vector>

namespace polythrottle::crash {

/// The --knob flags: of each knob of this machine the two ends of its table. Knobs by request are asked for too, unless they set
/// nothing but what others set (the clock of one cluster, beside that of all). The CPU quota is left as it is: its nodes come with a
/// folder, which plain files do not do. `knobs` gets the names.
std::vector<std::string> knob_flags(const std::string& root, std::vector<std::string>& knobs);

/// What `tune` is told: three trials, windows of 20 ms, an estimate for a meter, a study file.
std::vector<std::string> tune_words(const std::string& root, const std::vector<std::string>& flags, int seed, const std::string& study);

}  // namespace polythrottle::crash
