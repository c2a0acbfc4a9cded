#include "engine/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <thread>

namespace polythrottle {
namespace {

using testing::HasSubstr;

std::string model_path(const std::string& name) { return POLYTHROTTLE_BINARY_DIR "/tests/models/" + name + ".onnx"; }

Tensor floats(const std::string& name, std::vector<std::int64_t> shape, float value) {
  const auto count = static_cast<std::size_t>(*element_count(shape));
  std::vector<std::byte> bytes(count * sizeof value);
  for (std::size_t i = 0; i < count; ++i) std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
  return {name, DataType::kFloat32, std::move(shape), Bytes::of(std::move(bytes))};
}

float number(const Tensor& tensor, std::size_t index) {
  float value = 0.0f;
  std::memcpy(&value, tensor.bytes.view.data() + index * sizeof value, sizeof value);
  return value;
}

TEST(CheckInputs, NamesWhatWasExpectedAndWhatCame) {
  ModelInfo model;
  model.inputs = {{"a", "float32", {-1, 3}, {}}, {"b", "int64", {-1}, {}}};
  model.outputs = {{"y", "float32", {-1}, {}}};
  const auto why = [&](std::vector<TensorInfo> given) { return check_input_shapes(model, given).error().text(); };
  EXPECT_EQ(check_input_shapes(model, std::vector<TensorInfo>{{"b", "int64", {2}, {}}, {"a", "float32", {2, 3}, {}}}), 2);
  EXPECT_THAT(why({{"a", "int64", {2, 4}, {}}}), HasSubstr("input 'a': expected FP32 [-1,3], got INT64 [2,4]"));
  EXPECT_THAT(why({{"c", "int64", {2}, {}}}), HasSubstr("the model takes a, b"));
  EXPECT_THAT(why({{"a", "float32", {2, 3}, {}}}), HasSubstr("'b' is missing"));
  EXPECT_THAT(why({{"a", "float32", {2, 3}, {}}, {"a", "float32", {2, 3}, {}}}), HasSubstr("twice"));
  EXPECT_THAT(why({{"a", "float32", {2, 3}, {}}, {"b", "int64", {4}, {}}}), HasSubstr("a batch of 2, input 'b' of 4"));
  EXPECT_THAT(why({{"a", "float32", {0, 3}, {}}, {"b", "int64", {0}, {}}}), HasSubstr("a batch of 0"));
  EXPECT_FALSE(check_input_shapes(model, std::vector<TensorInfo>{{"a", "float32", {-1, 3}, {}}, {"b", "int64", {2}, {}}}));
}

class OnnxBackend : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto runtime = onnx_runtime(); !runtime) GTEST_SKIP() << runtime.error().text();
    if (!std::filesystem::exists(model_path("mlp"))) GTEST_SKIP() << "no test models (they need protobuf-compiler and libonnx-dev)";
  }
};

TEST_F(OnnxBackend, ABatchOfSeveralAnswersEachAsAlone) {
  const auto backend = open_onnx_backend(model_path("mlp"), {});
  ASSERT_TRUE(backend) << backend.error().text();
  EXPECT_TRUE(batchable((*backend)->model()));
  const std::vector<Tensor> one{floats("x", {1, 64}, 1.0f)}, two{floats("x", {2, 64}, 2.0f)};
  const std::vector<Slice> slices{{one}, {two}};
  const auto answers = (*backend)->run(slices);
  ASSERT_TRUE(answers) << answers.error().text();
  ASSERT_EQ(answers->size(), 2u);
  const auto& first = (*answers)[0][0];
  const auto& second = (*answers)[1][0];
  EXPECT_EQ(first.shape, (std::vector<std::int64_t>{1, 10}));
  EXPECT_EQ(second.shape, (std::vector<std::int64_t>{2, 10}));
  // 64 x 0.05 = 3.2 a hidden unit, 128 x 3.2 x 0.05 = 20.48 an output; twice that for inputs of 2.
  EXPECT_NEAR(number(first, 9), 20.48f, 1e-3f);
  EXPECT_NEAR(number(second, 0), 40.96f, 1e-3f);
  EXPECT_NEAR(number(second, 19), 40.96f, 1e-3f);
}

