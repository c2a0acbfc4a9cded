#pragma once
// What a batch of inference and a step of fine-tuning ask of a device, clocks left out: their launches, and the memory they hold.

#include <limits>
#include <vector>

#include "base/result.h"
#include "host/simulation/network.h"

namespace polythrottle::simulation {

enum class Precision { kFp16, kFp32 };
/// fp16, fp32. Errors: kNotFound, listing both.
Result<Precision> find_precision(std::string_view name);
const char* to_string(Precision precision);
/// Of one element.
double element_bytes(Precision precision);

inline constexpr int kAllLayers = std::numeric_limits<int>::max();

/// What a fine-tuning step changes. The layers before the first trained one are a frozen backbone: they only go forward and nothing of them
/// is kept, no gradient goes through them. Gradients of inputs are computed down to the first trained layer and not of its own inputs.
struct Training {
  int output_dimension = 1000;      ///< columns of the new last layer; 1 or more
  int trained_layers = kAllLayers;  ///< the last so many layers that have weights; 1 is the new last layer alone
};

/// One launch of a whole batch, by the kind of unit that serves it.
struct Work {
  LayerKind kind = LayerKind::kElementwise;
  double macs = 0.0;
  double outputs = 0.0;      ///< elements computed in parallel
  double depth = 0.0;        ///< length of the sum behind each
  double weights = 0.0;      ///< elements
  double activations = 0.0;  ///< elements read and written
};
Work forward(const Layer& layer, double batch);
/// One step in the order of its launches: forward, then from the last layer back the gradients of inputs and of weights, then the update
/// (gradient descent with momentum) of what is trained.
std::vector<Work> training_work(const Network& network, int batch, const Training& training);

/// The launches of a batch or a step, summed.
struct WorkCounts {
  double macs = 0.0;         ///< multiply-accumulates per item
  double weights = 0.0;      ///< elements of parameters (of gradients and momentum too) moved, once a batch or step
  double activations = 0.0;  ///< elements of layers' inputs and outputs (and of their gradients) moved, per item
  double kernels = 0.0;      ///< launches a batch or step
};
WorkCounts inference_counts(const Network& network);
WorkCounts training_counts(const Network& network, const Training& training);

/// Bytes held, at the least: every tensor once and none of a library's workspace. Frameworks that keep the inputs of normalization and
/// activation beside those of the products hold two or three times the activations.
struct Footprint {
  double weights = 0.0;    ///< all parameters, embedding tables included
  double gradients = 0.0;  ///< of trained parameters
  double optimizer = 0.0;  ///< one momentum per trained parameter
  double activations =
      0.0;  ///< inference: inputs and outputs of the largest layer; training: what the backward pass needs, and its gradients
  double total() const { return weights + gradients + optimizer + activations; }
};
Footprint inference_footprint(const Network& network, Precision precision, int batch);
/// Everything is held in `precision`.
Footprint training_footprint(const Network& network, Precision precision, int batch, const Training& training);

}  // namespace polythrottle::simulation
