#pragma once
// What the kernel does against heat, as far as it lowers clocks. Such a limit hides ours: the ceiling that is read is the lower of the two
// (Linux drivers/thermal/cpufreq_cooling.c and devfreq_cooling.c ask for it with PM QoS; on kernel 4.9 it is set in the policy).

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"
#include "knob/knob.h"

namespace polythrottle {

/// The types of the cooling devices that hold clocks down in this moment, each once: "cpufreq-cpu0", "gpu-throttle-alert". Fans, lights,
/// radios and the injection of idle time lower no clock and do not count. Never fails: what cannot be read is not active.
std::vector<std::string> cooling_now(const Files& files);

/// May these knobs be borrowed now? While the machine holds its clocks down, what is found of a clock is not its owner's setting, and
/// restoring it would leave the machine slow. Errors: kBusy, with the devices; never for knobs that are no clocks.
Status cool_enough(const Files& files, std::span<Knob* const> knobs);

}  // namespace polythrottle
