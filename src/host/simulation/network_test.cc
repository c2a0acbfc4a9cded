#include "host/simulation/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace polythrottle::simulation {
namespace {

const Network& network(std::string_view name) {
  const auto found = find_network(name);
  EXPECT_TRUE(found) << name;
  return **found;
}

// Tan and Le 2019, table 2, prints 0.39, 4.2 and 37 GMAC and 5.3, 19 and 66 M; the exact counts are those of the reference implementation.
TEST(EfficientNet, ParametersAreThoseOfTheReferenceImplementation) {
  EXPECT_EQ(network("efficientnet-b0").parameters, 5288548.0);
  EXPECT_EQ(network("efficientnet-b4").parameters, 19341616.0);
  EXPECT_EQ(network("efficientnet-b7").parameters, 66347960.0);
}

TEST(EfficientNet, WorkIsThatOfThePaper) {
  EXPECT_NEAR(network("efficientnet-b0").macs(), 0.39e9, 0.01e9);
  EXPECT_NEAR(network("efficientnet-b4").macs(), 4.3e9, 0.15e9);
  EXPECT_NEAR(network("efficientnet-b7").macs(), 37.5e9, 0.75e9);
}

TEST(EfficientNet, LastFeaturesOfB0AreSevenBySeven) {
  const Network& b0 = network("efficientnet-b0");
  const auto head = std::find_if(b0.layers.begin(), b0.layers.end(), [](const Layer& layer) { return layer.name == "head"; });
  ASSERT_NE(head, b0.layers.end());
  EXPECT_EQ(head->rows, 49.0);
  EXPECT_EQ(head->columns, 1280.0);
  EXPECT_EQ(b0.layers.back().columns, 1000.0);
}

TEST(EfficientNet, BlocksAreRepeatedByTheDepth) {
  const auto depthwise = [](const Network& of) {
    return std::count_if(of.layers.begin(), of.layers.end(), [](const Layer& layer) { return layer.kind == LayerKind::kDepthwise; });
  };
  EXPECT_EQ(depthwise(network("efficientnet-b0")), 16);
  EXPECT_EQ(depthwise(network("efficientnet-b4")), 32);
  EXPECT_EQ(depthwise(network("efficientnet-b7")), 55);
}

// Devlin et al. 2019: 110 M parameters with embeddings; 12 (4 h^2 + 8 h^2) = 85 M in the encoder.
TEST(Bert, TotalsAreThoseOfTheLiterature) {
  const Network& bert = network("bert-base");
  EXPECT_NEAR(bert.parameters, 110e6, 1.5e6);
  EXPECT_NEAR(bert.macs(), 35.5e9, 0.3e9);
  double encoder = 0.0;
  for (const Layer& layer : bert.layers) encoder += layer.name.starts_with("block") ? layer.weights : 0.0;
  EXPECT_EQ(encoder, 85054464.0);
}

TEST(Bert, AttentionGrowsWithTheSquareOfTheSequence) {
  const auto attention = [](const Network& of) {
    double sum = 0.0;
    for (const Layer& layer : of.layers) sum += layer.name.ends_with("scores") || layer.name.ends_with("context") ? layer.macs : 0.0;
    return sum;
  };
  EXPECT_DOUBLE_EQ(attention(bert_base("long", 384)), 4.0 * attention(bert_base("short", 192)));
}

TEST(Networks, ProductsAreConsistent) {
  for (const Network& each : networks()) {
    for (const Layer& layer : each.layers) {
      SCOPED_TRACE(each.name + " " + layer.name);
      EXPECT_DOUBLE_EQ(layer.macs, layer.rows * layer.columns * layer.depth);
      EXPECT_EQ(layer.kind == LayerKind::kElementwise, layer.macs == 0.0);
      EXPECT_GT(layer.inputs, 0.0);
      EXPECT_GT(layer.outputs, 0.0);
    }
  }
}

TEST(Networks, AlikeLayersDoTheSameWork) {
  for (const Network& each : networks()) {
    std::set<std::size_t> kinds;
    for (const Layer& layer : each.layers) {
      const Layer& first = each.layers[layer.alike];
      EXPECT_EQ(first.macs, layer.macs);
      EXPECT_EQ(first.inputs, layer.inputs);
      EXPECT_EQ(&each.layers[first.alike], &first);
      kinds.insert(layer.alike);
    }
    EXPECT_LT(kinds.size(), each.layers.size()) << each.name;
  }
}

TEST(Networks, OnlyImagesAreDecodedAndAllAlike) {
  EXPECT_EQ(network("bert-base").preprocessing.decoded_pixels, 0.0);
  EXPECT_GT(network("efficientnet-b0").preprocessing.decoded_pixels, 0.0);
  EXPECT_EQ(network("efficientnet-b0").preprocessing.decoded_pixels, network("efficientnet-b7").preprocessing.decoded_pixels);
}

TEST(Networks, AnUnknownNameIsAnsweredWithTheList) {
  const auto found = find_network("resnet-50");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::kNotFound);
  EXPECT_EQ(found.error().hint, "known: efficientnet-b0, efficientnet-b4, efficientnet-b7, bert-base");
}

}  // namespace
}  // namespace polythrottle::simulation
