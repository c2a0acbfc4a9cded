#pragma once
// A measured table as a machine: somebody measured these configurations; a trial looks one up. Format: docs/recorded-tables.md.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/host.h"
#include "space/space.h"
#include "trial/metric.h"
#include "workload/workload.h"

namespace polythrottle {

/// One workload of a table.
struct RecordedTable {
  std::string workload;
  Space space;                              ///< the rows, in file order; knobs are the columns that vary
  std::vector<std::vector<Metrics>> cells;  ///< per candidate, its repeats as measured
  Config reference;                         ///< the table's own reference row, or every cap at its highest and the smallest batch
  bool states_errors = false;               ///< repeats say how far readings scatter
  std::vector<std::string> notes;           ///< what was derived, what is missing; for people
};

/// `workload` may be empty if the table has only one.
/// Errors: kCorrupt naming the line (malformed number, negative measurement, empty knob, duplicate or contradictory rows, unknown column);
/// kInvalid (empty table, no such workload: with the names there are, no column of results).
Result<RecordedTable> parse_recorded_table(std::string_view text, std::string_view workload);
/// The same from a file. Errors: also kNotFound, kPermission, kIo. Messages begin with the path.
Result<RecordedTable> read_recorded_table(const std::string& path, std::string_view workload);

/// The table as a workload: all knobs are its own. `pace` of wall time passes per trial (zero: none), so that an interruption has something
/// to interrupt. A configuration that is no row is refused (kOutOfRange). Repeats are drawn by the trial's seed.
std::unique_ptr<Workload> recorded_workload(Host& host, RecordedTable table, Seconds pace);

}  // namespace polythrottle
