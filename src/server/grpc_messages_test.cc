// What stands in a message, without a connection.
#if POLYTHROTTLE_HAVE_GRPC

#include "server/grpc_messages.h"

#include <gmock/gmock.h>

#include <cstring>

#include "open_inference.pb.h"
#include "server/grpc_fake_service.h"

namespace polythrottle::server {
namespace {

using testing::HasSubstr;
using Message = inference::ModelInferRequest;

ModelInfo one(const std::string& type) {
  ModelInfo model;
  model.inputs.push_back({"x", type, {-1, 2}, {"batch", ""}});
  model.outputs.push_back({"y", type, {-1, 2}, {"batch", ""}});
  return model;
}
std::shared_ptr<Message> asking(const std::string& datatype, std::initializer_list<std::int64_t> shape = {1, 2}) {
  auto message = std::make_shared<Message>();
  auto& input = *message->add_inputs();
  input.set_name("x");
  input.set_datatype(datatype);
  for (const auto extent : shape) input.add_shape(extent);
  return message;
}
std::string refused(const std::shared_ptr<Message>& message, const ModelInfo& model, Refusal refusal = Refusal::kInvalid) {
  const auto request = read_request(message, model);
  if (request) return "accepted";
  EXPECT_EQ(request.error().refusal, refusal) << request.error().error.text();
  return request.error().error.text();
}
template <class T>
std::vector<T> elements(const Tensor& tensor) {
  std::vector<T> values(tensor.bytes.view.size() / sizeof(T));
  std::memcpy(values.data(), tensor.bytes.view.data(), values.size() * sizeof(T));
  return values;
}

TEST(GrpcRequest, RawContentsStayWhereTheyAreAndOutliveTheCall) {
  auto message = asking("FP32");
  message->add_raw_input_contents(std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  const void* const where = message->raw_input_contents(0).data();
  const auto model = one("float32");
  auto request = read_request(message, model);
  ASSERT_TRUE(request);
  message.reset();
  EXPECT_EQ(request->inputs[0].bytes.view.data(), where);
  EXPECT_THAT(elements<float>(request->inputs[0]), testing::ElementsAre(1.0F, 2.0F));
}

TEST(GrpcRequest, TypedContentsOfEveryTypeAreNarrowedToIt) {
  const auto read = [](const std::string& type, const std::string& datatype, auto fill) {
    auto message = asking(datatype);
    fill(*message->mutable_inputs(0)->mutable_contents());
    const auto model = one(type);
    auto request = read_request(message, model);
    EXPECT_TRUE(request) << type << ": " << request.error().error.text();
    return request ? request->inputs[0] : Tensor{};
  };
  const auto ints = [](auto& contents) { contents.add_int_contents(-1), contents.add_int_contents(127); };
  EXPECT_THAT(elements<std::int8_t>(read("int8", "INT8", ints)), testing::ElementsAre(-1, 127));
  EXPECT_THAT(elements<std::int16_t>(read("int16", "INT16", ints)), testing::ElementsAre(-1, 127));
  EXPECT_THAT(elements<std::int32_t>(read("int32", "INT32", ints)), testing::ElementsAre(-1, 127));
  const auto uints = [](auto& contents) { contents.add_uint_contents(0), contents.add_uint_contents(255); };
  EXPECT_THAT(elements<std::uint8_t>(read("uint8", "UINT8", uints)), testing::ElementsAre(0, 255));
  EXPECT_THAT(elements<std::uint16_t>(read("uint16", "UINT16", uints)), testing::ElementsAre(0, 255));
  EXPECT_THAT(elements<std::uint32_t>(read("uint32", "UINT32", uints)), testing::ElementsAre(0, 255));
  EXPECT_THAT(elements<std::int64_t>(read("int64", "INT64", [](auto& c) { c.add_int64_contents(INT64_MIN), c.add_int64_contents(3); })),
              testing::ElementsAre(INT64_MIN, 3));
  EXPECT_THAT(
      elements<std::uint64_t>(read("uint64", "UINT64", [](auto& c) { c.add_uint64_contents(UINT64_MAX), c.add_uint64_contents(3); })),
      testing::ElementsAre(UINT64_MAX, 3));
  EXPECT_THAT(elements<float>(read("float32", "FP32", [](auto& c) { c.add_fp32_contents(0.5F), c.add_fp32_contents(-2.0F); })),
              testing::ElementsAre(0.5F, -2.0F));
  EXPECT_THAT(elements<double>(read("float64", "FP64", [](auto& c) { c.add_fp64_contents(0.5), c.add_fp64_contents(-2.0); })),
              testing::ElementsAre(0.5, -2.0));
  EXPECT_THAT(elements<char>(read("bool", "BOOL", [](auto& c) { c.add_bool_contents(true), c.add_bool_contents(false); })),
              testing::ElementsAre(1, 0));
  EXPECT_THAT(elements<char>(read("string", "BYTES", [](auto& c) { c.add_bytes_contents("ab"), c.add_bytes_contents(""); })),
              testing::ElementsAre(2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0));
}

TEST(GrpcRequest, NumbersThatATypeCannotHoldAreRefused) {
  auto message = asking("INT8");
  message->mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  message->mutable_inputs(0)->mutable_contents()->add_int_contents(-129);
  EXPECT_THAT(refused(message, one("int8")), HasSubstr("input 'x': element 1 is -129, which INT8 cannot hold"));
}

TEST(GrpcRequest, ContentsAreOfTheirTypeAndNumber) {
  auto message = asking("FP32");
  auto& contents = *message->mutable_inputs(0)->mutable_contents();
  EXPECT_THAT(refused(message, one("float32")), HasSubstr("expected 2 elements for FP32 [1,2], got 0 in fp32_contents"));
  contents.add_fp64_contents(1.0);
  contents.add_fp64_contents(1.0);
  EXPECT_THAT(refused(message, one("float32")), HasSubstr("got 0 in fp32_contents"));
  contents.add_fp32_contents(1.0F);
  contents.add_fp32_contents(1.0F);
  EXPECT_THAT(refused(message, one("float32")), HasSubstr("expected FP32 in fp32_contents, got fp64_contents"));
  contents.clear_fp64_contents();
  EXPECT_EQ(refused(message, one("float32")), "accepted");
  message->add_raw_input_contents(std::string(8, '\0'));
  EXPECT_THAT(refused(message, one("float32")), HasSubstr("has contents beside raw_input_contents"));
  EXPECT_THAT(refused(asking("FP16"), one("float16")), HasSubstr("send it in raw_input_contents"));
}

TEST(GrpcRequest, ShapesAreCheckedBeforeElements) {
  EXPECT_THAT(refused(asking("FP32", {1, 3}), one("float32")), HasSubstr("input 'x': expected FP32 [-1,2], got FP32 [1,3]"));
  EXPECT_THAT(refused(asking("INT64"), one("float32")), HasSubstr("got INT64 [1,2]"));
  EXPECT_THAT(refused(asking("FP33"), one("float32")), HasSubstr("unknown datatype 'FP33'"));
  EXPECT_THAT(refused(asking("FP32", {std::int64_t{1} << 62, 2}), one("float32")), HasSubstr("expected FP32 [-1,2]"));
  auto none = asking("FP32");
  none->clear_inputs();
  EXPECT_THAT(refused(none, one("float32")), HasSubstr("input 'x' is missing"));
  auto more = asking("FP32");
  more->add_raw_input_contents(std::string(8, '\0'));
  more->add_raw_input_contents("");
  EXPECT_THAT(refused(more, one("float32")), HasSubstr("expected 1 raw_input_contents, one for each input, got 2"));
  auto less = asking("FP32");
  less->add_raw_input_contents(std::string(7, '\0'));
  EXPECT_THAT(refused(less, one("float32")), HasSubstr("expected 8 bytes for FP32 [1,2], got 7"));
}

TEST(GrpcRequest, OutputsAreThoseOfTheModelOnceEach) {
  auto message = asking("FP32");
  message->add_raw_input_contents(std::string(8, '\0'));
  message->add_outputs()->set_name("y");
  EXPECT_EQ(refused(message, one("float32")), "accepted");
  message->add_outputs()->set_name("y");
  EXPECT_THAT(refused(message, one("float32")), HasSubstr("output 'y' is asked for twice"));
  message->mutable_outputs(1)->set_name("z");
  EXPECT_THAT(refused(message, one("float32")), HasSubstr("unknown output 'z'; the model gives y"));
}

TEST(GrpcRequest, TimeoutIsInMicrosecondsAndPositive) {
  auto message = asking("FP32");
  message->add_raw_input_contents(std::string(8, '\0'));
  auto& timeout = (*message->mutable_parameters())["timeout"];
  timeout.set_int64_param(1500);
  const auto model = one("float32");
  EXPECT_DOUBLE_EQ(read_request(message, model)->timeout->count(), 0.0015);
  timeout.set_int64_param(0);
  EXPECT_FALSE(read_request(message, model)->timeout);
  timeout.set_int64_param(-1);
  EXPECT_THAT(refused(message, model), HasSubstr("positive number of microseconds"));
  timeout.set_string_param("soon");
  EXPECT_THAT(refused(message, model), HasSubstr("positive number of microseconds"));
}

TEST(GrpcRequest, WhatTheServerHasNotIsSaid) {
  auto message = asking("FP32");
  message->add_raw_input_contents(std::string(8, '\0'));
  auto& parameters = *message->mutable_inputs(0)->mutable_parameters();
  parameters["shared_memory_region"].set_string_param("region");
  EXPECT_THAT(refused(message, one("float32"), Refusal::kUnsupported), HasSubstr("'shared_memory_region' is not supported"));
  parameters.clear();
  (*message->mutable_parameters())["sequence_id"].set_int64_param(0);
  EXPECT_EQ(refused(message, one("float32")), "accepted");
  (*message->mutable_parameters())["sequence_id"].set_int64_param(4);
  EXPECT_THAT(refused(message, one("float32"), Refusal::kUnsupported), HasSubstr("'sequence_id'"));
}

TEST(GrpcRequest, TheLongestMessageOfAModelIsKnown) {
  // An INT8 of -1 takes ten bytes in typed contents: what wire_factor says must hold for the real encoding.
  auto message = asking("INT8", {1, 1000});
  for (int i = 0; i < 1000; ++i) message->mutable_inputs(0)->mutable_contents()->add_int_contents(-1);
  EXPECT_LE(static_cast<double>(message->ByteSizeLong()), 1000 * wire_factor(one("int8")) + 100);
  EXPECT_GT(message->ByteSizeLong(), 10'000U);
  EXPECT_EQ(wire_factor(one("float32")), 1.0);
}

}  // namespace
}  // namespace polythrottle::server

#endif
