#include "server/rest_elements.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace polythrottle::server {
namespace {

constexpr std::size_t kDeepest = 16;

/// The nearest float to the decimal. Going through the nearest double can be wrong only where that is half-way between two floats.
float nearest_float(double value, std::string_view digits) {
  constexpr std::uint64_t kRest = (1ULL << 29) - 1, kHalf = 1ULL << 28;
  auto out = static_cast<float>(value);
  if ((std::bit_cast<std::uint64_t>(value) & kRest) == kHalf) std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return out;
}

}  // namespace

bool has_json_form(DataType type) { return type != DataType::kFloat16 && type != DataType::kBfloat16; }

ElementWriter::ElementWriter(const Tensor& tensor)
    : tensor_(tensor), row_(row_of(tensor.type)), expected_(static_cast<std::size_t>(element_count(tensor.shape).value_or(0))) {
  bytes_.reserve(expected_ * row_.size);
}

bool ElementWriter::refuse(std::string what) {
  error_ = Error{Errc::kInvalid, "input '" + tensor_.name + "': " + std::move(what), ""};
  return false;
}

bool ElementWriter::wrong(std::string_view got) { return refuse(fmt::format("element {}: expected {}, got {}", count_, row_.oip, got)); }

bool ElementWriter::open() {
  if (!open_.empty()) {
    if (form_ == Form::kFlat || open_.size() >= tensor_.shape.size() || open_.size() >= kDeepest) {
      return refuse("data is neither flat nor nested as its shape says");
    }
    form_ = Form::kNested;
    ++open_.back();
  }
  open_.push_back(0);
  return true;
}

bool ElementWriter::close() {
  const std::size_t axis = open_.size() - 1;
  if (form_ == Form::kNested && open_.back() != tensor_.shape[axis]) {
    return refuse(fmt::format("expected {} on axis {}, got {}", tensor_.shape[axis], axis, open_.back()));
  }
  open_.pop_back();
  if (open_.empty() && form_ != Form::kNested && count_ != expected_)
    return refuse(fmt::format("expected {} elements, got {}", expected_, count_));
  return true;
}

bool ElementWriter::place() {
  if (form_ == Form::kUnknown && open_.size() == 1) form_ = Form::kFlat;
  const std::size_t depth = form_ == Form::kNested ? tensor_.shape.size() : 1;
  if (open_.size() != depth) return refuse("data is neither flat nor nested as its shape says");
  if (count_ == expected_) return refuse(fmt::format("expected {} elements, got more", expected_));
  ++open_.back();
  return true;
}

template <class T>
bool ElementWriter::put(T value) {
  if (!place()) return false;
  const auto* const begin = reinterpret_cast<const std::byte*>(&value);
  bytes_.insert(bytes_.end(), begin, begin + sizeof value);
  ++count_;
  return true;
}

template <class From>
bool ElementWriter::whole(From value) {
  const auto as = [&]<class T>(T) { return std::in_range<T>(value) ? put(static_cast<T>(value)) : wrong(fmt::format("{}", value)); };
  switch (tensor_.type) {
    case DataType::kUint8: return as(std::uint8_t{});
    case DataType::kUint16: return as(std::uint16_t{});
    case DataType::kUint32: return as(std::uint32_t{});
    case DataType::kUint64: return as(std::uint64_t{});
    case DataType::kInt8: return as(std::int8_t{});
    case DataType::kInt16: return as(std::int16_t{});
    case DataType::kInt32: return as(std::int32_t{});
    case DataType::kInt64: return as(std::int64_t{});
    case DataType::kFloat32: return put(static_cast<float>(value));
    case DataType::kFloat64: return put(static_cast<double>(value));
    default: return wrong(fmt::format("{}", value));
  }
}

bool ElementWriter::integer(std::int64_t value) { return whole(value); }
bool ElementWriter::natural(std::uint64_t value) { return whole(value); }

