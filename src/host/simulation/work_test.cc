#include "host/simulation/work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace polythrottle::simulation {
namespace {

int layers_with_weights(const Network& of) {
  return static_cast<int>(std::count_if(of.layers.begin(), of.layers.end(), [](const Layer& layer) { return layer.weights > 0.0; }));
}

TEST(Work, AnUnknownPrecisionIsAnsweredWithTheList) {
  const auto precision = find_precision("int8");
  ASSERT_FALSE(precision);
  EXPECT_EQ(precision.error().hint, "known: fp16, fp32");
}

TEST(Work, AForwardPassCountsTheLayers) {
  for (const Network& of : networks()) {
    const WorkCounts counts = inference_counts(of);
    EXPECT_DOUBLE_EQ(counts.macs, of.macs()) << of.name;
    EXPECT_EQ(counts.kernels, static_cast<double>(of.layers.size())) << of.name;
  }
}

// Counted by hand on a network of three layers: 2 x 3, then element-wise, then 3 x 4 columns.
TEST(Work, AStepOfASmallNetworkIsCountedByHand) {
  Network small;
  small.name = "small";
  small.layers = {{"first", LayerKind::kDense, 6.0, 6.0, 2.0, 3.0, 1.0, 3.0, 2.0},
                  {"middle", LayerKind::kElementwise, 0.0, 0.0, 3.0, 3.0},
                  {"last", LayerKind::kDense, 12.0, 12.0, 3.0, 4.0, 1.0, 4.0, 3.0}};
  small.parameters = 18.0;

  const WorkCounts all = training_counts(small, {.output_dimension = 4});
  EXPECT_EQ(all.macs, 18.0 + 12.0 + 18.0);                                        // no gradient of the first layer's inputs
  EXPECT_EQ(all.weights, 18.0 + 12.0 + 18.0 + 5.0 * 18.0);                        // forward, gradients, update
  EXPECT_EQ(all.activations, (5.0 + 6.0 + 7.0) + 7.0 + (6.0 + 3.0) + 5.0 + 7.0);  // forward, input gradients, weight gradients
  EXPECT_EQ(all.kernels, 3.0 + 2.0 + 2.0 + 2.0);

  const WorkCounts head = training_counts(small, {.output_dimension = 8, .trained_layers = 1});
  EXPECT_EQ(head.macs, 6.0 + 24.0 + 24.0);
  EXPECT_EQ(head.weights, 6.0 + 24.0 + 24.0 + 5.0 * 24.0);
  EXPECT_EQ(head.kernels, 3.0 + 1.0 + 1.0);

  const Footprint full = training_footprint(small, Precision::kFp32, 10, {.output_dimension = 4});
  EXPECT_EQ(full.weights, 4.0 * 18.0);
  EXPECT_EQ(full.gradients, 4.0 * 18.0);
  EXPECT_EQ(full.optimizer, 4.0 * 18.0);
  EXPECT_EQ(full.activations, 4.0 * 10 * ((2.0 + 3.0 + 3.0 + 4.0) + 7.0));  // every tensor once, and the largest layer's gradients
  const Footprint part = training_footprint(small, Precision::kFp16, 10, {.output_dimension = 8, .trained_layers = 1});
  EXPECT_EQ(part.weights, 2.0 * 30.0);
  EXPECT_EQ(part.gradients, 2.0 * 24.0);
  EXPECT_EQ(part.activations, 2.0 * 10 * ((3.0 + 8.0) + 11.0));
  const Footprint forward_only = inference_footprint(small, Precision::kFp16, 10);
  EXPECT_EQ(forward_only.total(), 2.0 * (18.0 + 10 * 7.0));
}

TEST(Work, TrainingFewerLayersIsLessOfEverything) {
  for (const Network& of : networks()) {
    const int most = layers_with_weights(of);
    const int classes = static_cast<int>(of.layers.back().columns);
    WorkCounts last = training_counts(of, {.output_dimension = classes});
    double bytes = training_footprint(of, Precision::kFp16, 8, {.output_dimension = classes}).total();
    EXPECT_EQ(training_counts(of, {.output_dimension = classes, .trained_layers = most}).macs, last.macs) << of.name;
    EXPECT_EQ(training_footprint(of, Precision::kFp16, 8, {.output_dimension = classes, .trained_layers = most}).total(), bytes) << of.name;
    for (int layers = most - 1; layers >= 1; --layers) {
      const Training training{classes, layers};
      const WorkCounts counts = training_counts(of, training);
      EXPECT_LE(counts.macs, last.macs);
      EXPECT_LT(counts.weights, last.weights);
      EXPECT_LT(counts.kernels, last.kernels);
      const double now = training_footprint(of, Precision::kFp16, 8, training).total();
      EXPECT_LE(now, bytes) << of.name << " " << layers;
      last = counts;
      bytes = now;
    }
    // The head alone is little more than a forward pass.
    EXPECT_LT(last.macs, 1.01 * of.macs()) << of.name;
  }
}

TEST(Work, HalfPrecisionHoldsHalf) {
  for (const Network& of : networks()) {
    EXPECT_DOUBLE_EQ(2.0 * inference_footprint(of, Precision::kFp16, 4).total(), inference_footprint(of, Precision::kFp32, 4).total());
    EXPECT_DOUBLE_EQ(2.0 * training_footprint(of, Precision::kFp16, 4, {}).total(),
                     training_footprint(of, Precision::kFp32, 4, {}).total());
  }
}

}  // namespace
}  // namespace polythrottle::simulation
