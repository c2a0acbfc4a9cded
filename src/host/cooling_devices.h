#pragma once
// Which of the kernel's cooling devices lower clocks, told by the names under which drivers register them (`type`; Linux
// Documentation/driver-api/thermal/sysfs-api.rst).

#include <string_view>

namespace polythrottle {

/// A limit on a clock. Fans, lights, radios and the injection of idle time are none.
bool lowers_clocks(std::string_view type);

/// Firmware of an NVIDIA Jetson slows the unit of that zone down by itself: no limit that can be read moves along.
bool is_throttle_alert(std::string_view type);

}  // namespace polythrottle
