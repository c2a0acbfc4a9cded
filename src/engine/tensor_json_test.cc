#include "engine/tensor_json.h"

#include <gmock/gmock.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

namespace polythrottle {
namespace {

using nlohmann::json;
using testing::HasSubstr;

Tensor tensor(DataType type, std::vector<std::int64_t> shape) { return {"y", type, std::move(shape), {}}; }
std::string refused(const char* data, DataType type, std::vector<std::int64_t> shape) {
  Tensor into = tensor(type, std::move(shape));
  const auto read = from_json_elements(json::parse(data), into);
  return read ? "accepted" : read.error().text();
}

TEST(TensorJson, EveryTypeWithAJsonFormComesBackAsItWas) {
  const std::pair<DataType, const char*> cases[] = {
      {DataType::kBool, "[true,false]"},
      {DataType::kUint8, "[0,255]"},
      {DataType::kUint16, "[0,65535]"},
      {DataType::kUint32, "[0,4294967295]"},
      {DataType::kUint64, "[0,18446744073709551615]"},
      {DataType::kInt8, "[-128,127]"},
      {DataType::kInt16, "[-32768,32767]"},
      {DataType::kInt32, "[-2147483648,2147483647]"},
      {DataType::kInt64, "[-9223372036854775808,9223372036854775807]"},
      {DataType::kFloat32, "[0.5,-2.0]"},
      {DataType::kFloat64, "[0.1,-2.5]"},
      {DataType::kString, "[\"a\\u00e4\",\"\"]"},
  };
  for (const auto& [type, text] : cases) {
    Tensor into = tensor(type, {2});
    const auto read = from_json_elements(json::parse(text), into);
    ASSERT_TRUE(read) << text << ": " << read.error().text();
    ASSERT_TRUE(check_bytes(into)) << text;
    const auto back = to_json_elements(into);
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, json::parse(text));
  }
}

TEST(TensorJson, NestedElementsAreReadInTheirOrder) {
  Tensor into = tensor(DataType::kInt8, {2, 1, 2});
  ASSERT_TRUE(from_json_elements(json::parse("[[[1,2]],[[3,4]]]"), into));
  const char expected[] = {1, 2, 3, 4};
  EXPECT_EQ(std::memcmp(into.bytes.view.data(), expected, 4), 0);
}

TEST(TensorJson, WhatDoesNotFitIsRefused) {
  EXPECT_THAT(refused("[1]", DataType::kInt8, {2}), HasSubstr("1 elements too few"));
  EXPECT_THAT(refused("[1,2,3]", DataType::kInt8, {2}), HasSubstr("more elements than its shape says"));
  EXPECT_THAT(refused("[1,128]", DataType::kInt8, {2}), HasSubstr("no INT8"));
  EXPECT_THAT(refused("[1,-1]", DataType::kUint64, {2}), HasSubstr("no UINT64"));
  EXPECT_THAT(refused("[1,1.5]", DataType::kInt32, {2}), HasSubstr("no INT32"));
  EXPECT_THAT(refused("[1,1e39]", DataType::kFloat32, {2}), HasSubstr("no FP32"));
  EXPECT_THAT(refused("[1,\"2\"]", DataType::kFloat64, {2}), HasSubstr("no FP64"));
  EXPECT_THAT(refused("[true,2]", DataType::kBool, {2}), HasSubstr("no BOOL"));
  EXPECT_THAT(refused("[\"a\",null]", DataType::kString, {2}), HasSubstr("no string"));
  EXPECT_THAT(refused("[[[1,2]]]", DataType::kInt8, {2}), HasSubstr("nested deeper"));
  EXPECT_THAT(refused("[1,2]", DataType::kFloat16, {2}), HasSubstr("FP16 has no JSON form"));
  EXPECT_THAT(refused("[]", DataType::kInt8, {-1}), HasSubstr("no possible shape"));
}

TEST(TensorJson, WhatJsonCannotHoldIsRefused) {
  Tensor infinite = tensor(DataType::kFloat32, {1});
  const float value = std::numeric_limits<float>::infinity();
  const auto bytes = std::as_bytes(std::span(&value, 1));
  infinite.bytes = Bytes::of({bytes.begin(), bytes.end()});
  EXPECT_THAT(to_json_elements(infinite).error().text(), HasSubstr("infinity and NaN have no JSON form"));
  Tensor text = tensor(DataType::kString, {1});
  text.bytes = Bytes::of({std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0xff}});
  EXPECT_THAT(to_json_elements(text).error().text(), HasSubstr("not UTF-8"));
}

}  // namespace
}  // namespace polythrottle
