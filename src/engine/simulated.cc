#include "engine/simulated.h"

#include "host/simulation/network.h"
#include "host/simulation/physics.h"

namespace polythrottle {
namespace {

/// No board holds the activations of more.
constexpr std::int64_t kLargestBatch = 65536;

class SimulatedEngine final : public Engine {
 public:
  SimulatedEngine(simulation::Machine& machine, const simulation::Network& network, simulation::Precision precision)
      : machine_(machine), precision_(precision) {
    info_.path = network.name;
    info_.runtime = "simulated " + machine.board().name + ", " + simulation::to_string(precision);
  }

  const ModelInfo& model() const override { return info_; }

  Status prepare(std::int64_t batch) override {
    const std::string act = "prepare " + info_.path + " for a batch of " + std::to_string(batch);
    if (batch < 1 || batch > kLargestBatch) return fail(Errc::kOutOfRange, act, "give 1 to " + std::to_string(kLargestBatch));
    const simulation::WorkSpec work{.network = info_.path, .precision = precision_, .batch = static_cast<int>(batch)};
    TRY(const simulation::Footprint held, simulation::footprint(work));
    if (held.total() > machine_.board().memory()) {
      return fail(Errc::kOutOfRange, act + ": " + machine_.board().name + " has too little memory", "give a smaller batch");
    }
    batch_ = static_cast<int>(batch);
    return {};
  }

  Status run() override {
    TRY(const Seconds latency, machine_.run_batch(info_.path, precision_, batch_));
    (void)latency;
    return {};
  }

 private:
  simulation::Machine& machine_;
  const simulation::Precision precision_;
  ModelInfo info_;
  int batch_ = 1;
};

class SimulatedBackend final : public Backend {
 public:
  SimulatedBackend(simulation::Machine& machine, const simulation::Network& network, simulation::Precision precision)
      : machine_(machine), precision_(precision) {
    info_.path = network.name;
    info_.runtime = "simulated " + machine.board().name + ", " + simulation::to_string(precision);
    info_.inputs = {{"INPUT", "float32", {-1, kWidth}, {"batch", ""}}};
    info_.outputs = {{"OUTPUT", "float32", {-1, kWidth}, {"batch", ""}}};
  }

  const ModelInfo& model() const override { return info_; }

  Result<std::vector<std::vector<Tensor>>> run(std::span<const Slice> slices) override {
    std::int64_t batch = 0;
    std::vector<std::vector<Tensor>> answers;
    for (const auto& slice : slices) {
      batch += slice.inputs.front().shape.front();
      answers.push_back({slice.inputs.front()});
      answers.back().front().name = "OUTPUT";
    }
    if (batch > kLargestBatch) return fail(Errc::kInvalid, "a batch of " + std::to_string(batch), "the board holds less");
    if (batch == 0) return answers;
    TRY(const Seconds latency, machine_.run_batch(info_.path, precision_, static_cast<int>(batch)));
    (void)latency;
    return answers;
  }

 private:
  static constexpr std::int64_t kWidth = 16;

  simulation::Machine& machine_;
  const simulation::Precision precision_;
  ModelInfo info_;
};

}  // namespace

Result<std::unique_ptr<Backend>> open_simulated_backend(simulation::Machine& machine, const SimulatedEngineOptions& options) {
  TRY(const simulation::Network* network, simulation::find_network(options.network));
  return std::make_unique<SimulatedBackend>(machine, *network, options.precision);
}

Result<std::unique_ptr<Engine>> open_simulated(simulation::Machine& machine, const SimulatedEngineOptions& options) {
  TRY(const simulation::Network* network, simulation::find_network(options.network));
  return std::make_unique<SimulatedEngine>(machine, *network, options.precision);
}

}  // namespace polythrottle
