#pragma once
// How long a batch of inference takes, alone and beside a step of fine-tuning, and how sure that is.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle::interference {

/// What a network asks of a device, clocks left out: counted on its graph (engine/graph_cost.h) or on a simulated board's layers. Of
/// inference: the forward pass. Of fine-tuning: forward, backward and update. An element is a number, whatever its width.
struct WorkCost {
  double macs = 0.0;         ///< multiply-accumulates per item
  double weights = 0.0;      ///< elements of parameters moved, once a batch or step
  double activations = 0.0;  ///< elements of layers' inputs and outputs moved, per item
  double kernels = 0.0;      ///< launches a batch or step
};
/// Multiply-accumulates per element moved once, over all layers: what eq. 1 of arXiv 2310.19991 gives for one convolution, its sums taken
/// over the network. 0 where nothing is moved.
double intensity(const WorkCost& cost, double items);

/// Clocks in force, each over the one of the reference; 1 where there is no such knob. Positive.
struct Speeds {
  double gpu = 1.0;
  double mem = 1.0;
  double cpu = 1.0;
  friend bool operator==(const Speeds&, const Speeds&) = default;
};

/// Some items of a fine-tuning job in one go: a whole optimizer step, or part of one (gradient accumulation).
struct Step {
  WorkCost cost;
  int items = 1;
};

/// A batch of the network the predictor is made for, alone or beside a step that lasts longer than the batch.
struct Situation {
  Speeds speeds;
  int batch = 1;
  std::optional<Step> step;
  /// The device had nothing to do for so long before: governors lower their clocks meanwhile, and the batch starts on those.
  Seconds rested{0};
};

/// One batch that was seen.
struct BatchSample {
  Situation at;
  Seconds latency{0};
  double beside = 0.0;  ///< share of its latency during which `at.step` ran, in [0, 1]; 0 without one
};
/// One step that was seen.
struct StepSample {
  Speeds speeds;
  Step step;
  Seconds duration{0};
  double beside = 0.0;  ///< share of its duration during which a batch ran, in [0, 1]
};
struct Samples {
  std::vector<BatchSample> batches;
  std::vector<StepSample> steps;
};

struct Prediction {
  Seconds mean{0};          ///< the median, which for a scatter of a few per cent is the mean
  double log_stddev = 0.0;  ///< of the logarithm of the next single observation: noise and ignorance together
  /// Not exceeded with this probability, in (0, 1). The logarithm is taken to scatter as Student's t with 4 degrees of freedom does, with
  /// this standard deviation: latencies are held up far more often than a normal distribution has it.
  Seconds upper(double probability) const;
};

/// Used by one thread. Reading it (`batch`, `step`) changes nothing and allocates nothing.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// Forgets everything and learns from these. Errors: kInvalid for a sample without a positive latency; kNotFound if there are too few of
  /// them to say anything of a batch beside a step (then what can be said of batches alone is said).
  virtual Status fit(const Samples& samples) = 0;
  /// One more observation or several, on top; bad ones (no positive latency) are ignored.
  virtual void learn(const Samples& samples) = 0;
  /// Co-runs made on purpose after `fit`: as if they had been among its samples. Errors are not told: those of `fit` before hold.
  virtual void calibrate(const Samples& samples) { learn(samples); }
  /// Has it seen enough co-runs to speak of them?
  virtual bool calibrated() const = 0;
  /// Latency of one batch. Before `calibrated` a step beside it is ignored; before any sample the mean is 0.
  virtual Prediction batch(const Situation& at) const = 0;
  /// Duration of a step of which the share `beside` passes while a batch runs too.
  virtual Prediction step(const Speeds& speeds, const Step& step, double beside) const = 0;

 protected:
  Predictor() = default;
};

struct PredictorDriver {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Predictor> (*make)(const WorkCost& inference);
};
/// Errors: kInvalid, with the names.
Result<const PredictorDriver*> find_predictor(std::string_view name);

}  // namespace polythrottle::interference

namespace polythrottle {

/// One per file of src/interference without a header: published, physical.
std::span<const interference::PredictorDriver* const> interference_drivers();

}  // namespace polythrottle
