// Networks built from their papers, without weights, against the totals published for them and against the simulated boards' own layers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "engine/graph/model_builder.h"
#include "engine/graph_cost.h"
#include "host/simulation/network.h"

namespace polythrottle {
namespace {

using graph::Attr;
using graph::Dim;
using graph::GraphBuilder;
using graph::Ints;

/// Convolutional networks as exporters write them, normalisation folded into the convolutions.
class Images : public GraphBuilder {
 public:
  explicit Images(int size) { x = input("image", {Dim("batch"), Dim(3), Dim(size), Dim(size)}); }

  std::string conv(const std::string& from, int in, int out, int kernel, int stride = 1, int groups = 1) {
    // "Same" as TensorFlow means it, where the reference implementations come from.
    return node("Conv", {from, weight({out, in / groups, kernel, kernel}), weight({out})},
                {{"kernel_shape", Ints{kernel, kernel}},
                 {"strides", Ints{stride, stride}},
                 {"group", std::int64_t{groups}},
                 {"auto_pad", "SAME_UPPER"}});
  }
  std::string relu(const std::string& from) { return node("Relu", {from}); }
  std::string swish(const std::string& from) { return node("Mul", {from, node("Sigmoid", {from})}); }
  std::string pool(const std::string& from, int kernel) {
    return node("MaxPool", {from}, {{"kernel_shape", Ints{kernel, kernel}}, {"strides", Ints{2, 2}}, {"auto_pad", "SAME_UPPER"}});
  }
  std::string full(const std::string& from, int in, int out) {
    return node("Gemm", {from, weight({out, in}), weight({out})}, {{"transB", std::int64_t{1}}});
  }
  std::string flat(const std::string& from) { return node("Flatten", {from}); }
  std::string average(const std::string& from) { return node("GlobalAveragePool", {from}); }

