// Ours: the physics of a device as a sum of terms with its clocks in them, a bound that knows what it does not know, and learning from
// every batch and step (time_model.h). Valid for clocks that were never measured, as far as the bound says.

#include <algorithm>
#include <bit>
#include <cmath>

#include "interference/interference.h"
#include "interference/time_model.h"

namespace polythrottle::interference {
namespace {

/// Co-runs before anything is said of batches beside a step.
constexpr std::size_t kFewest = 3;
/// What a step's time is unsure by, as a logarithm's standard deviation, while none was seen: the batch's terms speak for it.
constexpr double kUnseenStep = 0.4;

class Mixer {
 public:
  Mixer& add(double value) {
    hash_ = (hash_ ^ std::bit_cast<std::uint64_t>(value)) * 0x9e3779b97f4a7c15ULL;
    hash_ ^= hash_ >> 29;
    return *this;
  }
  Mixer& add(const Speeds& speeds) { return add(speeds.gpu).add(speeds.mem).add(speeds.cpu); }
  Mixer& add(const Step& step) { return add(step.items).add(step.cost.macs).add(step.cost.kernels); }
  std::uint64_t hash() const { return hash_; }

 private:
  std::uint64_t hash_ = 0x243f6a8885a308d3ULL;
};

bool usable(Seconds time, const Speeds& speeds, int items) {
  return std::isfinite(time.count()) && time > Seconds(0) && speeds.gpu > 0.0 && speeds.mem > 0.0 && speeds.cpu > 0.0 && items > 0;
}

class Physical final : public Predictor {
 public:
  explicit Physical(const WorkCost& inference) : unit_(inference) {}

  Status fit(const Samples& samples) override {
    std::vector<Observation> batches, steps;
    for (const BatchSample& seen : samples.batches) {
      if (!usable(seen.latency, seen.at.speeds, seen.at.batch)) return fail(Errc::kInvalid, "a batch sample without a positive latency");
      batches.push_back({work(seen.at, seen.beside), seen.latency.count()});
    }
    for (const StepSample& seen : samples.steps) {
      if (!usable(seen.duration, seen.speeds, seen.step.items)) return fail(Errc::kInvalid, "a step sample without a positive duration");
      steps.push_back({work(seen.speeds, seen.step, seen.beside), seen.duration.count()});
    }
    batches_.fit(batches);
    steps_.fit(steps);
    if (!calibrated()) {
      return fail(Errc::kNotFound,
                  "predictor: " + std::to_string(batches_.beside()) + " batches beside a step, and it takes " + std::to_string(kFewest) +
                      " to speak of them",
                  "run `polythrottle interference calibrate`");
    }
    return {};
  }

  void learn(const Samples& samples) override {
    for (const BatchSample& seen : samples.batches) {
      if (usable(seen.latency, seen.at.speeds, seen.at.batch)) batches_.learn({work(seen.at, seen.beside), seen.latency.count()});
    }
    for (const StepSample& seen : samples.steps) {
      if (usable(seen.duration, seen.speeds, seen.step.items)) {
        steps_.learn({work(seen.speeds, seen.step, seen.beside), seen.duration.count()});
      }
    }
  }

  bool calibrated() const override { return batches_.beside() >= kFewest; }

  Prediction batch(const Situation& at) const override { return batches_.predict(work(at, at.step && calibrated() ? 1.0 : 0.0)); }

  Prediction step(const Speeds& speeds, const Step& step, double beside) const override {
    const Work asked = work(speeds, step, beside);
    if (!steps_.empty()) return steps_.predict(asked);
    Prediction guess = batches_.predict(asked);
    guess.log_stddev = std::hypot(guess.log_stddev, guess.mean > Seconds(0) ? kUnseenStep : 0.0);
    return guess;
  }

 private:
  Work work(const Situation& at, double beside) const {
    Work out;
    out.terms = terms(unit_, at.batch, at.speeds, unit_);
    Mixer key;
    key.add(at.batch).add(at.speeds);
    if (at.rested > Seconds(0)) {
      out.rests = rests(unit_, at.batch, at.speeds, unit_, at.rested);
      // Rests of about one length are one situation: four to a factor of two.
      key.add(std::round(4.0 * std::log2(at.rested.count())));
    }
    if (at.step && beside > 0.0) {
      out.beside = std::clamp(beside, 0.0, 1.0);
      out.waits = waits(*at.step, at.speeds, unit_);
      key.add(*at.step);
    }
    out.key = key.hash();
    return out;
  }
  Work work(const Speeds& speeds, const Step& step, double beside) const {
    Work out;
    out.terms = terms(step.cost, step.items, speeds, unit_);
    out.beside = std::clamp(beside, 0.0, 1.0);
    out.key = Mixer().add(speeds).add(step).hash();
    return out;
  }

  const WorkCost unit_;
  TimeModel batches_, steps_;
};

std::unique_ptr<Predictor> make_physical(const WorkCost& inference) { return std::make_unique<Physical>(inference); }

}  // namespace
}  // namespace polythrottle::interference

namespace polythrottle::interference_driver {

extern const interference::PredictorDriver physical;
constinit const interference::PredictorDriver physical{
    "physical", "terms of physics with the clocks in them, an upper bound, learns from every batch", interference::make_physical};

}  // namespace polythrottle::interference_driver
