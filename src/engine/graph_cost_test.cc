// Operator by operator: shapes, arithmetic, traffic; and files that are no models.

#include "engine/graph_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "engine/graph/model_builder.h"

namespace polythrottle {
namespace {

using graph::Dim;
using graph::GraphBuilder;
using graph::Ints;
using graph::Message;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Result<GraphCost> count(const GraphBuilder& model, const GraphCostOptions& options = {}, int opset = 17) {
  return count_graph_bytes(model.model(opset), "net.onnx", options);
}

/// One operator on inputs of these shapes ("w" in front of the type: as weights), and what it costs.
struct Case {
  const char* what;
  std::string type, domain;
  std::vector<std::pair<char, Ints>> operands;  ///< 'x' data, 'w' weight, 'i' whole numbers given as content
  std::vector<graph::Attr> attributes;
  Ints output;
  double macs;
};

TEST(GraphCost, CountsOperators) {
  const std::string ms = "com.microsoft";
  const std::int64_t one = 1;
  const Case cases[] = {
      {"valid convolution", "Conv", "", {{'x', {2, 3, 9, 9}}, {'w', {4, 3, 3, 3}}}, {}, {2, 4, 7, 7}, 2 * 4 * 49 * 27.0},
      {"stride and pads",
       "Conv",
       "",
       {{'x', {1, 3, 9, 9}}, {'w', {4, 3, 3, 3}}},
       {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
       {1, 4, 5, 5},
       4 * 25 * 27.0},
      {"dilation", "Conv", "", {{'x', {1, 1, 9, 9}}, {'w', {1, 1, 3, 3}}}, {{"dilations", Ints{2, 2}}}, {1, 1, 5, 5}, 25 * 9.0},
      {"groups",
       "Conv",
       "",
       {{'x', {1, 8, 4, 4}}, {'w', {8, 1, 3, 3}}},
       {{"group", std::int64_t{8}}, {"pads", Ints{1, 1, 1, 1}}},
       {1, 8, 4, 4},
       8 * 16 * 9.0},
      {"one axis", "Conv", "", {{'x', {1, 2, 10}}, {'w', {3, 2, 3}}}, {}, {1, 3, 8}, 3 * 8 * 6.0},
      {"same upper",
       "Conv",
       "",
       {{'x', {1, 1, 7, 7}}, {'w', {1, 1, 3, 3}}},
       {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}},
       {1, 1, 4, 4},
       16 * 9.0},
      {"transposed",
       "ConvTranspose",
       "",
       {{'x', {1, 8, 5, 5}}, {'w', {8, 4, 2, 2}}},
       {{"strides", Ints{2, 2}}},
       {1, 4, 10, 10},
       8 * 25 * 4 * 4.0},
      {"fused", "FusedConv", ms, {{'x', {1, 3, 5, 5}}, {'w', {2, 3, 1, 1}}}, {}, {1, 2, 5, 5}, 150.0},
      {"integers", "ConvInteger", "", {{'x', {1, 3, 5, 5}}, {'w', {2, 3, 1, 1}}}, {}, {1, 2, 5, 5}, 150.0},
      {"quantized",
       "QLinearConv",
       "",
       {{'x', {1, 3, 5, 5}}, {'w', {}}, {'w', {}}, {'w', {2, 3, 1, 1}}, {'w', {}}, {'w', {}}, {'w', {}}, {'w', {}}},
       {},
       {1, 2, 5, 5},
       150.0},
      {"matrix", "MatMul", "", {{'x', {5, 7}}, {'w', {7, 3}}}, {}, {5, 3}, 105.0},
      {"batched, broadcast", "MatMul", "", {{'x', {4, 1, 5, 7}}, {'x', {6, 7, 3}}}, {}, {4, 6, 5, 3}, 24 * 105.0},
      {"vector", "MatMul", "", {{'x', {7}}, {'w', {7, 3}}}, {}, {3}, 21.0},
      {"transposed operands", "Gemm", "", {{'x', {7, 5}}, {'w', {3, 7}}}, {{"transA", one}, {"transB", one}}, {5, 3}, 105.0},
      {"fused matrix", "FusedMatMul", ms, {{'x', {2, 5, 7}}, {'x', {2, 3, 7}}}, {{"transB", one}}, {2, 5, 3}, 210.0},
      {"integer matrix", "MatMulInteger", "", {{'x', {5, 7}}, {'w', {7, 3}}}, {}, {5, 3}, 105.0},
      {"einsum product",
       "Einsum",
       "",
       {{'x', {2, 5, 7}}, {'x', {2, 3, 7}}},
       {{"equation", std::string("bik, bjk -> bij")}},
       {2, 5, 3},
       210.0},
      {"attention",
       "Attention",
       ms,
       {{'x', {2, 10, 8}}, {'w', {8, 24}}, {'w', {24}}},
       {{"num_heads", std::int64_t{2}}},
       {2, 10, 8},
       2 * (10 * 8 * 24 + 2 * 100 * 8.0)},
      {"heads",
       "MultiHeadAttention",
       ms,
       {{'x', {2, 10, 8}}, {'x', {2, 12, 8}}, {'x', {2, 12, 8}}},
       {{"num_heads", std::int64_t{2}}},
       {2, 10, 8},
       2 * 10 * 12 * 16.0},
      {"skip norm", "SkipLayerNormalization", ms, {{'x', {2, 10, 8}}, {'x', {2, 10, 8}}, {'w', {8}}}, {}, {2, 10, 8}, 0.0},
      {"pool",
       "MaxPool",
       "",
       {{'x', {1, 2, 7, 7}}},
       {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", one}},
       {1, 2, 3, 3},
       0.0},
      {"pool all", "GlobalAveragePool", "", {{'x', {1, 2, 7, 7}}}, {}, {1, 2, 1, 1}, 0.0},
      {"reduce", "ReduceMean", "", {{'x', {2, 3, 4}}}, {{"axes", Ints{-1}}, {"keepdims", std::int64_t{0}}}, {2, 3}, 0.0},
      {"reduce, axes as an input", "ReduceMean", "", {{'x', {2, 3, 4}}, {'i', {1, 2}}}, {}, {2, 1, 1}, 0.0},
      {"resize",
       "Resize",
       "",
       {{'x', {1, 2, 4, 4}}, {'-', {}}, {'-', {}}, {'i', {1, 2, 8, 6}}},
       {{"mode", std::string("linear")}},
       {1, 2, 8, 6},
       0.0},
      {"slice backwards", "Slice", "", {{'x', {10, 3}}, {'i', {-1}}, {'i', {-100}}, {'i', {0}}, {'i', {-3}}}, {}, {4, 3}, 0.0},
      {"expand", "Expand", "", {{'x', {3, 1}}, {'i', {2, 1, 5}}}, {}, {2, 3, 5}, 0.0},
      {"pad", "Pad", "", {{'x', {3, 4}}, {'i', {0, 1, 2, 1}}}, {}, {5, 6}, 0.0},
      {"depth to space", "DepthToSpace", "", {{'x', {1, 8, 2, 3}}}, {{"blocksize", std::int64_t{2}}}, {1, 2, 4, 6}, 0.0},
      {"best", "TopK", "", {{'x', {2, 9}}, {'i', {3}}}, {}, {2, 3}, 0.0},
      {"softmax", "Softmax", "", {{'x', {2, 9}}}, {}, {2, 9}, 0.0},
  };
  for (const auto& c : cases) {
    GraphBuilder net;
    std::vector<std::string> operands;
    for (const auto& [kind, numbers] : c.operands) {
      std::vector<Dim> dims(numbers.begin(), numbers.end());
      const std::string name = "in" + std::to_string(operands.size());
      operands.push_back(kind == 'x' ? net.input(name, dims) : kind == 'w' ? net.weight(numbers) : kind == 'i' ? net.ints(numbers) : "");
    }
    net.output(net.node(c.type, operands, c.attributes, c.domain));
    const auto cost = count(net);
    ASSERT_TRUE(cost.has_value()) << c.what << ": " << cost.error().text();
    ASSERT_THAT(cost->kernels, SizeIs(1)) << c.what;
    EXPECT_EQ(cost->kernels[0].output, c.output) << c.what;
    EXPECT_EQ(cost->macs(), c.macs) << c.what;
    EXPECT_THAT(cost->not_counted, IsEmpty()) << c.what;
    EXPECT_GE(cost->flops(), 2.0 * c.macs) << c.what;
  }
}

TEST(GraphCost, RecurrentLayersSumOverTimeAndDirections) {
  GraphBuilder net;
  const auto x = net.input("x", {Dim(11), Dim("batch"), Dim(6)});
  net.output(net.node("LSTM", {x, net.weight({2, 32, 6}), net.weight({2, 32, 8}), net.weight({2, 64})},
                      {{"hidden_size", std::int64_t{8}}, {"direction", std::string("bidirectional")}}, "", 3));
  const auto cost = count(net, {.dimensions = {{"batch", 3}}, .batch = {}});
  ASSERT_TRUE(cost.has_value()) << cost.error().text();
  EXPECT_EQ(cost->macs(), 11.0 * 3 * 2 * (32 * 6 + 32 * 8));
  EXPECT_THAT(cost->kernels[0].output, ElementsAre(11, 2, 3, 8));
  EXPECT_EQ(cost->kernels[0].outputs.elements, 11.0 * 2 * 3 * 8) << "states that nobody reads are not written";
}

TEST(GraphCost, EquationOneOfThePaperForOneConvolution) {
  GraphBuilder net;
  const auto x = net.input("x", {Dim("batch"), Dim(16), Dim(20), Dim(20)});
  net.output(net.node("Conv", {x, net.weight({32, 16, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}}));
  const double n = 4, k = 32, pq = 400, c = 16, rs = 9, hw = 400;
  const auto cost = count(net, {.dimensions = {}, .batch = 4}).value();
  EXPECT_DOUBLE_EQ(cost.intensity(), n * k * pq * c * rs / (n * c * hw + k * c * rs + n * k * pq));
}

TEST(GraphCost, ElementwiseOperatorsGoWithTheKernelBeforeThem) {
  GraphBuilder net;
  const auto x = net.input("x", {Dim(1), Dim(8), Dim(4), Dim(4)});
  const auto first = net.node("Conv", {x, net.weight({8, 8, 1, 1})});
  const auto swish = net.node("Mul", {first, net.node("Sigmoid", {first})});
  const auto second = net.node("Conv", {swish, net.weight({8, 8, 1, 1})});
  net.output(net.node("Relu", {net.node("Add", {second, swish})}));
  const auto cost = count(net).value();
  ASSERT_THAT(cost.kernels, SizeIs(2));
  EXPECT_EQ(cost.kernels[0].operators, "Conv + Sigmoid + Mul");
  EXPECT_EQ(cost.kernels[1].operators, "Conv + Add + Relu");
  for (const auto& kernel : cost.kernels) {
    EXPECT_EQ(kernel.inputs.elements, 128.0) << "the tensor that is added is the convolution's own input";
    EXPECT_EQ(kernel.outputs.elements, 128.0);
  }
}

TEST(GraphCost, NoKernelWaitsForALaterOne) {
  // sigmoid(a) could go with a, but its product with b = conv(a) cannot.
  GraphBuilder net;
  const auto x = net.input("x", {Dim(1), Dim(8), Dim(4), Dim(4)});
  const auto a = net.node("Conv", {x, net.weight({8, 8, 1, 1})});
  const auto b = net.node("Conv", {a, net.weight({8, 8, 1, 1})});
  const auto gate = net.node("Sigmoid", {a});
  net.output(net.node("Mul", {gate, b}));
  const auto cost = count(net).value();
  ASSERT_THAT(cost.kernels, SizeIs(2));
  EXPECT_EQ(cost.kernels[0].operators, "Conv + Sigmoid");
  EXPECT_EQ(cost.kernels[0].outputs.elements, 256.0);
  EXPECT_EQ(cost.kernels[1].operators, "Conv + Mul");
}

TEST(GraphCost, TablesAreReadByTheRow) {
  GraphBuilder net;
  const auto ids = net.input("ids", {Dim("batch"), Dim(5)}, graph::kInt64);
  net.output(net.node("Gather", {net.weight({30000, 64}), ids}));
  const auto cost = count(net).value();
  EXPECT_EQ(cost.weights().elements, 0.0);
  EXPECT_EQ(cost.kernels[0].inputs.elements, 5.0 * 64 + 5);
  EXPECT_EQ(cost.kernels[0].inputs.bytes, 5.0 * 64 * 4 + 5 * 8);
}

TEST(GraphCost, ViewsMoveNothingAndConstantsAreMadeBefore) {
  GraphBuilder net;
  const auto x = net.input("x", {Dim(2), Dim(3), Dim(4)});
  const auto weights = net.node("Transpose", {net.weight({5, 12})});
  const auto flat = net.node("Reshape", {net.node("Identity", {x}), net.ints({0, -1})});
  net.output(net.node("MatMul", {flat, weights}));
  const auto cost = count(net).value();
  ASSERT_THAT(cost.kernels, SizeIs(1));
  EXPECT_EQ(cost.weights().elements, 60.0);
  EXPECT_EQ(cost.kernels[0].inputs.elements, 24.0);
}

TEST(GraphCost, FollowsTheShapesExportersCompute) {
  // Pads as PyTorch writes them: pairs from the last axis on, turned around as a matrix.
  GraphBuilder net;
  const auto x = net.input("x", {Dim("batch"), Dim(3), Dim(5), Dim(7)});
  const auto pairs = net.node("Reshape", {net.ints({1, 2, 3, 4, 0, 0, 0, 0}), net.ints({-1, 2})});
  const auto turned = net.node("Slice", {pairs, net.ints({-1}), net.ints({-1000}), net.ints({0}), net.ints({-1})});
  const auto pads = net.node("Reshape", {net.node("Transpose", {turned}, {{"perm", Ints{1, 0}}}), net.ints({-1})});
  const auto padded = net.node("Pad", {x, pads});
  const auto shape = net.node("Shape", {padded});
  const auto tall = net.node("Gather", {shape, net.ints({2}, true)});
  const auto half = net.node("Div", {tall, net.ints({2}, true)});
  const auto rest = net.node("Sub", {tall, half});
  const auto list = net.node("Concat", {net.node("Unsqueeze", {half, net.ints({0})}), net.node("Unsqueeze", {rest, net.ints({0})})},
                             {{"axis", std::int64_t{0}}});
  net.output(net.node("Split", {padded, list}, {{"axis", std::int64_t{2}}}, "", 2));
  const auto cost = count(net);
  ASSERT_TRUE(cost.has_value()) << cost.error().text();
  EXPECT_THAT(cost->not_counted, IsEmpty());
  ASSERT_THAT(cost->kernels, SizeIs(2)) << "arithmetic on sizes is no kernel";
  EXPECT_THAT(cost->kernels[0].output, ElementsAre(1, 3, 12, 10));  // 5 + 3 + 4 tall, 7 + 1 + 2 wide
  EXPECT_THAT(cost->kernels[1].output, ElementsAre(1, 3, 6, 10));
}

TEST(GraphCost, QuantizedWeightsKeepTheirWidth) {
  GraphBuilder net;
  const auto x = net.input("x", {Dim(1), Dim(64)});
  const auto weights = net.node("DequantizeLinear", {net.weight({64, 32}, graph::kInt8), net.weight({})});
  net.output(net.node("MatMul", {x, weights}));
  const auto cost = count(net).value();
  EXPECT_EQ(cost.weights().elements, 2048.0);
  EXPECT_EQ(cost.weights().bytes, 2048.0);
}

TEST(GraphCost, BranchesAndLoopsAreSaid) {
  GraphBuilder small, large, net;
  const auto x = net.input("x", {Dim(4), Dim(4)});
  const auto flag = net.input("flag", {}, graph::kBool);
  small.output(small.node("Relu", {x}));
  large.output(large.node("MatMul", {x, large.weight({4, 4})}));
  net.output(net.node("Relu", {net.node("If", {flag}, {{"then_branch", small.graph()}, {"else_branch", large.graph()}})}));
  const auto cost = count(net).value();
  EXPECT_EQ(cost.macs(), 64.0);
  EXPECT_THAT(cost.notes, ElementsAre(HasSubstr("If: the branch with more")));
  EXPECT_THAT(cost.not_counted, IsEmpty());

  GraphBuilder body, looped;
  const auto start = looped.input("start", {Dim(4), Dim(4)});
  body.input("round", {}, graph::kInt64);
  const auto go = body.input("go", {}, graph::kBool);
  const auto state = body.input("state", {Dim(4), Dim(4)});
  const auto next = body.node("MatMul", {state, body.weight({4, 4})});
  body.output(body.node("Identity", {go}));
  body.output(next);
  looped.output(
      looped.node("MatMul", {looped.node("Loop", {looped.ints({10}, true), "", start}, {{"body", body.graph()}}), looped.weight({4, 2})}));
  const auto loop = count(looped);
  ASSERT_TRUE(loop.has_value()) << loop.error().text();
  EXPECT_EQ(loop->macs(), 64.0 + 32.0);
  EXPECT_THAT(loop->notes, ElementsAre("Loop: its body is counted once"));
}

TEST(GraphCost, WhatIsNotCountedIsListed) {
  GraphBuilder net;
  const auto x = net.input("x", {Dim(4), Dim(4)});
  const auto odd = net.node("Odd", {net.node("Odd", {x}, {}, "org.example")}, {}, "org.example");
  const auto product = net.node("MatMul", {odd, net.weight({4, 4})});
  net.output(net.node("Relu", {product}));
  const auto cost = count(net).value();
  ASSERT_THAT(cost.not_counted, SizeIs(3));
  EXPECT_EQ(cost.not_counted[0].type, "org.example.Odd");
  EXPECT_EQ(cost.not_counted[0].nodes, 2u);
  EXPECT_EQ(cost.not_counted[0].why, "not known");
  EXPECT_EQ(cost.not_counted[1].type, "MatMul");
  EXPECT_THAT(cost.not_counted[1].why, HasSubstr("behind"));
  EXPECT_EQ(cost.macs(), 0.0);

  net.declared(odd, {Dim(4), Dim(4)});  // as shape inference tools write it into the file
  EXPECT_EQ(count(net).value().macs(), 64.0);
  EXPECT_THAT(count(net).value().not_counted, SizeIs(1));
}

/// Declared sizes do not make up for arithmetic that cannot be told.
TEST(GraphCost, FormsThatAreNotKnownAreListed) {
  for (const int form : {0, 1, 2}) {
    GraphBuilder net;
    const auto x = net.input("x", {Dim(2), Dim(3), Dim(4)});
    const auto sizes = net.input("sizes", {Dim(3)}, graph::kInt64);
    const auto odd = form == 0   ? net.node("MultiHeadAttention", {x}, {{"num_heads", std::int64_t{2}}}, "com.microsoft")
                     : form == 1 ? net.node("Einsum", {x, x}, {{"equation", std::string("...ij,...kj->...ik")}})
                                 : net.node("Resize", {x, "", "", sizes}, {{"mode", std::string("linear")}});
    net.declared(odd, {Dim(2), Dim(3), Dim(4), Dim(5), Dim(6)});
    net.output(net.node("Relu", {odd}));
    const auto cost = count(net);
    ASSERT_TRUE(cost.has_value()) << cost.error().text();
    ASSERT_THAT(cost->not_counted, SizeIs(1));
    EXPECT_THAT(cost->not_counted[0].why, HasSubstr("this form of it"));
    EXPECT_THAT(cost->kernels, SizeIs(1)) << "what is behind it is counted";
  }
}

TEST(GraphCost, OutputsMayBeLeftOut) {
  // An Expand whose size is not known and whose output has no name.
  const auto node = Message().text(1, "x").text(1, "sizes").text(2, "").text(4, "Expand");
  GraphBuilder net;
  net.input("x", {Dim(4)});
  net.input("sizes", {Dim(1)}, graph::kInt64);
  Message graph = net.graph();
  const auto cost = count_graph_bytes(Message().message(7, graph.message(1, node)).bytes(), "net.onnx", {});
  ASSERT_TRUE(cost.has_value()) << cost.error().text();
  EXPECT_THAT(cost->not_counted, SizeIs(1));
}

TEST(GraphCost, FreeAxesAreNamed) {
  GraphBuilder net;
  const auto x = net.input("ids", {Dim("batch"), Dim("sequence"), Dim("")});
  net.output(net.node("Relu", {x}));
  const auto none = count(net);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, Errc::kInvalid);
  EXPECT_EQ(none.error().text(), "net.onnx: free axes sequence, ids[2] without a value; add --dim 'sequence=SIZE' --dim 'ids[2]=SIZE'");
  const auto cost = count(net, {.dimensions = {{"sequence", 7}, {"ids[2]", 2}}, .batch = 3}).value();
  EXPECT_THAT(cost.kernels[0].output, ElementsAre(3, 7, 2));
  EXPECT_THAT(count(net, {.dimensions = {{"tokens", 7}}, .batch = {}}).error().text(),
              HasSubstr("no input has a free axis tokens; free: batch, ids[0]"));
  EXPECT_EQ(count(net, {.dimensions = {{"sequence", -1}}, .batch = {}}).error().code, Errc::kInvalid);
  EXPECT_EQ(count(net, {.dimensions = {{"sequence", 7}, {"ids[2]", 2}}, .batch = 0}).error().code, Errc::kInvalid);
  const auto fixed = count(net, {.dimensions = {{"sequence", 7}, {"ids[2]", 2}, {"batch", 5}}, .batch = 4});
  EXPECT_THAT(fixed.error().what, HasSubstr("batch 4 of a model whose batch is fixed at 5"));
}

TEST(GraphCost, RefusesWhatDoesNotFit) {
  const auto refuses = [](const std::string& type, const Ints& a, const Ints& b, const std::string& words,
                          std::vector<graph::Attr> attributes = {}) {
    GraphBuilder net;
    std::vector<Dim> dims(a.begin(), a.end());
    const auto x = net.input("x", dims);
    net.output(net.node(type, {x, net.weight(b)}, attributes));
    const auto cost = count(net);
    ASSERT_FALSE(cost.has_value()) << type;
    EXPECT_EQ(cost.error().code, Errc::kCorrupt) << type;
    EXPECT_THAT(cost.error().what, HasSubstr(words)) << type;
    EXPECT_THAT(cost.error().what, HasSubstr(type + " '" + type)) << type;
  };
  refuses("MatMul", {4, 5}, {4, 5}, "a product of [4,5] and [4,5]");
  refuses("Conv", {1, 3, 4, 4}, {8, 4, 1, 1}, "channels");
  refuses("Conv", {1, 3, 4, 4}, {8, 3, 9, 9}, "window is larger");
  refuses("Conv", {1, 3, 4, 4}, {8, 3, 1, 1}, "stride", {{"strides", Ints{0, 1}}});
  refuses("Conv", {1, 3, 4, 4}, {8, 3, 1, 1}, "groups", {{"group", std::int64_t{0}}});
  refuses("Add", {4, 5}, {3, 5}, "cannot be broadcast");
  refuses("Concat", {4, 5}, {3, 6}, "do not fit", {{"axis", std::int64_t{0}}});
  refuses("Gather", {4, 5}, {3}, "axis", {{"axis", std::int64_t{7}}});

  GraphBuilder cycle;
  cycle.input("x", {Dim(4)});
  cycle.output(cycle.node("Add", {"x", "Add0"}));
  EXPECT_THAT(count(cycle).error().text(), HasSubstr("Add 'Add0': it reads 'Add0', which nothing before it makes"));
  GraphBuilder negative;
  negative.input("x", {Dim(4), Dim(-7)});
  negative.node("Relu", {"x"});
  EXPECT_THAT(count(negative).error().text(), HasSubstr("a size of -7"));
  GraphBuilder weight;
  weight.node("Relu", {weight.weight({-3})});
  EXPECT_EQ(count(weight).error().code, Errc::kCorrupt);
}

TEST(GraphCost, AbsurdSizesStayNumbers) {
  GraphBuilder net;
  const std::int64_t huge = std::int64_t{1} << 62;
  const auto x = net.input("x", {Dim(huge), Dim(huge), Dim(huge), Dim(3)});
  net.output(net.node("MatMul", {x, net.weight({3, 1000})}));
  const auto cost = count(net).value();
  EXPECT_GT(cost.macs(), 1e59);
  EXPECT_TRUE(std::isfinite(cost.intensity()));
}

/// A file that ends anywhere is refused or, where it ends between two parts, counted; never more.
TEST(GraphCost, EveryTruncationIsAnswered) {
  GraphBuilder net;
  const auto x = net.input("x", {Dim("batch"), Dim(3), Dim(8), Dim(8)});
  net.output(net.node("Relu", {net.node("Conv", {x, net.weight({4, 3, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}})}));
  const std::string whole = net.model();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto cost = count_graph_bytes(std::string_view(whole).substr(0, size), "net.onnx", {});
    ASSERT_FALSE(cost.has_value()) << size;
    EXPECT_EQ(cost.error().code, Errc::kCorrupt) << size;
  }
  EXPECT_TRUE(count_graph_bytes(whole, "net.onnx", {}).has_value());
}

TEST(GraphCost, NestingIsBounded) {
  GraphBuilder inner;
  inner.output(inner.node("Relu", {"x"}));
  Message graph = inner.graph();
  for (int depth = 0; depth < 200; ++depth) {
    GraphBuilder outer;
    outer.output(outer.node("If", {"x"}, {{"then_branch", graph}, {"else_branch", inner.graph()}}));
    graph = outer.graph();
  }
  const auto cost = count_graph_bytes(Message().message(7, graph).bytes(), "net.onnx", {});
  ASSERT_FALSE(cost.has_value());
  EXPECT_THAT(cost.error().what, HasSubstr("nested deeper than 16"));
}

TEST(GraphCost, ReadsAFileWithoutItsWeights) {
  const std::string path = testing::TempDir() + "graph_cost_test.onnx";
  GraphBuilder net;
  const auto x = net.input("x", {Dim("batch"), Dim(256)});
  net.output(net.node("MatMul", {x, "w"}));
  // 256 x 64 weights as raw data, longer than what is kept, and as external data in a file that is not there.
  const auto tensor = [](const char* name) { return Message().number(1, 256).number(1, 64).number(2, graph::kFloat).text(8, name); };
  Message raw = net.graph(), external = net.graph();
  raw.message(5, tensor("w").text(9, std::string(256 * 64 * 4, 'x')));
  external.message(5, tensor("w").number(14, 1).message(13, Message().text(1, "location").text(2, "/nonexistent/weights.bin")));
  for (const auto& graph : {raw, external}) {
    const std::string bytes = Message().number(1, 8).message(7, graph).bytes();
    std::ofstream(path, std::ios::binary) << bytes;
    const auto cost = count_graph(path, {});
    ASSERT_TRUE(cost.has_value()) << cost.error().text();
    EXPECT_EQ(cost->macs(), 256.0 * 64);
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(bytes.size() - 3)), 0);
    EXPECT_EQ(count_graph(path, {}).error().code, Errc::kCorrupt) << "the end of the last message is missing";
  }
  // Sparse: nothing of it is on the disk.
  ASSERT_EQ(truncate(path.c_str(), off_t{3} << 30), 0);
  EXPECT_EQ(count_graph(path, {}).error().code, Errc::kUnsupported);
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  EXPECT_THAT(count_graph(path, {}).error().what, HasSubstr("the file is empty"));
  std::remove(path.c_str());
  EXPECT_EQ(count_graph(path, {}).error().code, Errc::kNotFound);
  EXPECT_EQ(count_graph(testing::TempDir(), {}).error().code, Errc::kIo);
}

}  // namespace
}  // namespace polythrottle
