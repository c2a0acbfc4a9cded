#pragma once
// For tests and benchmarks: a predictor whose numbers are exact in binary, and the rows and jobs that go with it.

#include <memory>
#include <utility>
#include <vector>

#include "interference/interference.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// A batch of b requests takes (1 + b) / 32 s at full clocks, 3/2 of it beside a step; a step of n items takes (1 + n) / 32 s, twice that
/// while a batch runs. Half the GPU clock, twice the time.
struct FakePredictor final : interference::Predictor {
  bool has_co_runs = true;
  double log_stddev = 0.0;                         ///< of every answer
  double beside_factor = 1.5;                      ///< of a batch beside a step
  std::vector<interference::BatchSample> batches;  ///< what it was told, in order
  std::vector<interference::StepSample> steps;

  Status fit(const interference::Samples&) override { return {}; }
  void learn(const interference::Samples& samples) override {
    batches.insert(batches.end(), samples.batches.begin(), samples.batches.end());
    steps.insert(steps.end(), samples.steps.begin(), samples.steps.end());
  }
  bool calibrated() const override { return has_co_runs; }
  interference::Prediction batch(const interference::Situation& at) const override {
    const double alone = (1.0 + at.batch) / 32.0 / at.speeds.gpu;
    return {Seconds(at.step && has_co_runs ? alone * beside_factor : alone), log_stddev};
  }
  interference::Prediction step(const interference::Speeds& speeds, const interference::Step& step, double beside) const override {
    return {Seconds((1.0 + step.items) / 32.0 / speeds.gpu * (has_co_runs ? 1.0 + beside : 1.0)), log_stddev};
  }
};

inline Row fake_row(double gpu, int max_batch) {
  Row row;
  row.speeds.gpu = gpu;
  row.max_batch = max_batch;
  row.idle = Watts(5.0);
  row.busy = Watts(5.0 + 25.0 * gpu * gpu);
  return row;
}

inline JobSpec fake_job(int items, long steps, std::vector<int> pieces, std::optional<Time> deadline = {}) {
  JobSpec spec;
  spec.name = "job";
  spec.cost = {.macs = 1e9, .weights = 1e6, .activations = 1e6, .kernels = 100};
  spec.items = items;
  spec.steps = steps;
  spec.pieces = std::move(pieces);
  spec.deadline = deadline;
  return spec;
}

}  // namespace polythrottle::serving
