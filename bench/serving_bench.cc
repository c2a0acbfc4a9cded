// What the serving core costs: one decision of each policy, and a whole event, with a job pending and the predictor that serves.
//
//   serving_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// Goal: a decision in under 20 us; an hour at 100 requests/s in under 10 s, which leaves a request 28 us for all of its events.

#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "serving/core.h"

namespace polythrottle::serving {
namespace {

/// EfficientNet-B7 or so, as large as this: counted in multiply-accumulates and elements.
const interference::WorkCost kInference{.macs = 38e9, .weights = 66e6, .activations = 1.2e9, .kernels = 800};
const interference::WorkCost kTraining{.macs = 114e9, .weights = 200e6, .activations = 3.6e9, .kernels = 2400};
constexpr double kItem = 0.03;  // s
const std::vector<int> kPieces{64, 32, 16, 8, 4, 2, 1};

/// Ours, calibrated on made-up co-runs: batches of 20 ms and 30 ms an item, half as long again beside a step.
std::unique_ptr<interference::Predictor> predictor() {
  auto made = interference::find_predictor("physical").value()->make(kInference);
  std::mt19937_64 random(1);
  std::normal_distribution<double> noise(0.0, 0.02);
  interference::Samples samples;
  for (int round = 0; round < 3; ++round)
    for (int size : {1, 2, 4, 8, 16}) {
      const double alone = (0.02 + kItem * size) * std::exp(noise(random));
      samples.batches.push_back({{{}, size, {}}, Seconds(alone), 0.0});
      for (int items : {4, 64}) samples.batches.push_back({{{}, size, interference::Step{kTraining, items}}, Seconds(1.5 * alone), 1.0});
      samples.steps.push_back({{}, {kTraining, size}, Seconds((0.04 + 2 * kItem * size) * std::exp(noise(random))), 0.0});
      samples.steps.push_back({{}, {kTraining, size}, Seconds((0.06 + 3 * kItem * size) * std::exp(noise(random))), 1.0});
    }
  if (!made->fit(samples)) std::abort();
  return made;
}

Row row() {
  Row row;
  row.max_batch = 16;
  return row;
}

JobSpec job(long steps) { return {"job", kTraining, 64, steps, kPieces, {}}; }

/// One decision with so many requests in the queue, so many coming a second, and a job pending.
void decide(benchmark::State& state, const char* policy_name) {
  const auto policy = find_policy(policy_name).value()->make({});
  const auto learned = predictor();
  const std::vector<Row> rows{row()};
  const JobSpec spec = job(1000);
  const std::vector<PendingJob> jobs{{1, &spec, 0, Time(0)}};
  const Time now(100.0);
  std::vector<Request> queue;
  for (std::int64_t i = 0; i < state.range(0); ++i)
    queue.push_back({static_cast<RequestId>(i + 1), now, now + Seconds(0.7 + 1e-4 * static_cast<double>(i))});
  ServingState at;
  at.now = now;
  at.slo = Seconds(0.7);
  at.queue = queue;
  at.jobs = jobs;
  at.rows = rows;
  at.arrivals = {static_cast<double>(state.range(1)), 1.0};
  at.predictor = learned.get();
  for (auto _ : state) benchmark::DoNotOptimize(policy->decide(at));
}

/// Everything that a request costs, in virtual time: its arrival, its batch, its share of steps, ticks and learning.
void serve(benchmark::State& state, const char* policy_name) {
  const double rate = static_cast<double>(state.range(0));
  std::mt19937_64 random(7);
  std::exponential_distribution<double> gap(rate);
  CoreOptions options;
  options.slo = Seconds(0.7);
  options.rows = {row()};
  options.expected_rate = rate;
  Core core(options, find_policy(policy_name).value()->make({}), predictor());
  double now = 0.0, arrival = gap(random), wake = INFINITY, batch_end = INFINITY, step_end = INFINITY;
  BatchId batch = 0;
  StepId step = 0;
  RequestId request = 0;
  const auto act = [&](const std::vector<Action>& actions) {
    wake = INFINITY;
    for (const Action& action : actions) {
      if (const auto* run = std::get_if<RunBatch>(&action)) {
        batch = run->id;
        // A sixteenth of the predictor's device, so that 100 requests a second can be served.
        batch_end = now + (0.02 + kItem * static_cast<double>(run->requests.size())) / (rate > 20.0 ? 8.0 : 1.0);
      } else if (const auto* run_step = std::get_if<RunStep>(&action)) {
        step = run_step->id;
        step_end = now + 0.04 + 2.0 * kItem * run_step->items;
      } else if (const auto* when = std::get_if<WakeAt>(&action)) {
        wake = when->when.count();
      }
    }
  };
  act(core.submit(Time(0), job(1'000'000'000)).value().actions);
  std::int64_t events = 0;
  for (auto _ : state) {
    for (const RequestId until = request + 1; request < until; ++events) {
      now = std::min({arrival, wake, batch_end, step_end});
      if (now == batch_end) {
        batch_end = INFINITY;
        act(core.on_batch_done(Time(now), batch));
      } else if (now == step_end) {
        step_end = INFINITY;
        act(core.on_step_done(Time(now), step));
      } else if (now == arrival) {
        arrival = now + gap(random);
        act(core.on_arrival(Time(now), ++request));
      } else {
        act(core.on_tick(Time(now)));
      }
    }
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["events_per_request"] = static_cast<double>(events) / static_cast<double>(state.iterations());
}

#define POLICY(name)                              \
  BENCHMARK_CAPTURE(decide, name, name)           \
      ->ArgNames({"queue", "rate"})               \
      ->ArgsProduct({{0, 1, 16, 1000}, {8, 100}}) \
      ->Unit(benchmark::kMicrosecond);            \
  BENCHMARK_CAPTURE(serve, name, name)->ArgName("rate")->Arg(8)->Arg(100)->Unit(benchmark::kMicrosecond)
POLICY("inference-only");
POLICY("greedy");
POLICY("paper");
POLICY("adaptive");

}  // namespace
}  // namespace polythrottle::serving
