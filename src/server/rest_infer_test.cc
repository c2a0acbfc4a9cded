// Requests and answers of inference as bytes, without sockets.
#include "server/rest_infer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "server/fake_service.h"

namespace polythrottle::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

tl::expected<RestInferRequest, Failure> parse(const std::vector<std::string>& types, const std::string& body,
                                              std::optional<std::size_t> json_size = {}) {
  return parse_infer(echo_model(types), std::make_shared<const std::string>(body), json_size);
}
std::string input(const std::string& type, const std::string& data, const std::string& shape = "[1,2]", int number = 0) {
  return R"({"name":"a)" + std::to_string(number) + R"(","shape":)" + shape + R"(,"datatype":")" + type + R"(","data":)" + data + "}";
}
std::string request(const std::string& inputs, const std::string& more = "") { return R"({"inputs":[)" + inputs + "]" + more + "}"; }
/// Of a request with one such input.
std::string complaint(const std::string& type, const std::string& data, const std::string& shape = "[1,2]") {
  const auto parsed = parse({type}, request(input(type, data, shape)));
  return parsed ? "none" : parsed.error().error.text();
}
/// The answer that echoes the inputs.
std::string echoed(const std::vector<std::string>& types, const RestInferRequest& asked) {
  return render_infer(FakeService(echo_model(types)).echo(asked.request), asked)->text;
}
template <class T>
std::vector<T> elements(const Tensor& tensor) {
  std::vector<T> out(tensor.bytes.view.size() / sizeof(T));
  std::memcpy(out.data(), tensor.bytes.view.data(), out.size() * sizeof(T));
  return out;
}

struct TypeCase {
  const char *type, *data;
};
struct InferTypes : testing::TestWithParam<TypeCase> {};
TEST_P(InferTypes, ComeBackAsTheyWent) {
  const auto [type, data] = GetParam();
  const auto parsed = parse({type}, request(input(type, data)));
  ASSERT_TRUE(parsed) << parsed.error().error.text();
  EXPECT_THAT(echoed({type}, *parsed), HasSubstr("\"datatype\":\"" + std::string(type) + "\",\"shape\":[1,2],\"data\":" + data));
}
INSTANTIATE_TEST_SUITE_P(Each, InferTypes,
                         testing::Values(TypeCase{"BOOL", "[true,false]"}, TypeCase{"UINT8", "[0,255]"}, TypeCase{"UINT16", "[0,65535]"},
                                         TypeCase{"UINT32", "[0,4294967295]"}, TypeCase{"UINT64", "[0,18446744073709551615]"},
                                         TypeCase{"INT8", "[-128,127]"}, TypeCase{"INT16", "[-32768,32767]"},
                                         TypeCase{"INT32", "[-2147483648,2147483647]"},
                                         TypeCase{"INT64", "[-9223372036854775808,9223372036854775807]"},
                                         TypeCase{"FP32", "[0.1,-3.4028235e+38]"}, TypeCase{"FP64", "[0.1,1.7976931348623157e+308]"},
                                         TypeCase{"BYTES", R"(["","\"ü\\n"])"}),
                         [](const auto& each) { return std::string(each.param.type); });

TEST(Infer, TakesNestedData) {
  const auto parsed = parse({"INT32"}, request(input("INT32", "[[1,2],[3,4],[5,6]]", "[3,2]")));
  ASSERT_TRUE(parsed);
  EXPECT_THAT(elements<std::int32_t>(parsed->request.inputs[0]), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Infer, TakesMembersInAnyOrderAndInputsInTheModels) {
  const auto parsed = parse({"INT32", "FP64"}, R"({"inputs":[{"data":[1.5,2],"datatype":"FP64","name":"a1","shape":[1,2]},)" +
                                                   input("INT32", "[3,4]") + R"(],"id":"x"})");
  ASSERT_TRUE(parsed) << parsed.error().error.text();
  EXPECT_EQ(parsed->request.id, "x");
  EXPECT_EQ(parsed->request.inputs[0].name, "a0");
  EXPECT_THAT(elements<double>(parsed->request.inputs[1]), ElementsAre(1.5, 2.0));
}

TEST(Infer, EveryFloatReadsBackAsItself) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    std::vector<std::byte> bytes(8);
    std::memcpy(bytes.data(), &value, 4);
    InferResponse response{"fake", "1", "", {{"b0", DataType::kFloat32, {1, 2}, Bytes::of(bytes)}}};
    const std::string text = render_infer(response, {})->text;
    const auto data = nlohmann::json::parse(text)["outputs"][0]["data"].dump();
    const auto parsed = parse({"FP32"}, request(input("FP32", data)));
    ASSERT_TRUE(parsed) << data;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(elements<float>(parsed->request.inputs[0])[0]), std::bit_cast<std::uint32_t>(value)) << data;
  }
}

