#include "host/cooling_devices.h"

#include <algorithm>
#include <array>

namespace polythrottle {

bool is_throttle_alert(std::string_view type) { return type.ends_with("-throttle-alert"); }

bool lowers_clocks(std::string_view type) {
  // cpufreq_cooling.c and devfreq_cooling.c, today's names and those before 5.12.
  constexpr std::array<std::string_view, 4> kBeginnings{"cpufreq-", "thermal-cpufreq-", "devfreq-", "thermal-devfreq-"};
  // drivers/acpi/processor_thermal.c: first a lower limit for cpufreq, then duty cycles.
  constexpr std::string_view kAcpi = "Processor";
  return type == kAcpi || is_throttle_alert(type) ||
         std::any_of(kBeginnings.begin(), kBeginnings.end(), [&](std::string_view name) { return type.starts_with(name); });
}

}  // namespace polythrottle
