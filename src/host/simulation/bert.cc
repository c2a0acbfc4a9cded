#include <utility>

#include "host/simulation/network.h"

namespace polythrottle::simulation {
namespace {

// Devlin et al., "BERT", NAACL 2019, the base model; vocabulary and positions of its released checkpoints.
constexpr int kBlocks = 12;
constexpr double kHidden = 768.0;
constexpr double kHeads = 12.0;
constexpr double kFeedForward = 3072.0;
constexpr double kVocabulary = 30522.0;
constexpr double kPositions = 512.0;
constexpr double kSegments = 2.0;
constexpr double kSpanEnds = 2.0;  // start and end of the answer

Layer product(std::string name, double rows, double columns, double depth) {
  Layer layer;
  layer.name = std::move(name);
  layer.kind = LayerKind::kDense;
  layer.rows = rows;
  layer.columns = columns;
  layer.depth = depth;
  layer.macs = rows * columns * depth;
  layer.weights = columns * (depth + 1.0);
  layer.inputs = rows * depth;
  layer.outputs = rows * columns;
  return layer;
}

/// Rows of `width` elements normalised, with a scale and a shift each; `summands` tensors are added first.
Layer normalization(std::string name, double rows, double width, double summands) {
  Layer layer;
  layer.name = std::move(name);
  layer.weights = 2.0 * width;
  layer.inputs = summands * rows * width;
  layer.outputs = rows * width;
  return layer;
}

}  // namespace

Network bert_base(std::string name, int sequence) {
  Network network;
  network.name = std::move(name);
  const double tokens = sequence;
  const double head_width = kHidden / kHeads;
  const auto add = [&](Layer layer) {
    network.parameters += layer.weights;
    network.layers.push_back(std::move(layer));
  };

  // Three table rows are summed for every token; only those rows are read, the tables themselves are parameters.
  add(normalization("embeddings", tokens, kHidden, 3.0));
  network.parameters += (kVocabulary + kPositions + kSegments) * kHidden;

  for (int block = 0; block < kBlocks; ++block) {
    const std::string prefix = "block" + std::to_string(block) + ".";
    add(product(prefix + "query_key_value", tokens, 3.0 * kHidden, kHidden));

    Layer scores = product(prefix + "scores", kHeads * tokens, tokens, head_width);
    scores.weights = 0.0;
    scores.inputs = 2.0 * tokens * kHidden;
    add(std::move(scores));

    Layer softmax;
    softmax.name = prefix + "softmax";
    softmax.inputs = kHeads * tokens * tokens;
    softmax.outputs = kHeads * tokens * tokens;
    add(std::move(softmax));

    Layer context = product(prefix + "context", kHeads * tokens, head_width, tokens);
    context.weights = 0.0;
    context.inputs = kHeads * tokens * tokens + tokens * kHidden;
    add(std::move(context));

    add(product(prefix + "attention_output", tokens, kHidden, kHidden));
    add(normalization(prefix + "attention_norm", tokens, kHidden, 2.0));
    add(product(prefix + "feed_forward_in", tokens, kFeedForward, kHidden));
    add(product(prefix + "feed_forward_out", tokens, kHidden, kFeedForward));
    add(normalization(prefix + "output_norm", tokens, kHidden, 2.0));
  }
  add(product("span", tokens, kSpanEnds, kHidden));
  network.find_alike();
  return network;
}

}  // namespace polythrottle::simulation
