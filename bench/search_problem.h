#pragma once
// What a search is run on in these benchmarks: a space whose truth is known at every setting.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/truth.h"
#include "cli/tune_options.h"
#include "space/space.h"

namespace polythrottle::bench {

struct SearchProblem {
  std::string family;    ///< where it comes from: the table's file name, or board and space
  std::string workload;  ///< which one of the family
  std::string board;     ///< "jetson-orin"; empty for a recorded table
  Space space;
  Config reference;
  std::vector<Truth> truth;    ///< of each candidate
  std::string energy_metric;   ///< what `joules` of the truth is called: kEnergy, or kEnergyProxy
  double energy_noise = 0.02;  ///< relative standard deviation of one trial's energy, as published
};

/// The workloads of a recorded table (docs/recorded-tables.md), all or those named. The truth is the mean over a configuration's repeats;
/// configurations without both energy and latency are left out. A name of `workloads` that this table lacks is passed over.
/// Errors: as read_recorded_table; kCorrupt where the reference setting has no result.
Result<std::vector<SearchProblem>> problems_of_table(const std::string& path, const std::vector<std::string>& workloads);

/// One problem for each of `models` at each of `precisions`. `options` gives device, space and knobs.
/// Errors: kInvalid for an unknown board, model, precision, space or knob.
Result<std::vector<SearchProblem>> problems_of_board(TuneOptions options, const std::vector<std::string>& models,
                                                     const std::vector<std::string>& precisions);

/// Names of a table's workloads, in order of appearance. Errors: as parse_csv, and what opening a file may give.
Result<std::vector<std::string>> workloads_of_table(const std::string& path);

/// Names of the simulated networks.
std::vector<std::string> simulated_models();

}  // namespace polythrottle::bench
