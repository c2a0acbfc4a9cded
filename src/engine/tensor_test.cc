#include "engine/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace polythrottle {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::byte> bytes_of(std::initializer_list<int> numbers) {
  std::vector<std::byte> out;
  for (const int number : numbers) out.push_back(static_cast<std::byte>(number));
  return out;
}

TEST(DataTypes, EveryRowIsFoundByBothNames) {
  for (const auto& row : data_types()) {
    EXPECT_EQ(&row_of(row.type), &row);
    EXPECT_EQ(find_data_type(row.name), &row);
    EXPECT_EQ(find_oip_data_type(row.oip), &row);
  }
  EXPECT_EQ(find_oip_data_type("fp32"), nullptr);
}

TEST(Tensors, CountIsTheProductOfTheAxesWithinReason) {
  EXPECT_EQ(element_count(std::vector<std::int64_t>{}), 1);
  EXPECT_EQ(element_count(std::vector<std::int64_t>{2, 3}), 6);
  EXPECT_EQ(element_count(std::vector<std::int64_t>{std::int64_t{1} << 62, 0}), 0);
  EXPECT_EQ(element_count(std::vector<std::int64_t>{-1}), std::nullopt);
  EXPECT_EQ(element_count(std::vector<std::int64_t>{std::int64_t{1} << 62, 4}), std::nullopt);
}

TEST(Tensors, BytesAreHeldAgainstTheShape) {
  Tensor tensor{"x", DataType::kInt16, {2}, Bytes::of(bytes_of({1, 0, 2, 0}))};
  EXPECT_TRUE(check_bytes(tensor));
  tensor.shape = {3};
  EXPECT_THAT(check_bytes(tensor).error().text(), HasSubstr("expected 6 bytes for INT16 [3], got 4"));
  tensor.shape = {-1};
  EXPECT_FALSE(check_bytes(tensor));
}

TEST(Tensors, StringsEndWhereTheirLengthsSay) {
  Tensor tensor{"s", DataType::kString, {2}, Bytes::of(bytes_of({1, 0, 0, 0, 'a', 0, 0, 0, 0}))};
  EXPECT_TRUE(check_bytes(tensor));
  const auto second = rows(tensor, 1, 1);
  EXPECT_THAT(second.shape, ElementsAre(1));
  EXPECT_EQ(second.bytes.view.size(), 4u);
  tensor.bytes = Bytes::of(bytes_of({1, 0, 0, 0, 'a', 9, 0, 0, 0}));
  EXPECT_THAT(check_bytes(tensor).error().text(), HasSubstr("end in string 2"));
  tensor.bytes = Bytes::of(bytes_of({255, 255, 255, 255}));
  EXPECT_FALSE(check_bytes(tensor));
  tensor.bytes = Bytes::of(bytes_of({0, 0, 0, 0, 0, 0, 0, 0, 7}));
  EXPECT_THAT(check_bytes(tensor).error().text(), HasSubstr("left behind"));
}

TEST(Tensors, RowsAndJoinAreInverse) {
  const Tensor whole{"x", DataType::kUint8, {3, 2}, Bytes::of(bytes_of({1, 2, 3, 4, 5, 6}))};
  const auto first = rows(whole, 0, 1), rest = rows(whole, 1, 2);
  EXPECT_EQ(rest.bytes.view.data(), whole.bytes.view.data() + 2) << "shared, not copied";
  const auto again = join(std::vector{first, rest});
  EXPECT_EQ(again.shape, whole.shape);
  EXPECT_EQ(std::memcmp(again.bytes.view.data(), whole.bytes.view.data(), 6), 0);
  EXPECT_EQ(join(std::vector{whole}).bytes.view.data(), whole.bytes.view.data());
}

}  // namespace
}  // namespace polythrottle
