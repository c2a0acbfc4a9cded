#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "host/simulation/network.h"

namespace polythrottle::simulation {
namespace {

/// One row of table 1 in Tan and Le, "EfficientNet", ICML 2019: a stage of the unscaled network.
struct Stage {
  int kernel;
  int repeats;
  int inputs;
  int outputs;
  int expand;
  int stride;
};
constexpr std::array<Stage, 7> kStages = {{{3, 1, 32, 16, 1, 1},
                                           {3, 2, 16, 24, 6, 2},
                                           {5, 2, 24, 40, 6, 2},
                                           {3, 3, 40, 80, 6, 2},
                                           {5, 3, 80, 112, 6, 1},
                                           {5, 4, 112, 192, 6, 2},
                                           {3, 1, 192, 320, 6, 1}}};
constexpr int kStemChannels = 32;
constexpr int kHeadChannels = 1280;
constexpr int kClasses = 1000;
constexpr int kSqueeze = 4;  // the squeezed channels are a quarter of the block's inputs

/// Channels scaled by `width`, in multiples of eight and never more than a tenth below the exact value (round_filters of the reference).
int scaled_channels(int channels, double width) {
  const double exact = channels * width;
  int rounded = std::max(8, static_cast<int>(exact + 4.0) / 8 * 8);
  if (rounded < 0.9 * exact) rounded += 8;
  return rounded;
}

int scaled_repeats(int repeats, double depth) { return static_cast<int>(std::ceil(repeats * depth)); }

class Builder {
 public:
  explicit Builder(Network& network) : network_(network) {}

  /// A convolution with its batch normalisation folded in: weights and one bias per output channel are read, two normalisation parameters
  /// per output channel are trained. `residual`: another tensor of the output's size is added at the end.
  void convolution(const std::string& name, int kernel, int inputs, int outputs, int in_size, int out_size, bool residual) {
    Layer layer = product(name, LayerKind::kDense, 1.0 * out_size * out_size, outputs, 1.0 * kernel * kernel * inputs);
    layer.inputs = 1.0 * in_size * in_size * inputs + (residual ? layer.outputs : 0.0);
    network_.parameters += layer.weights + outputs;
    network_.layers.push_back(std::move(layer));
  }
  void depthwise(const std::string& name, int kernel, int channels, int in_size, int out_size) {
    Layer layer = product(name, LayerKind::kDepthwise, 1.0 * out_size * out_size, channels, 1.0 * kernel * kernel);
    layer.inputs = 1.0 * in_size * in_size * channels;
    network_.parameters += layer.weights + channels;
    network_.layers.push_back(std::move(layer));
  }
  void fully_connected(const std::string& name, int inputs, int outputs) {
    Layer layer = product(name, LayerKind::kDense, 1.0, outputs, inputs);
    layer.inputs = inputs;
    network_.parameters += layer.weights;
    network_.layers.push_back(std::move(layer));
  }
  void elementwise(const std::string& name, double inputs, double outputs) {
    Layer layer;
    layer.name = name;
    layer.inputs = inputs;
    layer.outputs = outputs;
    network_.layers.push_back(std::move(layer));
  }

 private:
  static Layer product(const std::string& name, LayerKind kind, double rows, double columns, double depth) {
    Layer layer;
    layer.name = name;
    layer.kind = kind;
    layer.rows = rows;
    layer.columns = columns;
    layer.depth = depth;
    layer.macs = rows * columns * depth;
    layer.weights = columns * (depth + 1.0);
    layer.outputs = rows * columns;
    return layer;
  }

  Network& network_;
};

}  // namespace

Network efficientnet(std::string name, double width, double depth, int resolution) {
  Network network;
  network.name = std::move(name);
  network.preprocessing = {kSourcePixels, 1.0 * resolution * resolution};
  Builder build(network);

  const auto halved = [](int size, int stride) { return (size + stride - 1) / stride; };
  int size = halved(resolution, 2);
  build.convolution("stem", 3, 3, scaled_channels(kStemChannels, width), resolution, size, false);
  int block = 0;
  int channels = scaled_channels(kStemChannels, width);
  for (const Stage& stage : kStages) {
    for (int repeat = 0; repeat < scaled_repeats(stage.repeats, depth); ++repeat, ++block) {
      const int inputs = repeat == 0 ? scaled_channels(stage.inputs, width) : scaled_channels(stage.outputs, width);
      const int outputs = scaled_channels(stage.outputs, width);
      const int stride = repeat == 0 ? stage.stride : 1;
      const int wide = inputs * stage.expand;
      const int squeezed = std::max(1, inputs / kSqueeze);
      const int out_size = halved(size, stride);
      const double positions = 1.0 * out_size * out_size;
      const std::string prefix = "block" + std::to_string(block) + ".";
      if (stage.expand != 1) build.convolution(prefix + "expand", 1, inputs, wide, size, size, false);
      build.depthwise(prefix + "depthwise", stage.kernel, wide, size, out_size);
      build.elementwise(prefix + "pool", positions * wide, wide);
      build.fully_connected(prefix + "squeeze", wide, squeezed);
      build.fully_connected(prefix + "excite", squeezed, wide);
      build.elementwise(prefix + "scale", positions * wide + wide, positions * wide);
      build.convolution(prefix + "project", 1, wide, outputs, out_size, out_size, stride == 1 && inputs == outputs);
      size = out_size;
      channels = outputs;
    }
  }
  const int head = scaled_channels(kHeadChannels, width);
  build.convolution("head", 1, channels, head, size, size, false);
  build.elementwise("pool", 1.0 * size * size * head, head);
  build.fully_connected("classify", head, kClasses);
  network.find_alike();
  return network;
}

}  // namespace polythrottle::simulation
