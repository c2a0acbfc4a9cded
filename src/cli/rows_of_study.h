#pragma once
// The configurations a server may be in, with what is known of each under load: from a study's file, or from a simulated board's physics.

#include <string>
#include <vector>

#include "base/result.h"
#include "host/simulation/physics.h"
#include "serving/load_adaptive.h"
#include "serving/load_table.h"
#include "serving/state.h"

namespace polythrottle {

/// LoadModel::margin for boards with a governor: one that lets clocks fall makes single batches slower than their mean at that load, on
/// which the table rests.
inline constexpr double kGovernorMargin = 0.3;

struct ServingRows {
  std::vector<serving::Row> rows;       ///< the first is the reference
  std::vector<serving::RowCost> costs;  ///< one per row
  std::size_t tuned = 0;                ///< of `rows`: the answer of the study, the one setting that is best back to back
  Seconds actuation{0};                 ///< of a change, as the study measured it; 0 where it did not
  std::string idle;                     ///< where idle power comes from, for people
  std::string note;                     ///< what a user must know of the study; empty: nothing
};

/// Settings that the study measured, batch sizes of one setting together, and of them only the reference, its best, and those that are
/// within 5 % of the least power at some rate (serving/load_table.h), as few as do.
///
/// A study measures idle power once, under the setting it found. A simulated board's is computed for each setting. Elsewhere it is taken
/// for every setting none of whose clocks, floors or limits is above the reference's, where it is too high if anything; settings above it
/// in some knob have none, and are not chosen by rate. Where the GPU's floor is below its ceiling, rare batches are taken to find the clock
/// as low as it may be.
///
/// Errors: those of opening it; kNotFound where the reference, its latency or energy, or idle power was not measured, saying how to;
/// kOutOfRange where no setting meets `slo`.
Result<ServingRows> rows_of_study(const std::string& path, Seconds slo, const serving::LoadModel& model);

/// The same without a study: every GPU ceiling and memory clock of the board, with the GPU's floor at its lowest level and at the
/// ceiling, batches up to 16, from the board's noise-free physics. The reference is the board's default setting at batch 1.
/// Errors: kOutOfRange where no setting meets `slo`.
Result<ServingRows> rows_of_board(const simulation::Board& board, const simulation::Network& network, simulation::Precision precision,
                                  Seconds slo, const serving::LoadModel& model);

/// How the server is taken to batch. `wait`: as PolicyOptions::wait.
serving::LoadModel serving_model(bool wait);
/// What a load-adaptive server is given. `wait`: as PolicyOptions::wait.
serving::LoadAdaptiveOptions load_adaptive_options(const ServingRows& rows, bool wait);

namespace serving_rows {  // shared by the two

struct Candidate {
  serving::Row row;
  serving::RowCost cost;
};
/// Reference first, tuned next (unless they are one), then of the others few that are within 5 % of the least power at every rate under
/// even, Poisson and bursty arrivals. Errors: those of LoadTable::make.
Result<ServingRows> useful(Candidate reference, std::optional<Candidate> tuned, std::vector<Candidate> others, Seconds slo,
                           const serving::LoadModel& model);

/// Clock limits that `config` names, the others as the board boots.
simulation::Setting setting_of(const simulation::Board& board, const Config& config);
/// Power while nothing runs and the governor has let the GPU's clock fall to its floor.
Watts idle_power(const simulation::Board& board, const simulation::Setting& setting);

}  // namespace serving_rows
}  // namespace polythrottle