TEST(Infer, RoundsADecimalToTheNearestFloatOnce) {
  // Half-way between 1 and the next float, and a trifle: the nearest double is half-way itself, and would round to even.
  const auto parsed = parse({"FP32"}, request(input("FP32", "[1.00000005960464477540,1.00000005960464477539]")));
  ASSERT_TRUE(parsed);
  EXPECT_THAT(elements<float>(parsed->request.inputs[0]), ElementsAre(std::nextafter(1.0f, 2.0f), 1.0f));
}

TEST(Infer, SaysWhatElementIsWrong) {
  EXPECT_EQ(complaint("INT8", "[1,128]"), "input 'a0': element 1: expected INT8, got 128");
  EXPECT_EQ(complaint("UINT8", "[-1,2]"), "input 'a0': element 0: expected UINT8, got -1");
  EXPECT_EQ(complaint("INT32", "[1.5,2]"), "input 'a0': element 0: expected INT32, got 1.5");
  EXPECT_EQ(complaint("FP32", "[1,\"2\"]"), "input 'a0': element 1: expected FP32, got a string");
  EXPECT_EQ(complaint("FP32", "[1,1e39]"), "input 'a0': element 1: expected FP32, got 1e39");
  EXPECT_EQ(complaint("BOOL", "[true,1]"), "input 'a0': element 1: expected BOOL, got 1");
  EXPECT_EQ(complaint("BYTES", "[\"x\",null]"), "input 'a0': element 1: expected BYTES, got null");
}

TEST(Infer, SaysHowTheDataDoNotFitTheShape) {
  EXPECT_EQ(complaint("FP32", "[1]"), "input 'a0': expected 2 elements, got 1");
  EXPECT_EQ(complaint("FP32", "[1,2,3]"), "input 'a0': expected 2 elements, got 3");
  EXPECT_EQ(complaint("FP32", "[[1,2],[3],[4,5,6]]", "[3,2]"), "input 'a0': expected 2 on axis 1, got 1");
  EXPECT_EQ(complaint("FP32", "[[1,2,3,4]]", "[2,2]"), "input 'a0': expected 2 on axis 1, got 4");
  for (const char* odd : {"[[1],2]", "[1,[2]]", "[[[1,2]]]", "[[1,2],[]]"}) EXPECT_NE(complaint("FP32", odd), "none") << odd;
}

TEST(Infer, ChecksShapesBeforeItTakesMemory) {
  EXPECT_EQ(complaint("FP32", "[1]", "[1000000000,2]"), "input 'a0': expected 2000000000 elements, got 1");
  EXPECT_EQ(complaint("FP32", "[1,2]", "[1,3]"), "input 'a0': expected FP32 [-1,2], got FP32 [1,3]");
  EXPECT_EQ(parse({"FP32"}, request(input("INT64", "[1,2]"))).error().error.what, "input 'a0': expected FP32 [-1,2], got INT64 [1,2]");
}

TEST(Infer, RefusesHalfPrecisionAsJson) {
  for (const char* type : {"FP16", "BF16"}) {
    const auto asked = parse({type}, request(input(type, "[1,2]"), R"(,"parameters":{"binary_data_output":true})"));
    ASSERT_FALSE(asked);
    EXPECT_EQ(asked.error().refusal, Refusal::kInvalid);
    EXPECT_EQ(asked.error().error.what, "input 'a0': JSON has no form for " + std::string(type));
    EXPECT_THAT(parse({type}, request(input(type, "[1,2]"))).error().error.text(), HasSubstr("output 'b0': JSON has no form for"));
  }
}

