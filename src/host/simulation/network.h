#pragma once
// Neural networks as data: the work of every layer, computed from the published architecture. No weights, no arithmetic on tensors.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace polythrottle::simulation {

/// What a layer runs on: dense products use the matrix units, depthwise convolutions the vector lanes, element-wise layers only memory.
enum class LayerKind { kDense, kDepthwise, kElementwise };

/// One layer as an inference library launches it: activation, normalisation and bias are folded into the product before them.
/// Counts are per item (one image, one sequence) except `weights`, which a whole batch shares.
struct Layer {
  std::string name;
  LayerKind kind = LayerKind::kElementwise;
  double macs = 0.0;      ///< multiply-accumulates
  double weights = 0.0;   ///< elements of parameters read
  double inputs = 0.0;    ///< elements of activations read
  double outputs = 0.0;   ///< elements of activations written
  double rows = 0.0;      ///< as a product: output positions
  double columns = 0.0;   ///< as a product: output channels (all heads together for attention)
  double depth = 0.0;     ///< as a product: length of the sum behind one output element
  std::size_t alike = 0;  ///< index of the network's first layer with the same work
};

/// What the CPU does for one item before the GPU sees it; zero pixels where there is no image.
struct Preprocessing {
  double decoded_pixels = 0.0;  ///< pixels of the compressed source image
  double resized_pixels = 0.0;  ///< pixels written at the network's resolution
};

struct Network {
  std::string name;
  std::vector<Layer> layers;
  double parameters = 0.0;  ///< all trainable elements, embedding tables included
  Preprocessing preprocessing;

  double macs() const;  ///< per item
  /// Fills in `Layer::alike`.
  void find_alike();
};

/// Resolution of the source images: 640 x 480, a common size of traffic-camera streams (the paper does not state its own).
inline constexpr double kSourcePixels = 640.0 * 480.0;

/// EfficientNet with the given scaling (Tan and Le 2019, table 1 and the reference implementation's rounding), 1000 classes.
Network efficientnet(std::string name, double width, double depth, int resolution);
/// BERT base (Devlin et al. 2019): 12 layers, hidden 768, 12 heads, feed-forward 3072, with a span head as for SQuAD.
Network bert_base(std::string name, int sequence);

/// efficientnet-b0, efficientnet-b4, efficientnet-b7, bert-base; they live as long as the program.
std::span<const Network> networks();
/// Errors: kNotFound, listing the names.
Result<const Network*> find_network(std::string_view name);

}  // namespace polythrottle::simulation
