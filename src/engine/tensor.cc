#include "engine/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace polythrottle {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors travel little-endian and are used where they lie");

constexpr std::array kRows{
    DataTypeRow{DataType::kBool, "bool", "BOOL", 1},         DataTypeRow{DataType::kUint8, "uint8", "UINT8", 1},
    DataTypeRow{DataType::kUint16, "uint16", "UINT16", 2},   DataTypeRow{DataType::kUint32, "uint32", "UINT32", 4},
    DataTypeRow{DataType::kUint64, "uint64", "UINT64", 8},   DataTypeRow{DataType::kInt8, "int8", "INT8", 1},
    DataTypeRow{DataType::kInt16, "int16", "INT16", 2},      DataTypeRow{DataType::kInt32, "int32", "INT32", 4},
    DataTypeRow{DataType::kInt64, "int64", "INT64", 8},      DataTypeRow{DataType::kFloat16, "float16", "FP16", 2},
    DataTypeRow{DataType::kBfloat16, "bfloat16", "BF16", 2}, DataTypeRow{DataType::kFloat32, "float32", "FP32", 4},
    DataTypeRow{DataType::kFloat64, "float64", "FP64", 8},   DataTypeRow{DataType::kString, "string", "BYTES", 0},
};

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;
constexpr std::size_t kLength = sizeof(std::uint32_t);  // before each string

/// Where the string that begins at `at` ends; nullopt beyond the end of all.
std::optional<std::size_t> end_of_string(std::span<const std::byte> bytes, std::size_t at) {
  if (bytes.size() - at < kLength) return std::nullopt;
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + at, kLength);
  if (bytes.size() - at - kLength < length) return std::nullopt;
  return at + kLength + length;
}

/// Bytes of the elements [first, last), whose bytes are known to be whole.
std::span<const std::byte> elements(const Tensor& tensor, std::size_t first, std::size_t last) {
  const std::size_t size = row_of(tensor.type).size;
  if (size != 0) return tensor.bytes.view.subspan(first * size, (last - first) * size);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < first; ++i) begin = *end_of_string(tensor.bytes.view, begin);
  std::size_t end = begin;
  for (std::size_t i = first; i < last; ++i) end = *end_of_string(tensor.bytes.view, end);
  return tensor.bytes.view.subspan(begin, end - begin);
}

}  // namespace

std::span<const DataTypeRow> data_types() { return kRows; }

const DataTypeRow& row_of(DataType type) { return kRows[static_cast<std::size_t>(type)]; }

const DataTypeRow* find_data_type(std::string_view name) {
  const auto found = std::find_if(kRows.begin(), kRows.end(), [&](const auto& row) { return row.name == name; });
  return found == kRows.end() ? nullptr : &*found;
}

const DataTypeRow* find_oip_data_type(std::string_view oip) {
  const auto found = std::find_if(kRows.begin(), kRows.end(), [&](const auto& row) { return row.oip == oip; });
  return found == kRows.end() ? nullptr : &*found;
}

Bytes Bytes::of(std::vector<std::byte> bytes) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const std::span<const std::byte> view = *owner;
  return {std::move(owner), view};
}

std::optional<std::int64_t> element_count(std::span<const std::int64_t> shape) {
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; })) return std::nullopt;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (count > kMaxElements / extent) return std::nullopt;
    count *= extent;
  }
  return count;
}

Status check_bytes(const Tensor& tensor) {
  const auto count = element_count(tensor.shape);
  if (!count) return fail(Errc::kInvalid, fmt::format("tensor '{}': shape [{}] is none", tensor.name, fmt::join(tensor.shape, ",")));
  const auto& row = row_of(tensor.type);
  const std::size_t there = tensor.bytes.view.size();
  if (row.size != 0) {
    const std::size_t wanted = static_cast<std::size_t>(*count) * row.size;
    if (there == wanted) return {};
    return fail(Errc::kInvalid, fmt::format("tensor '{}': expected {} bytes for {} [{}], got {}", tensor.name, wanted, row.oip,
                                            fmt::join(tensor.shape, ","), there));
  }
  std::size_t at = 0;
  for (std::int64_t i = 0; i < *count; ++i) {
    const auto end = end_of_string(tensor.bytes.view, at);
    if (!end) {
      return fail(Errc::kInvalid, fmt::format("tensor '{}': expected {} strings, each behind its length; the bytes end in string {}",
                                              tensor.name, *count, i + 1));
    }
    at = *end;
  }
  if (at == there) return {};
  return fail(Errc::kInvalid, fmt::format("tensor '{}': {} bytes are left behind its {} strings", tensor.name, there - at, *count));
}

Tensor rows(const Tensor& tensor, std::int64_t first, std::int64_t count) {
  Tensor part{tensor.name, tensor.type, tensor.shape, tensor.bytes};
  part.shape[0] = count;
  const std::int64_t each = element_count(std::span(tensor.shape).subspan(1)).value_or(0);
  part.bytes.view = elements(tensor, static_cast<std::size_t>(first * each), static_cast<std::size_t>((first + count) * each));
  return part;
}

Tensor join(std::span<const Tensor> parts) {
  if (parts.size() == 1) return parts.front();
  Tensor whole{parts.front().name, parts.front().type, parts.front().shape, {}};
  std::size_t size = 0;
  whole.shape[0] = 0;
  for (const auto& part : parts) {
    size += part.bytes.view.size();
    whole.shape[0] += part.shape[0];
  }
  std::vector<std::byte> bytes;
  bytes.reserve(size);
  for (const auto& part : parts) bytes.insert(bytes.end(), part.bytes.view.begin(), part.bytes.view.end());
  whole.bytes = Bytes::of(std::move(bytes));
  return whole;
}

}  // namespace polythrottle