  std::string x;
};

GraphCost counted(const GraphBuilder& model, GraphCostOptions options = {}) {
  auto cost = count_graph_bytes(model.model(), "test", options);
  if (!cost) throw std::runtime_error(cost.error().text());
  return *cost;
}

/// Simonyan and Zisserman 2015, configuration D.
GraphCost vgg16() {
  Images net(224);
  int in = 3;
  std::string x = net.x;
  for (const auto& stage : {std::pair(64, 2), {128, 2}, {256, 3}, {512, 3}, {512, 3}}) {
    for (int i = 0; i < stage.second; ++i) {
      x = net.relu(net.conv(x, in, stage.first, 3));
      in = stage.first;
    }
    x = net.pool(x, 2);
  }
  x = net.relu(net.full(net.flat(x), 512 * 7 * 7, 4096));
  net.output(net.full(net.relu(net.full(x, 4096, 4096)), 4096, 1000));
  return counted(net);
}

/// He et al. 2016, the stride in the 3x3 convolution as torchvision has it.
GraphCost resnet50() {
  Images net(224);
  std::string x = net.pool(net.relu(net.conv(net.x, 3, 64, 7, 2)), 3);
  int in = 64, width = 64;
  for (const int blocks : {3, 4, 6, 3}) {
    for (int block = 0; block < blocks; ++block) {
      const int stride = block == 0 && width != 64 ? 2 : 1;
      std::string y = net.relu(net.conv(x, in, width, 1));
      y = net.conv(net.relu(net.conv(y, width, width, 3, stride)), width, 4 * width, 1);
      const std::string shortcut = block == 0 ? net.conv(x, in, 4 * width, 1, stride) : x;
      x = net.relu(net.node("Add", {y, shortcut}));
      in = 4 * width;
    }
    width *= 2;
  }
  net.output(net.full(net.flat(net.average(x)), 2048, 1000));
  return counted(net);
}

/// Sandler et al. 2018, table 2.
GraphCost mobilenet_v2() {
  Images net(224);
  std::string x = net.relu(net.conv(net.x, 3, 32, 3, 2));
  int in = 32;
  for (const auto& [expand, out, repeats, first] :
       {std::array{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}}) {
    for (int i = 0; i < repeats; ++i) {
      const int stride = i == 0 ? first : 1, wide = in * expand;
      std::string y = expand == 1 ? x : net.relu(net.conv(x, in, wide, 1));
      y = net.conv(net.relu(net.conv(y, wide, wide, 3, stride, wide)), wide, out, 1);
      x = stride == 1 && in == out ? net.node("Add", {x, y}) : y;
      in = out;
    }
  }
  net.output(net.full(net.flat(net.average(net.relu(net.conv(x, 320, 1280, 1)))), 1280, 1000));
  return counted(net);
}

/// Tan and Le 2019, table 1, scaled as its reference implementation does.
GraphCost efficientnet(double width, double depth, int size, GraphCostOptions options = {}) {
  Images net(size);
  const auto channels = [&](int base) {
    const int rounded = std::max(8, static_cast<int>(base * width + 4) / 8 * 8);
    return rounded < 0.9 * base * width ? rounded + 8 : rounded;
  };
  std::string x = net.swish(net.conv(net.x, 3, channels(32), 3, 2));
  int in = channels(32);
  for (const auto& [expand, base, repeats, first, kernel] : {std::array{1, 16, 1, 1, 3},
                                                             {6, 24, 2, 2, 3},
                                                             {6, 40, 2, 2, 5},
                                                             {6, 80, 3, 2, 3},
                                                             {6, 112, 3, 1, 5},
                                                             {6, 192, 4, 2, 5},
                                                             {6, 320, 1, 1, 3}}) {
    const int out = channels(base);
    for (int i = 0; i < static_cast<int>(std::ceil(repeats * depth)); ++i) {
      const int stride = i == 0 ? first : 1, wide = in * expand, squeezed = std::max(1, in / 4);
      std::string y = expand == 1 ? x : net.swish(net.conv(x, in, wide, 1));
      y = net.swish(net.conv(y, wide, wide, kernel, stride, wide));
      const auto gate = net.node("Sigmoid", {net.conv(net.swish(net.conv(net.average(y), wide, squeezed, 1)), squeezed, wide, 1)});
      y = net.conv(net.node("Mul", {y, gate}), wide, out, 1);
      x = stride == 1 && in == out ? net.node("Add", {y, x}) : y;
      in = out;
    }
  }
  net.output(net.full(net.flat(net.average(net.swish(net.conv(x, in, channels(1280), 1)))), channels(1280), 1000));
  return counted(net, options);
}

/// Devlin et al. 2019, base: as exporters write it, shapes computed in the graph, with a span head.
GraphCost bert(std::int64_t tokens, GraphCostOptions options = {}) {
  GraphBuilder net;
  const std::int64_t wide = 768, heads = 12;
  const auto ids = net.input("ids", {Dim("batch"), Dim("sequence")}, graph::kInt64);
  const auto shape = net.node("Shape", {ids});
  const auto axis = [&](std::int64_t index) {
    return net.node("Unsqueeze", {net.node("Gather", {shape, net.ints({index}, true)}), net.ints({0})});
  };
  const auto heads_shape = net.node("Concat", {axis(0), axis(1), net.ints({heads}), net.ints({wide / heads})}, {{"axis", std::int64_t{0}}});
  const auto flat_shape = net.node("Concat", {axis(0), axis(1), net.ints({-1})}, {{"axis", std::int64_t{0}}});
  const auto dense = [&](const std::string& from, std::int64_t in, std::int64_t out) {
    return net.node("Add", {net.weight({out}), net.node("MatMul", {from, net.weight({in, out})})});
  };
  const auto norm = [&](const std::string& from) { return net.node("LayerNormalization", {from, net.weight({wide}), net.weight({wide})}); };
  const auto split = [&](const std::string& from, Ints order) {
    return net.node("Transpose", {net.node("Reshape", {dense(from, wide, wide), heads_shape})}, {{"perm", std::move(order)}});
  };
  const auto positions = net.node("Slice", {net.weight({512, wide}), net.ints({0}), axis(1)});
  std::string x = norm(net.node("Add", {net.node("Gather", {net.weight({30522, wide}), ids}), positions}));
  for (int block = 0; block < 12; ++block) {
    auto scores = net.node("MatMul", {split(x, {0, 2, 1, 3}), split(x, {0, 2, 3, 1})});
    scores = net.node("Softmax", {net.node("Div", {scores, net.weight({})})});
    auto context = net.node("Transpose", {net.node("MatMul", {scores, split(x, {0, 2, 1, 3})})}, {{"perm", Ints{0, 2, 1, 3}}});
    x = norm(net.node("Add", {dense(net.node("Reshape", {context, flat_shape}), wide, wide), x}));
    x = norm(net.node("Add", {dense(net.node("Gelu", {dense(x, wide, 3072)}), 3072, wide), x}));
  }
  net.output(dense(x, wide, 2));
  options.dimensions["sequence"] = tokens;
  return counted(net, options);
}

/// Published: papers and the documentation of torchvision's models.
TEST(GraphCostOfPublished, ConvolutionalNetworksHaveTheirTotals) {
  EXPECT_NEAR(vgg16().macs(), 15.47e9, 0.02e9);                     // torchvision: 15.47 G
  EXPECT_NEAR(resnet50().macs(), 4.09e9, 0.01e9);                   // torchvision: 4.09 G
  EXPECT_NEAR(mobilenet_v2().macs(), 0.300e9, 0.002e9);             // the paper: 300 M
  EXPECT_NEAR(efficientnet(1.0, 1.0, 224).macs(), 0.39e9, 0.01e9);  // the paper: 0.39 G
  EXPECT_NEAR(efficientnet(1.4, 1.8, 380).macs(), 4.3e9, 0.15e9);   // the paper: 4.2 G; torchvision: 4.39 G
  EXPECT_NEAR(efficientnet(2.0, 3.1, 600).macs(), 37.5e9, 0.8e9);   // the paper: 37 G; torchvision: 37.75 G
}

TEST(GraphCostOfPublished, WeightsAreTheParametersOfTheNetworks) {
  EXPECT_NEAR(vgg16().weights().elements, 138.36e6, 0.01e6);
  EXPECT_NEAR(resnet50().weights().elements, 25.53e6, 0.01e6);  // 25.56 M with the scales of the normalisation, which is folded here
  EXPECT_EQ(vgg16().weights().bytes, 4.0 * vgg16().weights().elements);
}

TEST(GraphCostOfPublished, BertMatchesItsFormula) {
  const double tokens = 384, wide = 768;
  const double encoder = 12 * (tokens * wide * wide * 12 + 2 * tokens * tokens * wide);
  const auto cost = bert(384);
  EXPECT_DOUBLE_EQ(cost.macs(), encoder + tokens * wide * 2);
  EXPECT_NEAR(cost.macs(), 35.3e9, 0.2e9);
  EXPECT_TRUE(cost.not_counted.empty());
}

/// Two independent accounts of one network.
TEST(GraphCostOfPublished, SimulatedBoardsCountTheSame) {
  const std::pair<const char*, GraphCost> cases[] = {{"efficientnet-b0", efficientnet(1.0, 1.0, 224)},
                                                     {"efficientnet-b4", efficientnet(1.4, 1.8, 380)},
                                                     {"efficientnet-b7", efficientnet(2.0, 3.1, 600)},
                                                     {"bert-base", bert(384)}};
  for (const auto& [name, cost] : cases) {
    const auto* network = simulation::find_network(name).value();
    EXPECT_NEAR(cost.macs(), network->macs(), 0.02 * network->macs()) << name;
    double weights = 0.0, activations = 0.0;
    for (const auto& layer : network->layers) {
      weights += layer.weights;
      activations += layer.inputs + layer.outputs;
    }
    EXPECT_NEAR(cost.weights().elements, weights, 0.02 * weights) << name;
    if (std::string_view(name) != "bert-base") {
      EXPECT_NEAR(cost.activations().elements, activations, 0.02 * activations) << name;
      EXPECT_EQ(cost.kernels.size(), network->layers.size()) << name;
    }
  }
}

TEST(GraphCostOfPublished, AnItemCostsTheSameInABatch) {
  const auto one = efficientnet(1.0, 1.0, 224), eight = efficientnet(1.0, 1.0, 224, {.batch = 8});
  EXPECT_TRUE(one.batch_is_free);
  EXPECT_EQ(eight.macs(), 8.0 * one.macs());
  EXPECT_EQ(eight.activations().elements, 8.0 * one.activations().elements);
  EXPECT_EQ(eight.weights().elements, one.weights().elements);
  EXPECT_EQ(eight.kernels.size(), one.kernels.size());
  EXPECT_GT(eight.intensity(), one.intensity());
  EXPECT_EQ(bert(128, {.batch = 4}).macs(), 4.0 * bert(128).macs());
}

}  // namespace
}  // namespace polythrottle
