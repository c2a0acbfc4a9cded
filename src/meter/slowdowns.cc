#include "meter/slowdowns.h"

#include <fmt/format.h>

#include <algorithm>

namespace polythrottle {

std::vector<std::optional<double>> counts_of(std::span<const std::unique_ptr<Gauge>> gauges) {
  std::vector<std::optional<double>> out(gauges.size());
  for (std::size_t i = 0; i < gauges.size(); ++i) {
    if (!gauges[i]->counts()) continue;
    if (const auto value = gauges[i]->read()) out[i] = *value;
  }
  return out;
}

std::string slowed_down_since(std::span<const std::unique_ptr<Gauge>> gauges, std::span<const std::optional<double>> before) {
  const auto after = counts_of(gauges);
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    if (!before[i] || !after[i] || !(*after[i] > *before[i])) continue;
    const double times = *after[i] - *before[i];
    const std::string what = gauges[i]->what();
    return fmt::format("the hardware slowed itself down {:.0f} time{} meanwhile{}", times, times == 1.0 ? "" : "s",
                       what.empty() ? "" : ": " + what);
  }
  return {};
}

}  // namespace polythrottle
