#pragma once
// A fine-tuning job on a simulated board: its words, its work, its memory. The one place that asks the simulator for training.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/simulation/machine.h"
#include "interference/interference.h"
#include "serving/state.h"
#include "space/config.h"

namespace polythrottle::replay {

/// As --finetune gives it. The job trains the network that is served.
struct FinetuneJob {
  int batch = 64;          ///< items of one optimizer step
  long iterations = 10;    ///< optimizer steps
  int outputs = 1000;      ///< columns of the new last layer
  int trained_layers = 1;  ///< the last so many layers with weights: 1 is the new last layer alone, simulation::kAllLayers every one
  Seconds at{0};           ///< submitted then
  /// Sizes in which a step may be run, descending, `batch` first, each a divisor of it and a multiple of the last.
  std::vector<int> pieces = {64};
  std::optional<Seconds> deadline;  ///< after its submission
  simulation::Precision precision = simulation::Precision::kFp16;
};

/// "batch=64,iterations=10,outputs=1000[,at=0s][,pieces=64/32/16/8][,deadline=60s][,train=head|all|LAYERS]
/// [,precision=fp16]". Errors: kInvalid, with the keys.
Result<FinetuneJob> parse_finetune(std::string_view text);
/// What one step is, and no more: "batch=64,outputs=1000[,train=head|all|LAYERS]". The rest of the job is as by default.
Result<FinetuneJob> parse_finetune_step(std::string_view text);
/// The same words again.
std::string to_text(const FinetuneJob& job);

/// What the simulator is asked to run for `items` of the job.
simulation::WorkSpec step_work(const FinetuneJob& job, const std::string& network, int items);
/// What the predictor is told of it.
interference::WorkCost inference_cost(const simulation::Network& network);
interference::WorkCost training_cost(const simulation::Network& network, const FinetuneJob& job);
serving::JobSpec job_spec(const simulation::Network& network, const FinetuneJob& job, std::string name);

/// Bytes that the job holds while a whole step of it runs, those of the largest batch beside it, and what the board has for both.
struct MemoryNeed {
  double job = 0.0;
  double inference = 0.0;
  double board = 0.0;  ///< left to both
  bool fits() const { return job + inference <= board; }
};
MemoryNeed memory_need(const simulation::Board& board, const simulation::Network& network, simulation::Precision precision,
                       int largest_batch, const FinetuneJob& job);

/// Time of `items` of the job alone and back to back with others of its kind, without noise, the GPU at its ceiling.
Seconds step_seconds(const simulation::Board& board, const simulation::Network& network, const FinetuneJob& job, int items,
                     const simulation::Setting& setting);
/// Time of the whole job alone and back to back in its most efficient piece.
Seconds job_work(const simulation::Board& board, const simulation::Network& network, const FinetuneJob& job,
                 const simulation::Setting& setting);

}  // namespace polythrottle::replay
