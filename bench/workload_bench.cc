// What the closed loop costs over the bare engine call: two clock readings, one lock and one record a batch.

#include <benchmark/benchmark.h>

#include "workload/model.h"

namespace polythrottle {
namespace {

/// Does nothing, so that what remains is the loop.
class IdleEngine : public Engine {
 public:
  const ModelInfo& model() const override { return model_; }
  Status prepare(std::int64_t) override { return {}; }
  Status run() override {
    benchmark::ClobberMemory();
    return {};
  }

 private:
  ModelInfo model_;
};

Result<std::unique_ptr<Engine>> open_idle(int, std::uint64_t) { return std::make_unique<IdleEngine>(); }

void bare_call(benchmark::State& state) {
  const auto engine = open_idle(1, 0).value();
  for (auto _ : state) benchmark::DoNotOptimize(engine->run());
}
BENCHMARK(bare_call);

/// `items_per_second` counts batches.
void closed_loop(benchmark::State& state) {
  const auto clock = real_clock();
  ModelOptions options;
  options.instances = {static_cast<int>(state.range(0))};
  const auto model = model_workload(*clock, open_idle, options).value();
  if (!model->configure({})) return state.SkipWithError("the workload was refused");
  Budget budget;
  budget.at_least = Seconds(0);
  budget.at_most = Seconds(10);
  budget.samples = 100'000;
  for (auto _ : state) {
    if (!model->run(budget, {})) return state.SkipWithError("the run failed");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(budget.samples));
}
BENCHMARK(closed_loop)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace polythrottle
