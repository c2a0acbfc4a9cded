#include "serving/row_watch.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace polythrottle::serving {

Result<RowWatch> RowWatch::make(std::span<const RowCost> costs, Seconds slo) {
  TRY(auto table, LoadTable::make(costs, slo));
  return RowWatch(std::move(table), costs.size());
}

RowWatch::RowWatch(LoadTable table, std::size_t rows) : table_(std::move(table)), guard_(std::vector<RowBand>(rows), DriftOptions{}) {}

std::optional<Alarm> RowWatch::batch_done(Seconds now, std::size_t row, std::size_t size, Seconds latency) {
  const auto band = table_.band(row, size);
  if (!band) return std::nullopt;
  return guard_.batch_done(now, row, latency, std::clamp(latency, band->first, band->second), false);
}

}  // namespace polythrottle::serving
