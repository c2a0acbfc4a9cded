#pragma once
// What one NVIDIA GPU can tell of its energy, behind its nodes below /nvml.

#include <optional>
#include <string>

#include "base/result.h"
#include "host/host.h"
#include "host/nvml_gpu.h"
#include "meter/gpu_cross_check.h"

namespace polythrottle {

/// Above what any card draws, also for a moment: more is a broken sensor.
inline constexpr double kMostWattsPerGpu = 5000.0;

struct NvmlSensors {
  std::string counter;              ///< path of its energy counter; empty: none
  std::string power;                ///< path of the most direct power reading there is; empty: none
  Seconds averaging{0};             ///< what that reading is the mean over; 0: it is of the moment
  double part_unseen = 0.0;         ///< of the time, in which the sensor does not look
  std::optional<Error> no_counter;  ///< why there is none

  /// J since the driver was loaded. Errors: kCorrupt, and those of the node.
  Result<double> read_counter(const Files& files) const;
  /// W. Errors: kCorrupt for nothing at all (a GPU that answers draws something) and for more than any draws, and those of the node.
  Result<double> read_power(const Files& files) const;
};

/// Reads each node once. Errors: kUnsupported where MIG shows the whole card's energy to everybody, or neither counter nor power is there;
/// others as the nodes say.
Result<NvmlSensors> find_nvml_sensors(const Files& files, const NvmlGpu& gpu);

/// Looks at counter and power as fast as is worth it until both can be compared, about a second, at most three. Errors: those of a read.
Result<GpuCrossCheck> watch_sensors(Host& host, const NvmlSensors& sensors);

}  // namespace polythrottle
