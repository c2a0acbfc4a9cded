#pragma once
// An engine whose model runs on a simulated board.

#include <memory>
#include <string>

#include "engine/backend.h"
#include "engine/engine.h"
#include "host/simulation/machine.h"

namespace polythrottle {

struct SimulatedEngineOptions {
  std::string network;  ///< see simulation::networks
  simulation::Precision precision = simulation::Precision::kFp16;
};

/// Runs batches of a network on the machine, waiting for each in the machine's time. Nothing is computed and there are no tensors to feed:
/// the batch is free, and threads are not a setting of it, for the GPU does the work. Engines of one machine may run side by side, each on
/// a thread of its own; they then take turns batch by batch in an order that is the threads', so that only one engine at a time is exact
/// for a seed (for batches that meet on the GPU see Machine::start). `machine` must outlive it.
/// Errors: kNotFound for the network, with the names.
Result<std::unique_ptr<Engine>> open_simulated(simulation::Machine& machine, const SimulatedEngineOptions& options);

/// The same for requests: one input INPUT and one output OUTPUT, float32 [-1, 16], which is the input again after as long as the network
/// would take on the board. Of use on a machine at the wall's pace (MachineOptions::wall_paced).
Result<std::unique_ptr<Backend>> open_simulated_backend(simulation::Machine& machine, const SimulatedEngineOptions& options);

}  // namespace polythrottle