TEST_F(OnnxBackend, SeveralThreadsMayRunAtOnce) {
  const auto backend = open_onnx_backend(model_path("mlp"), {});
  ASSERT_TRUE(backend);
  std::vector<std::jthread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([&, t] {
      const std::vector<Tensor> inputs{floats("x", {1, 64}, static_cast<float>(t))};
      const Slice slice{inputs};
      for (int i = 0; i < 20; ++i) {
        const auto answer = (*backend)->run({&slice, 1});
        EXPECT_TRUE(answer && std::abs(number((*answer)[0][0], 0) - 20.48f * static_cast<float>(t)) < 1e-2f);
      }
    });
  }
}

TEST_F(OnnxBackend, AxesOfOtherNamesAreNoBatch) {
  const auto backend = open_onnx_backend(model_path("tokens"), {});  // tokens [batch, sequence], weight [sequence, batch]
  ASSERT_TRUE(backend) << backend.error().text();
  EXPECT_FALSE(batchable((*backend)->model()));
  const auto request = [](std::int64_t length) {
    return std::vector<Tensor>{
        {"tokens", DataType::kInt64, {1, length}, Bytes::of(std::vector<std::byte>(static_cast<std::size_t>(length) * 8))},
        floats("weight", {length, 1}, 1.0f)};
  };
  const auto first = request(3), second = request(5);
  const std::vector<Slice> slices{{first}, {second}};
  const auto answers = (*backend)->run(slices);
  ASSERT_TRUE(answers) << answers.error().text();
  EXPECT_EQ((*answers)[0][0].shape[1], 3);
  EXPECT_EQ((*answers)[1][0].shape[1], 5);
}

TEST_F(OnnxBackend, EveryTypeComesBackAsItWent) {
  const auto backend = open_onnx_backend(model_path("types"), {});
  ASSERT_TRUE(backend) << backend.error().text();
  std::vector<Tensor> inputs;
  for (const auto& info : (*backend)->model().inputs) {
    const auto* type = find_data_type(info.type);
    std::vector<std::int64_t> shape = info.shape;
    for (auto& extent : shape) extent = extent < 0 ? 1 : extent;
    const auto count = static_cast<std::size_t>(*element_count(shape));
    std::vector<std::byte> bytes(count * std::max<std::size_t>(type->size, 6), std::byte{1});
    if (type->size == 0) {
      bytes = {std::byte{2}, {}, {}, {}, std::byte{'h'}, std::byte{'i'}};
    } else {
      bytes.resize(count * type->size);
    }
    inputs.push_back({info.name, type->type, shape, Bytes::of(std::move(bytes))});
  }
  ASSERT_TRUE(check_inputs((*backend)->model(), inputs));
  const Slice slice{inputs};
  const auto answers = (*backend)->run({&slice, 1});
  ASSERT_TRUE(answers) << answers.error().text();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& sent = inputs[i];
    const auto& came = (*answers)[0][i];
    EXPECT_EQ(came.type, sent.type);
    EXPECT_EQ(came.shape, sent.shape);
    if (sent.type == DataType::kBool) continue;  // the graph turns it round
    EXPECT_TRUE(std::equal(came.bytes.view.begin(), came.bytes.view.end(), sent.bytes.view.begin(), sent.bytes.view.end())) << sent.name;
  }
}

TEST_F(OnnxBackend, AFixedBatchIsAWholeRequest) {
  const auto backend = open_onnx_backend(model_path("fixed_batch"), {});
  ASSERT_TRUE(backend) << backend.error().text();
  EXPECT_FALSE(batchable((*backend)->model()));
  EXPECT_TRUE((*backend)->model().fixed_batch);
}

}  // namespace
}  // namespace polythrottle
