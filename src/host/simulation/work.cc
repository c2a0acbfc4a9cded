#include "host/simulation/work.h"

#include <algorithm>
#include <span>
#include <string>

namespace polythrottle::simulation {
namespace {

/// Gradient of a layer's inputs: the transposed product, reading the gradient of the outputs, and the activations where it is element-wise.
Work input_gradient(const Layer& layer, double batch) {
  Work work = forward(layer, batch);
  if (layer.kind == LayerKind::kDense) {
    work.outputs = layer.rows * layer.depth * batch;
    work.depth = layer.columns;
  } else if (layer.kind == LayerKind::kElementwise) {
    work.activations += layer.inputs * batch;
  }
  return work;
}

/// Gradient of a layer's weights: the sum runs over the positions of the whole batch.
Work weight_gradient(const Layer& layer, double batch) {
  Work work = forward(layer, batch);
  work.outputs = std::max(1.0, layer.columns * layer.depth);
  work.depth = std::max(1.0, layer.rows * batch);
  return work;
}

/// Gradient descent with momentum reads weight, gradient and momentum, and writes weight and momentum.
Work update(const Layer& layer) { return {LayerKind::kElementwise, 0.0, 0.0, 0.0, 5.0 * layer.weights, 0.0}; }

/// A network with its new last layer, and where its trained part begins.
struct Trained {
  std::vector<Layer> layers;
  std::size_t first = 0;    ///< index of the first trained layer
  double parameters = 0.0;  ///< all
  double changing = 0.0;    ///< of the trained layers
};

Trained trained(const Network& network, const Training& training) {
  Trained result{network.layers, 0, network.parameters, 0.0};
  Layer& last = result.layers.back();
  const double scale = training.output_dimension / last.columns;
  result.parameters += last.weights * (scale - 1.0);
  last.columns = training.output_dimension;
  last.macs *= scale;
  last.weights *= scale;
  last.outputs *= scale;
  int left = training.trained_layers;
  bool frozen = false;
  for (std::size_t index = result.layers.size(); index-- > 0;) {
    if (result.layers[index].weights <= 0.0) continue;
    frozen = left-- <= 0;
    if (frozen) break;
    result.first = index;
    result.changing += result.layers[index].weights;
  }
  // Parameters that no layer reads whole, as embedding tables, are trained when everything is.
  if (!frozen) result.changing = result.parameters;
  return result;
}

double moved(const Layer& layer) { return layer.inputs + layer.outputs; }

double largest(std::span<const Layer> layers) {
  double most = 0.0;
  for (const Layer& layer : layers) most = std::max(most, moved(layer));
  return most;
}

WorkCounts& operator+=(WorkCounts& sum, const Work& one) {
  sum.macs += one.macs;
  sum.weights += one.weights;
  sum.activations += one.activations;
  sum.kernels += 1.0;
  return sum;
}

}  // namespace

Result<Precision> find_precision(std::string_view name) {
  for (const Precision precision : {Precision::kFp16, Precision::kFp32}) {
    if (name == to_string(precision)) return precision;
  }
  return fail(Errc::kNotFound, "precision " + std::string(name) + ": unknown", "known: fp16, fp32");
}

const char* to_string(Precision precision) { return precision == Precision::kFp16 ? "fp16" : "fp32"; }

double element_bytes(Precision precision) { return precision == Precision::kFp16 ? 2.0 : 4.0; }

Work forward(const Layer& layer, double batch) {
  return {layer.kind,  layer.macs * batch, layer.rows * layer.columns * batch,
          layer.depth, layer.weights,      (layer.inputs + layer.outputs) * batch};
}

std::vector<Work> training_work(const Network& network, int batch, const Training& training) {
  const Trained changed = trained(network, training);
  const auto& layers = changed.layers;
  std::vector<Work> launches;
  launches.reserve(4 * layers.size());
  for (const Layer& layer : layers) launches.push_back(forward(layer, batch));
  for (std::size_t index = layers.size(); index-- > changed.first;) {
    if (index > changed.first) launches.push_back(input_gradient(layers[index], batch));
    if (layers[index].weights > 0.0) launches.push_back(weight_gradient(layers[index], batch));
  }
  for (std::size_t index = changed.first; index < layers.size(); ++index) {
    if (layers[index].weights > 0.0) launches.push_back(update(layers[index]));
  }
  return launches;
}

WorkCounts inference_counts(const Network& network) {
  WorkCounts sum;
  for (const Layer& layer : network.layers) sum += forward(layer, 1.0);
  return sum;
}

WorkCounts training_counts(const Network& network, const Training& training) {
  WorkCounts sum;
  for (const Work& one : training_work(network, 1, training)) sum += one;
  return sum;
}

Footprint inference_footprint(const Network& network, Precision precision, int batch) {
  const double size = element_bytes(precision);
  Footprint held;
  held.weights = network.parameters * size;
  held.activations = largest(network.layers) * batch * size;
  return held;
}

Footprint training_footprint(const Network& network, Precision precision, int batch, const Training& training) {
  const Trained changed = trained(network, training);
  const std::span<const Layer> layers = changed.layers;
  const auto changing = layers.subspan(changed.first);
  // Each tensor is some layer's output.
  double kept = changed.first > 0 ? layers[changed.first - 1].outputs : layers.front().inputs;
  for (const Layer& layer : changing) kept += layer.outputs;
  const double size = element_bytes(precision);
  Footprint held;
  held.weights = changed.parameters * size;
  held.gradients = changed.changing * size;
  held.optimizer = changed.changing * size;
  held.activations = std::max(largest(layers.first(changed.first)), kept + largest(changing)) * batch * size;
  return held;
}

}  // namespace polythrottle::simulation
