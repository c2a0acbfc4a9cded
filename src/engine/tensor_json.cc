#include "engine/tensor_json.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

namespace polythrottle {
namespace {

using nlohmann::json;

/// Calls `act` with a value of the C++ type of a number type; false for the others.
template <class Act>
bool with_number_type(DataType type, Act act) {
  switch (type) {
    case DataType::kUint8: return act(std::uint8_t{}), true;
    case DataType::kUint16: return act(std::uint16_t{}), true;
    case DataType::kUint32: return act(std::uint32_t{}), true;
    case DataType::kUint64: return act(std::uint64_t{}), true;
    case DataType::kInt8: return act(std::int8_t{}), true;
    case DataType::kInt16: return act(std::int16_t{}), true;
    case DataType::kInt32: return act(std::int32_t{}), true;
    case DataType::kInt64: return act(std::int64_t{}), true;
    case DataType::kFloat32: return act(float{}), true;
    case DataType::kFloat64: return act(double{}), true;
    case DataType::kBool: return act(bool{}), true;
    default: return false;
  }
}

tl::unexpected<Error> no_json(const Tensor& tensor, std::string_view why) {
  return fail(Errc::kUnsupported, fmt::format("tensor '{}': {}", tensor.name, why));
}

/// Appends elements from anywhere in a nested array.
class Reader {
 public:
  Reader(const Tensor& tensor, std::int64_t count) : tensor_(tensor), left_(count) {}

  Status read(const json& data, std::size_t depth) {
    if (!data.is_array()) return element(data);
    if (depth > tensor_.shape.size() && depth > 1) return fail(Errc::kInvalid, words("is nested deeper than its shape"));
    for (const auto& inner : data) TRY_STATUS(read(inner, depth + 1));
    return {};
  }
  Result<Bytes> bytes() {
    if (left_ != 0) return fail(Errc::kInvalid, words(fmt::format("has {} elements too few", left_)));
    return Bytes::of(std::move(bytes_));
  }

 private:
  std::string words(std::string_view what) const { return fmt::format("tensor '{}' {}", tensor_.name, what); }
  void append(const void* from, std::size_t size) {
    const auto* const first = static_cast<const std::byte*>(from);
    bytes_.insert(bytes_.end(), first, first + size);
  }
  template <class T>
  Status number(const json& value) {
    T element{};
    bool fits = false;
    if constexpr (std::is_same_v<T, bool>) {
      fits = value.is_boolean() || (value.is_number_integer() && (value == 0 || value == 1));
      if (fits) element = value.is_boolean() ? value.get<bool>() : value == 1;
    } else if constexpr (std::is_integral_v<T>) {
      if (value.is_number_unsigned()) {
        fits = std::in_range<T>(value.get<std::uint64_t>());
      } else if (value.is_number_integer()) {
        fits = std::in_range<T>(value.get<std::int64_t>());
      }
      if (fits) element = value.get<T>();
    } else {
      fits = value.is_number() && std::abs(value.get<double>()) <= static_cast<double>(std::numeric_limits<T>::max());
      if (fits) element = value.get<T>();
    }
    if (!fits) return fail(Errc::kInvalid, words(fmt::format("has an element that is no {}", row_of(tensor_.type).oip)));
    append(&element, sizeof element);
    return {};
  }
  Status element(const json& value) {
    if (left_-- == 0) return fail(Errc::kInvalid, words("has more elements than its shape says"));
    if (tensor_.type == DataType::kString) {
      if (!value.is_string()) return fail(Errc::kInvalid, words("has an element that is no string"));
      const auto& text = value.get_ref<const std::string&>();
      const auto length = static_cast<std::uint32_t>(text.size());
      append(&length, sizeof length);
      append(text.data(), text.size());
      return {};
    }
    Status done;
    if (!with_number_type(tensor_.type, [&](auto type) { done = number<decltype(type)>(value); })) {
      return no_json(tensor_, fmt::format("{} has no JSON form", row_of(tensor_.type).oip));
    }
    return done;
  }

  const Tensor& tensor_;
  std::int64_t left_;
  std::vector<std::byte> bytes_;
};

}  // namespace

Result<json> to_json_elements(const Tensor& tensor) {
  json data = json::array();
  const auto bytes = tensor.bytes.view;
  if (tensor.type == DataType::kString) {
    for (std::size_t at = 0; at < bytes.size();) {
      std::uint32_t length = 0;
      std::memcpy(&length, bytes.data() + at, sizeof length);
      at += sizeof length;
      data.emplace_back(std::string(reinterpret_cast<const char*>(bytes.data()) + at, length));
      try {
        (void)data.back().dump();
      } catch (const json::exception&) {
        return no_json(tensor, "a string that is not UTF-8 has no JSON form");
      }
      at += length;
    }
    return data;
  }
  bool finite = true;
  const bool known = with_number_type(tensor.type, [&](auto element) {
    for (std::size_t at = 0; at < bytes.size(); at += sizeof element) {
      std::memcpy(&element, bytes.data() + at, sizeof element);
      if constexpr (std::is_floating_point_v<decltype(element)>) finite = finite && std::isfinite(element);
      data.push_back(element);
    }
  });
  if (!known) return no_json(tensor, fmt::format("{} has no JSON form", row_of(tensor.type).oip));
  if (!finite) return no_json(tensor, "infinity and NaN have no JSON form");
  return data;
}

Status from_json_elements(const json& data, Tensor& tensor) {
  const auto count = element_count(tensor.shape);
  if (!count) return fail(Errc::kInvalid, fmt::format("tensor '{}' has no possible shape", tensor.name));
  Reader reader(tensor, *count);
  TRY_STATUS(reader.read(data, 1));
  TRY(tensor.bytes, reader.bytes());
  return {};
}

}  // namespace polythrottle
