#include "engine/simulated.h"

#include "host/simulation/network.h"
#include "host/simulation/physics.h"

namespace polythrottle {
namespace {

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
  /// No board holds the activations of more.
  static constexpr std::int64_t kLargestBatch = 65536;

  simulation::Machine& machine_;
  const simulation::Precision precision_;
  ModelInfo info_;
  int batch_ = 1;
};

}  // namespace

Result<std::unique_ptr<Engine>> open_simulated(simulation::Machine& machine, const SimulatedEngineOptions& options) {
  TRY(const simulation::Network* network, simulation::find_network(options.network));
  return std::make_unique<SimulatedEngine>(machine, *network, options.precision);
}

}  // namespace polythrottle
