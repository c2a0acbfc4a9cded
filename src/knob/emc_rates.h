#pragma once
// Which rates a Jetson's memory controller (EMC) has, and how far up the power mode lets it go.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle {

struct EmcRates {
  std::vector<double> table;  ///< Hz, ascending; empty where none is known
  bool published = false;     ///< the board does not show its own: those that owners of such boards report for this SoC
};

/// The board's own list: the BPMP's (debugfs), else that of the bandwidth manager's devfreq device (Thor), else a published one. Errors:
/// those of a list that is there and cannot be read.
Result<EmcRates> emc_rates(const Files& files);

/// The rate of the table that a reading means: firmware reports some a little off (3199 for 3200 MHz, 1331.2 for 1333). A reading that
/// means none is given back as it is.
double emc_rate_meant(const std::vector<double>& table, double hertz);

/// The lowest cap in force, Hz, of those that nvpmodel sets: emc_iso_cap (JetPack 4, 5; 0 is none), nvpmodel_clk_cap/emc (JetPack 6, 7),
/// the ceiling of the bandwidth manager (Thor). nullopt: none, or none that may be read.
std::optional<double> emc_cap_in_force(const Files& files);

inline constexpr const char* kEmcIsoCap = "/sys/kernel/nvpmodel_emc_cap/emc_iso_cap";
inline constexpr const char* kEmcClkCap = "/sys/kernel/nvpmodel_clk_cap/emc";

}  // namespace polythrottle
