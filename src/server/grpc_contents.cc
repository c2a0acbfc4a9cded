#include "server/grpc_contents.h"

#if POLYTHROTTLE_HAVE_GRPC

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "open_inference.pb.h"

namespace polythrottle::server {
namespace {

using inference::InferTensorContents;

/// How many elements stand in which list.
std::vector<std::pair<const char*, std::int64_t>> lists(const InferTensorContents& contents) {
  return {{"bool_contents", contents.bool_contents_size()},     {"int_contents", contents.int_contents_size()},
          {"int64_contents", contents.int64_contents_size()},   {"uint_contents", contents.uint_contents_size()},
          {"uint64_contents", contents.uint64_contents_size()}, {"fp32_contents", contents.fp32_contents_size()},
          {"fp64_contents", contents.fp64_contents_size()},     {"bytes_contents", contents.bytes_contents_size()}};
}

const char* list_of(DataType type) {
  switch (type) {
    case DataType::kBool: return "bool_contents";
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32: return "int_contents";
    case DataType::kInt64: return "int64_contents";
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32: return "uint_contents";
    case DataType::kUint64: return "uint64_contents";
    case DataType::kFloat32: return "fp32_contents";
    case DataType::kFloat64: return "fp64_contents";
    case DataType::kString: return "bytes_contents";
    case DataType::kFloat16:
    case DataType::kBfloat16: return nullptr;
  }
  return nullptr;
}

/// As elements of type T, which may be narrower than the list's.
template <class T, class List>
Result<Bytes> elements(const Tensor& tensor, const List& list) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(list.size()) * sizeof(T));
  std::size_t at = 0;
  for (const auto value : list) {
    const T element = static_cast<T>(value);
    if constexpr (std::numeric_limits<T>::is_integer && sizeof(T) < sizeof value) {
      if (static_cast<decltype(value)>(element) != value) {
        return fail(Errc::kInvalid, fmt::format("input '{}': element {} is {}, which {} cannot hold", tensor.name, at / sizeof(T), value,
                                                row_of(tensor.type).oip));
      }
    }
    std::memcpy(bytes.data() + at, &element, sizeof element);
    at += sizeof element;
  }
  return Bytes::of(std::move(bytes));
}

/// Each behind its length.
template <class List>
Result<Bytes> strings(const Tensor& tensor, const List& list) {
  std::size_t size = 0;
  for (const auto& text : list) {
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
      return fail(Errc::kInvalid, fmt::format("input '{}': a string of {} bytes", tensor.name, text.size()));
    }
    size += sizeof(std::uint32_t) + text.size();
  }
  std::vector<std::byte> bytes;
  bytes.reserve(size);
  for (const auto& text : list) {
    const auto length = static_cast<std::uint32_t>(text.size());
    const auto prefix = std::as_bytes(std::span(&length, 1));
    const auto body = std::as_bytes(std::span(text));
    bytes.insert(bytes.end(), prefix.begin(), prefix.end());
    bytes.insert(bytes.end(), body.begin(), body.end());
  }
  return Bytes::of(std::move(bytes));
}

}  // namespace

Result<Bytes> read_contents(const Tensor& tensor, const InferTensorContents& contents) {
  const char* const wanted = list_of(tensor.type);
  const auto type = row_of(tensor.type).oip;
  if (!wanted) {
    return fail(Errc::kInvalid, fmt::format("input '{}': {} has no typed contents", tensor.name, type), "send it in raw_input_contents");
  }
  const std::int64_t expected = element_count(tensor.shape).value_or(-1);
  for (const auto& [name, count] : lists(contents)) {
    if (std::string_view(name) != wanted) {
      if (count == 0) continue;
      return fail(Errc::kInvalid, fmt::format("input '{}': expected {} in {}, got {}", tensor.name, type, wanted, name));
    }
    if (count == expected) continue;
    return fail(Errc::kInvalid, fmt::format("input '{}': expected {} elements for {} [{}], got {} in {}", tensor.name, expected, type,
                                            fmt::join(tensor.shape, ","), count, wanted));
  }
  switch (tensor.type) {
    case DataType::kBool: return elements<bool>(tensor, contents.bool_contents());
    case DataType::kInt8: return elements<std::int8_t>(tensor, contents.int_contents());
    case DataType::kInt16: return elements<std::int16_t>(tensor, contents.int_contents());
    case DataType::kInt32: return elements<std::int32_t>(tensor, contents.int_contents());
    case DataType::kInt64: return elements<std::int64_t>(tensor, contents.int64_contents());
    case DataType::kUint8: return elements<std::uint8_t>(tensor, contents.uint_contents());
    case DataType::kUint16: return elements<std::uint16_t>(tensor, contents.uint_contents());
    case DataType::kUint32: return elements<std::uint32_t>(tensor, contents.uint_contents());
    case DataType::kUint64: return elements<std::uint64_t>(tensor, contents.uint64_contents());
    case DataType::kFloat32: return elements<float>(tensor, contents.fp32_contents());
    case DataType::kFloat64: return elements<double>(tensor, contents.fp64_contents());
    case DataType::kString: return strings(tensor, contents.bytes_contents());
    case DataType::kFloat16:
    case DataType::kBfloat16: break;
  }
  return fail(Errc::kInvalid, fmt::format("input '{}': {} has no typed contents", tensor.name, type));
}

double longest_on_the_wire(DataType type) {
  // A number is 7 bits a byte; a negative int32 is sent as 64 bits.
  switch (type) {
    case DataType::kInt8: return 10.0;
    case DataType::kInt16: return 10.0 / 2;
    case DataType::kInt32: return 10.0 / 4;
    case DataType::kInt64:
    case DataType::kUint64: return 10.0 / 8;
    case DataType::kUint8: return 2.0;
    case DataType::kUint16: return 3.0 / 2;
    case DataType::kUint32: return 5.0 / 4;
    case DataType::kString: return 6.0 / 4;  // a tag and a length of up to 5 bytes instead of 4 bytes
    default: return 1.0;
  }
}

}  // namespace polythrottle::server

#endif