struct InferMalformed : testing::TestWithParam<std::pair<const char*, const char*>> {};
TEST_P(InferMalformed, IsNamed) {
  const auto parsed = parse({"FP32"}, GetParam().first);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().refusal, Refusal::kInvalid);
  EXPECT_THAT(parsed.error().error.text(), HasSubstr(GetParam().second)) << GetParam().first;
}
INSTANTIATE_TEST_SUITE_P(
    Each, InferMalformed,
    testing::Values(
        std::pair{"", "malformed JSON at byte 1"}, std::pair{"[]", "the body is no JSON object"},
        std::pair{"7", "the body is no JSON object"}, std::pair{"{", "malformed JSON at byte 2"},
        std::pair{"{}", "'inputs' must be a list"}, std::pair{R"({"inputs":{}})", "'inputs' must be a list"},
        std::pair{R"({"inputs":[]})", "input 'a0' is missing"}, std::pair{R"({"inputs":[7]})", "inputs[0] must be an object"},
        std::pair{R"({"inputs":[{}]})", "inputs[0]: 'name' must be a string"},
        std::pair{R"({"inputs":[{"name":"a0"}]})", "input 'a0': 'datatype' must be a string"},
        std::pair{R"({"inputs":[{"name":"a0","datatype":"FP31"}]})", "unknown datatype 'FP31'; one of BOOL, UINT8"},
        std::pair{R"({"inputs":[{"name":"a0","datatype":"FP32"}]})", "'shape' must be a list"},
        std::pair{R"({"inputs":[{"name":"a0","datatype":"FP32","shape":[-1,2]}]})", "'shape' must be a list"},
        std::pair{R"({"inputs":[{"name":"a0","datatype":"FP32","shape":[1,2]}]})", "neither 'data' nor 'binary_data_size'"},
        std::pair{R"({"inputs":[{"name":"a0","datatype":"FP32","shape":[1,2],"data":5}]})", "'data' must be a list"},
        std::pair{R"({"inputs":[{"name":"a0","datatype":"FP32","shape":[1,2],"data":[1,2],"parameters":{"binary_data_size":8}}]})",
                  "has both"},
        std::pair{R"({"inputs":[{"name":"a0","datatype":"FP32","shape":[1,2],"data":[1,{"data":[2]}]}]})", "an object in the data of an input"},
        std::pair{R"({"inputs":[{"name":"zz","datatype":"FP32","shape":[1,2],"data":[1,2]}]})", "unknown input 'zz'; the model takes a0"},
        std::pair{R"({"inputs":[],"inputs":[]})", "'inputs' stands twice"}, std::pair{R"({"id":7,"inputs":[]})", "'id' must be a string"},
        std::pair{R"({"inputs":[],"outputs":[{"name":"q"}]})", "unknown output 'q'; the model has b0"},
        std::pair{R"({"inputs":[],"outputs":[{"name":"b0"},{"name":"b0"}]})", "asked for twice"},
        std::pair{R"({"inputs":[],"parameters":{"timeout":-1}})", "'timeout' must be"},
        std::pair{R"({"inputs":[],"parameters":7})", "parameters must be an object"},
        std::pair{R"({"a":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]})", "nested too deeply"}));

TEST(Infer, ReadsParameters) {
  const auto parsed = parse({"FP32"}, request(input("FP32", "[1,2]"), R"(,"parameters":{"timeout":1500,"priority":1})"));
  ASSERT_TRUE(parsed);
  EXPECT_DOUBLE_EQ(parsed->request.timeout->count(), 1.5e-3);
  EXPECT_FALSE(parse({"FP32"}, request(input("FP32", "[1,2]"), R"(,"parameters":{"timeout":0})"))->request.timeout);
}

std::string binary_input(const std::string& type, std::size_t size, int number = 0) {
  return R"({"name":"a)" + std::to_string(number) + R"(","shape":[1,2],"datatype":")" + type + R"(","parameters":{"binary_data_size":)" +
         std::to_string(size) + "}}";
}

TEST(InferBinary, TakesTensorsBehindTheJsonAlignedAsTheirElements) {
  for (std::size_t pad = 0; pad < 8; ++pad) {
    const std::string json =
        request(binary_input("FP64", 16) + "," + input("INT32", "[7,8]", "[1,2]", 1) + "," + binary_input("FP16", 4, 2)) +
        std::string(pad, ' ');
    const double values[] = {1.5, -2.5};
    const std::string tail(reinterpret_cast<const char*>(values), 16);
    const auto parsed = parse({"FP64", "INT32", "FP16"}, json + tail + "half", json.size());
    ASSERT_FALSE(parsed);  // FP16 is also an output, and JSON by default
    auto asked = parse({"FP64", "INT32", "FP16"},
                       json.substr(0, json.size() - pad - 1) + R"(,"parameters":{"binary_data_output":true}})" + tail + "half",
                       json.size() - pad + 41);
    ASSERT_TRUE(asked) << asked.error().error.text();
    EXPECT_THAT(elements<double>(asked->request.inputs[0]), ElementsAre(1.5, -2.5));
    EXPECT_THAT(elements<std::int32_t>(asked->request.inputs[1]), ElementsAre(7, 8));
    for (const Tensor& tensor : asked->request.inputs) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes.view.data()) % row_of(tensor.type).size, 0u) << tensor.name;
    }
  }
}

