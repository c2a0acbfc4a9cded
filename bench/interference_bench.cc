// What a prediction and a lesson cost.

#include <benchmark/benchmark.h>

#include "interference/interference.h"

namespace polythrottle::interference {
namespace {

constexpr WorkCost kInference{.macs = 2e9, .weights = 8e6, .activations = 4e7, .kernels = 200};
const Step kStep{{.macs = 6e9, .weights = 4e7, .activations = 1.2e8, .kernels = 700}, 32};

Samples samples() {
  Samples out;
  for (int i = 0; i < 24; ++i) {
    const Speeds speeds{.gpu = 1.0 - 0.1 * (i % 5), .mem = 1.0 - 0.1 * (i % 3)};
    const int batch = 1 << i % 5;
    const bool alone = i % 4 == 0;
    out.batches.push_back({{speeds, batch, alone ? std::nullopt : std::optional(kStep)},
                           Seconds((alone ? 1.0 : 2.1) * (0.004 + 0.005 * batch / speeds.gpu + 0.001 * batch / speeds.mem)),
                           alone ? 0.0 : 1.0});
  }
  return out;
}

void predict(benchmark::State& state, const char* name) {
  const auto predictor = find_predictor(name).value()->make(kInference);
  if (!predictor->fit(samples())) return state.SkipWithError("not fitted");
  Situation at{{.gpu = 0.65}, 1, kStep};
  for (auto _ : state) {
    at.batch = at.batch % 16 + 1;
    benchmark::DoNotOptimize(predictor->batch(at).upper(0.99));
  }
}
BENCHMARK_CAPTURE(predict, physical, "physical");
BENCHMARK_CAPTURE(predict, published, "published");

/// Over as many situations as a server meets, so that all summaries are in use and the regular fits are part of it.
void learn(benchmark::State& state) {
  const auto predictor = find_predictor("physical").value()->make(kInference);
  if (!predictor->fit(samples())) return state.SkipWithError("not fitted");
  Samples one;
  one.batches.push_back({{{}, 1, kStep}, Seconds(0.02), 1.0});
  for (auto _ : state) {
    BatchSample& seen = one.batches[0];
    seen.at.batch = seen.at.batch % 16 + 1;
    if (seen.at.batch == 1) seen.at.speeds.gpu = seen.at.speeds.gpu > 0.4 ? seen.at.speeds.gpu - 0.05 : 1.0;
    seen.latency = Seconds(2.1 * (0.004 + 0.006 * seen.at.batch / seen.at.speeds.gpu));
    predictor->learn(one);
  }
}
BENCHMARK(learn);

void fit(benchmark::State& state) {
  const auto predictor = find_predictor("physical").value()->make(kInference);
  const Samples all = samples();
  for (auto _ : state) benchmark::DoNotOptimize(predictor->fit(all));
}
BENCHMARK(fit)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace polythrottle::interference
