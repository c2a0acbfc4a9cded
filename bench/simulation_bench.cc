// How fast a simulated board lives: an open loop of requests, alone and with fine-tuning steps back to back beside it.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>

#include "host/simulation/machine.h"

namespace polythrottle::simulation {
namespace {

constexpr double kSeconds = 60.0;  ///< of the machine, per iteration
constexpr int kLargestBatch = 32;

/// Poisson arrivals, each batch as large as the queue allows.
class OpenLoop {
 public:
  OpenLoop(Machine& machine, double rate, std::optional<WorkSpec> step)
      : machine_(machine), rate_(rate), step_(std::move(step)), next_arrival_(now() + gap()) {}

  /// Answers the batches of the next `seconds`.
  std::int64_t live(double seconds) {
    std::int64_t batches = 0;
    const double until = now() + seconds;
    while (now() < until) {
      for (; next_arrival_ <= now(); next_arrival_ += gap()) ++queued_;
      if (step_ && !tuning_) tuning_ = machine_.start(*step_).value();
      if (!serving_ && queued_ > 0) {
        const int batch = std::min(queued_, kLargestBatch);
        serving_ = machine_.start({.network = "efficientnet-b0", .batch = batch}).value();
        queued_ -= batch;
        ++batches;
      }
      const double limit = serving_ ? until : std::min(until, next_arrival_);
      const auto event = machine_.next_event(Clock::TimePoint(Seconds(limit)));
      if (!event) continue;
      if (event->id == serving_) serving_.reset();
      if (event->id == tuning_) tuning_.reset();
    }
    return batches;
  }

 private:
  double now() { return machine_.host().clock.now().time_since_epoch().count(); }
  double gap() { return -std::log(1.0 - static_cast<double>(chance_() >> 11) * 0x1.0p-53) / rate_; }

  Machine& machine_;
  std::mt19937_64 chance_{1};
  const double rate_;
  const std::optional<WorkSpec> step_;
  double next_arrival_;
  int queued_ = 0;
  std::optional<WorkId> serving_;
  std::optional<WorkId> tuning_;
};

void serve(benchmark::State& state, const char* tuned, int layers) {
  const auto machine = Machine::make("jetson-orin", {.seed = 1}).value();
  std::optional<WorkSpec> step;
  if (tuned != nullptr) step = WorkSpec{.network = tuned, .batch = 32, .training = true, .trained_layers = layers};
  OpenLoop loop(*machine, 100.0, step);
  std::int64_t batches = 0;
  for (auto _ : state) batches += loop.live(kSeconds);
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["machine_s_per_s"] = benchmark::Counter(kSeconds * iterations, benchmark::Counter::kIsRate);
  state.counters["hour_s"] = benchmark::Counter(kSeconds * iterations / 3600.0, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["batches_per_machine_s"] = static_cast<double>(batches) / (kSeconds * iterations);
}
BENCHMARK_CAPTURE(serve, alone, nullptr, 0)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(serve, beside_b0, "efficientnet-b0", kAllLayers)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(serve, beside_b7_head, "efficientnet-b7", 1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace polythrottle::simulation
