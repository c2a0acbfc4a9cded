#pragma once
// Which supply rails of a Jetson have a sensor, and which of them together are the module.

#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "host/host.h"

namespace polythrottle {

/// One channel of a sensor chip.
struct SupplyRail {
  std::string label;
  std::string volts_path;  ///< mV; with amps_path
  std::string amps_path;   ///< mA
  std::string watts_path;  ///< instead of both
  double watts_unit = 1e-3;
  /// hwmon says which. NVIDIA's device trees: 2 mOhm on AGX Orin, 5 mOhm for the input of the others; iio does not say.
  double shunt_ohms = 5e-3;
  Seconds refresh{0};
  bool converts = false;              ///< a read starts a conversion of its own
  bool counted = false;               ///< part of the module's energy
  std::optional<std::size_t> inside;  ///< index of the rail that feeds it, where that is known
};

/// All rails that have a sensor, those that are the module first. Empty: this machine has none. Errors: kPermission; kUnsupported where it
/// is not known which rails contain others.
Result<std::vector<SupplyRail>> find_supply_rails(const Files& files);

}  // namespace polythrottle