TEST(InferBinary, SaysWhatSizesDoNotFit) {
  const std::string json = request(binary_input("FP32", 8));
  const auto complaint_of = [&](const std::string& body, std::size_t size) { return parse({"FP32"}, body, size).error().error.text(); };
  EXPECT_EQ(complaint_of(json + "1234", json.size()), "input 'a0': expected 8 bytes of binary data, got 4");
  EXPECT_EQ(complaint_of(json + "123456789", json.size()), "1 bytes are left behind the binary data of the inputs");
  EXPECT_THAT(complaint_of(json, json.size() + 1), HasSubstr("Inference-Header-Content-Length is"));
  const std::string short_json = request(binary_input("FP32", 4));
  EXPECT_EQ(complaint_of(short_json + "1234", short_json.size()), "tensor 'a0': expected 8 bytes for FP32 [1,2], got 4");
  const std::string strings = request(binary_input("BYTES", 9));
  EXPECT_FALSE(parse({"BYTES"}, strings + std::string("\xff\xff\xff\xff", 4) + "12345", strings.size()));
}

TEST(InferBinary, AnswersAsEachOutputWasAskedFor) {
  const std::vector<std::string> types{"INT32", "INT32"};
  const std::string inputs = input("INT32", "[1,2]") + "," + input("INT32", "[3,4]", "[1,2]", 1);
  const auto answer = [&](const std::string& more) {
    const auto asked = parse(types, request(inputs, more));
    EXPECT_TRUE(asked) << asked.error().error.text();
    return *render_infer(FakeService(echo_model(types)).echo(asked->request), *asked);
  };
  const auto mixed = answer(R"(,"outputs":[{"name":"b0","parameters":{"binary_data":true}},{"name":"b1"}])");
  EXPECT_EQ(mixed.type, "application/octet-stream");
  EXPECT_THAT(mixed.headers,
              ElementsAre(std::pair<std::string, std::string>("Inference-Header-Content-Length", std::to_string(mixed.text.size()))));
  EXPECT_THAT(mixed.text, HasSubstr(R"("parameters":{"binary_data_size":8}},{"name":"b1","datatype":"INT32","shape":[1,2],"data":[3,4]})"));
  ASSERT_EQ(mixed.tails.size(), 1u);
  const auto all = answer(R"(,"parameters":{"binary_data_output":true})");
  EXPECT_EQ(all.tails.size(), 2u);
  const auto but_one =
      answer(R"(,"parameters":{"binary_data_output":true},"outputs":[{"name":"b0"},{"name":"b1","parameters":{"binary_data":false}}])");
  EXPECT_EQ(but_one.tails.size(), 1u);
  EXPECT_EQ(answer(R"(,"outputs":[{"name":"b1"}])").tails.size(), 0u);
}

TEST(InferAnswer, SaysWhatJsonCannotHold) {
  const auto complaint_of = [](DataType type, const std::string& bytes) {
    const auto* const begin = reinterpret_cast<const std::byte*>(bytes.data());
    const InferResponse response{"fake", "1", "", {{"b0", type, {1}, Bytes::of({begin, begin + bytes.size()})}}};
    return render_infer(response, {}).error().error.text();
  };
  EXPECT_THAT(complaint_of(DataType::kFloat32, std::string("\0\0\xc0\x7f", 4)), HasSubstr("output 'b0' holds NaN"));
  EXPECT_THAT(complaint_of(DataType::kFloat32, std::string("\0\0\x80\xff", 4)), HasSubstr("holds infinity"));
  EXPECT_THAT(complaint_of(DataType::kString, std::string("\1\0\0\0\xff", 5)), HasSubstr("no UTF-8"));
  EXPECT_THAT(complaint_of(DataType::kBfloat16, "xx"), HasSubstr("binary_data_output"));
}

}  // namespace
}  // namespace polythrottle::server
