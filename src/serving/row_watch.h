#pragma once
// Feeds a drift guard with the batches of rows that were measured.

#include <cstddef>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/units.h"
#include "serving/drift_guard.h"
#include "serving/load_table.h"

namespace polythrottle::serving {

/// Holds batches against what was measured of the rows (serving/drift_guard.h): a latency between that back to back and the slowest at any
/// load is as expected, and what lies outside deviates. One thread.
class RowWatch {
 public:
  /// `costs`: one per row. Errors: those of LoadTable::make.
  static Result<RowWatch> make(std::span<const RowCost> costs, Seconds slo);

  /// A batch that ran alone in one row. The others say nothing of it, and are not to be told. An answer is an alarm, given once.
  std::optional<Alarm> batch_done(Seconds now, std::size_t row, std::size_t size, Seconds latency);
  const std::optional<DriftGuard::Stale>& stale() const { return guard_.stale(); }

 private:
  RowWatch(LoadTable table, std::size_t rows);

  LoadTable table_;
  DriftGuard guard_;
};

}  // namespace polythrottle::serving