bool ElementWriter::real(double value, std::string_view digits) {
  if (tensor_.type == DataType::kFloat64) return put(value);
  if (tensor_.type != DataType::kFloat32) return wrong(digits);
  const float nearest = nearest_float(value, digits);
  return std::isfinite(nearest) ? put(nearest) : wrong(digits);
}

bool ElementWriter::boolean(bool value) {
  return tensor_.type == DataType::kBool ? put(static_cast<std::uint8_t>(value)) : wrong(value ? "true" : "false");
}

bool ElementWriter::text(std::string_view value) {
  if (tensor_.type != DataType::kString) return wrong("a string");
  if (value.size() > std::numeric_limits<std::uint32_t>::max()) return wrong("a string beyond 4 GiB");
  if (!put(static_cast<std::uint32_t>(value.size()))) return false;
  const auto* const begin = reinterpret_cast<const std::byte*>(value.data());
  bytes_.insert(bytes_.end(), begin, begin + value.size());
  return true;
}

bool ElementWriter::other(std::string_view what) { return wrong(what); }

namespace {

tl::unexpected<Error> no_form(const Tensor& tensor, std::string_view what) {
  return fail(Errc::kUnsupported, fmt::format("output '{}' holds {}, for which JSON has no form", tensor.name, what),
              "ask for binary data (parameters.binary_data_output)");
}

/// With a point, so that readers take it for a real number; the shortest digits that read back as the same value.
template <class T>
bool append_real(T value, std::string& out) {
  if (!std::isfinite(value)) return false;
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const std::string_view text(digits, static_cast<std::size_t>(end - digits));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
  return true;
}

template <class T>
Status append_numbers(const Tensor& tensor, std::string& out) {
  const auto bytes = tensor.bytes.view;
  for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value{};
    std::memcpy(&value, bytes.data() + at, sizeof value);
    if constexpr (std::is_floating_point_v<T>) {
      if (!append_real(value, out)) return no_form(tensor, std::isnan(value) ? "NaN" : "infinity");
    } else {
      char digits[24];
      out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    }
    out += ',';
  }
  return {};
}

Status append_strings(const Tensor& tensor, std::string& out) {
  auto bytes = tensor.bytes.view;
  while (!bytes.empty()) {
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    const std::string text(reinterpret_cast<const char*>(bytes.data()) + sizeof length, length);
    try {
      out += nlohmann::json(text).dump();
    } catch (const nlohmann::json::type_error&) {
      return no_form(tensor, "bytes that are no UTF-8 text");
    }
    out += ',';
    bytes = bytes.subspan(sizeof length + length);
  }
  return {};
}

Status append_each(const Tensor& tensor, std::string& out) {
  switch (tensor.type) {
    case DataType::kBool:
      for (const std::byte b : tensor.bytes.view) out += b == std::byte{0} ? "false," : "true,";
      return {};
    case DataType::kUint8: return append_numbers<std::uint8_t>(tensor, out);
    case DataType::kUint16: return append_numbers<std::uint16_t>(tensor, out);
    case DataType::kUint32: return append_numbers<std::uint32_t>(tensor, out);
    case DataType::kUint64: return append_numbers<std::uint64_t>(tensor, out);
    case DataType::kInt8: return append_numbers<std::int8_t>(tensor, out);
    case DataType::kInt16: return append_numbers<std::int16_t>(tensor, out);
    case DataType::kInt32: return append_numbers<std::int32_t>(tensor, out);
    case DataType::kInt64: return append_numbers<std::int64_t>(tensor, out);
    case DataType::kFloat32: return append_numbers<float>(tensor, out);
    case DataType::kFloat64: return append_numbers<double>(tensor, out);
    case DataType::kString: return append_strings(tensor, out);
    case DataType::kFloat16:
    case DataType::kBfloat16: break;
  }
  return no_form(tensor, row_of(tensor.type).oip);
}

}  // namespace

Status append_elements(const Tensor& tensor, std::string& out) {
  out += '[';
  TRY_STATUS(append_each(tensor, out));
  if (out.back() == ',') out.pop_back();
  out += ']';
  return {};
}

}  // namespace polythrottle::server
