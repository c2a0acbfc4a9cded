#include "knob/emc_rates.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

namespace polythrottle {
namespace {

constexpr const char* kPossibleRates = "/sys/kernel/debug/bpmp/debug/emc/possible_rates";
constexpr const char* kManager = "/sys/class/devfreq/bwmgr";
/// Neighbours in a table lie 1 part in 8 apart or more.
constexpr double kSameRate = 2e-3;

struct SocTable {
  const char* soc;
  std::vector<double> rates;
};

/// The last resort. tegra210 and tegra264 are not in it: no list of theirs was found.
std::vector<double> published_rates(const std::string& compatible) {
  const SocTable tables[] = {
      {"nvidia,tegra186", {40.8e6, 68e6, 102e6, 204e6, 408e6, 665.6e6, 800e6, 1062.4e6, 1331.2e6, 1600e6, 1866e6}},
      {"nvidia,tegra194", {204e6, 800e6, 1333e6, 1600e6, 1866e6, 2133e6}},
      {"nvidia,tegra234", {204e6, 665.6e6, 2133e6, 3199e6}},
  };
  for (const auto& table : tables) {
    if (compatible.find(table.soc) != std::string::npos) return table.rates;
  }
  return {};
}

/// "204000 665600 2133000 (kHz)" or a list without a unit.
std::vector<double> parse_rates(const std::string& text, double unit) {
  std::set<double> rates;
  std::istringstream words(text);
  for (long long number = 0; words >> number;) {
    if (number > 0) rates.insert(static_cast<double>(number) * unit);
  }
  return {rates.begin(), rates.end()};
}

}  // namespace

Result<EmcRates> emc_rates(const Files& files) {
  const auto shown = files.read(kPossibleRates);
  if (shown) return EmcRates{.table = parse_rates(*shown, shown->find("(Hz)") == std::string::npos ? 1e3 : 1.0)};
  if (shown.error().code != Errc::kNotFound) return tl::unexpected<Error>(shown.error());
  const auto managed = files.read(std::string(kManager) + "/available_frequencies");
  if (managed) return EmcRates{.table = parse_rates(*managed, 1.0)};
  if (managed.error().code != Errc::kNotFound) return tl::unexpected<Error>(managed.error());
  return EmcRates{.table = published_rates(files.read("/proc/device-tree/compatible").value_or("")), .published = true};
}

double emc_rate_meant(const std::vector<double>& table, double hertz) {
  for (const double rate : table) {
    if (std::abs(rate - hertz) <= kSameRate * rate) return rate;
  }
  return hertz;
}

std::optional<double> emc_cap_in_force(const Files& files) {
  std::optional<double> lowest;
  for (const std::string& path : {std::string(kEmcIsoCap), std::string(kEmcClkCap), std::string(kManager) + "/max_freq"}) {
    const auto cap = read_integer(files, path);
    if (cap && *cap > 0) lowest = std::min(lowest.value_or(static_cast<double>(*cap)), static_cast<double>(*cap));
  }
  return lowest;
}

}  // namespace polythrottle
