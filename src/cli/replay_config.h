#pragma once
// The configurations a replay serves in, from the words of --config.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "replay/compare.h"
#include "replay/nominal.h"

namespace polythrottle {

struct ReplayConfig {
  std::string word;    ///< as typed
  std::string origin;  ///< "tuned: least simulated energy of 1820 settings"
  std::string note;    ///< what a user must know of it; empty: nothing
  std::vector<serving::Row> rows;
  std::vector<serving::RowCost> costs;                              ///< what was measured of the rows; empty: nothing is known
  std::size_t row = 0;                                              ///< at first
  std::function<std::unique_ptr<serving::RowChoice>()> row_choice;  ///< empty: it stays
};

/// `reference`, `tuned`, `load-adaptive`, KNOB=VALUE,..., or STUDY.sqlite#best. `tuned` meets `slo` and `rate`. Errors: kInvalid for other
/// words, knobs and levels; those of reading the study, of which kNotFound if it has no best setting; kOutOfRange if nothing in the grid
/// serves the load.
Result<ReplayConfig> replay_config(const std::string& word, const replay::Nominal& nominal, simulation::Precision precision, Seconds slo,
                                   double rate, bool wait);

}  // namespace polythrottle
