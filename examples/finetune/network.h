#pragma once
// A small convolutional network for 8 x 8 images, and its training. libtorch stays behind this header: it takes half a minute to compile.

#include <memory>
#include <span>
#include <string>

#include "digits.h"
#include "onnx_file.h"

/// Three convolutions (64, 128 and 128 channels) and two matrix products. Used by one thread.
class Network {
 public:
  enum class Layers { kAll, kLast };  ///< which are trained; kLast: the two matrix products

  /// Weights are drawn from `seed`. `rate`: learning rate of Adam.
  Network(Layers trained, double rate, std::uint64_t seed);
  ~Network();

  /// Throws std::runtime_error where a tensor is missing or of another shape.
  void load(const WeightMap& weights);
  WeightMap weights() const;

  /// Forward and backward of these images. Gradients add up until `update`; each image counts 1/`of`. Answers the summed loss over `of`.
  double accumulate(std::span<const Digit> images, int of);
  void update();
  /// Forgets the gradients so far.
  void discard();
  /// Share of the images whose digit is found, in [0, 1].
  double accuracy(std::span<const Digit> images) const;

  /// Of one image: multiply-accumulates forward and backward; numbers moved in and out of layers. And of the network: its parameters, and
  /// kernels started in a step.
  struct Cost {
    double macs = 0.0, activations = 0.0, weights = 0.0, kernels = 0.0;
  };
  Cost cost() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};
