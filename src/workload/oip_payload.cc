#include "workload/oip_payload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "engine/tensor.h"
#include "engine/tensor_json.h"

namespace polythrottle {
namespace {

using Json = nlohmann::ordered_json;

/// Longest request that is made, bytes of one tensor.
constexpr std::int64_t kLargest = std::int64_t{1} << 30;

template <class T>
void append(std::vector<std::byte>& bytes, T value) {
  const auto raw = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

/// Nearest half-precision number, toward zero below its smallest normal one.
std::uint16_t half_bits(double value) {
  const unsigned sign = std::signbit(value) ? 0x8000u : 0u;
  int exponent = 0;
  const double fraction = std::frexp(std::abs(value), &exponent);  // in [0.5, 1)
  if (value == 0.0 || exponent < -13) return static_cast<std::uint16_t>(sign);
  const auto mantissa = static_cast<unsigned>(std::lround(fraction * 2048.0));  // 1024..2048; a carry moves into the exponent
  return static_cast<std::uint16_t>(sign + (static_cast<unsigned>(exponent + 13) << 10U) + mantissa);
}

template <class T>
bool append_whole(std::vector<std::byte>& bytes, double value) {
  if (value != std::trunc(value) || value < static_cast<double>(std::numeric_limits<T>::lowest()) ||
      value >= std::ldexp(1.0, std::numeric_limits<T>::digits)) {
    return false;
  }
  append(bytes, static_cast<T>(value));
  return true;
}

bool is_real(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kBfloat16 || type == DataType::kFloat32 || type == DataType::kFloat64;
}

/// False where the type has no such number.
bool append_number(std::vector<std::byte>& bytes, DataType type, double value) {
  switch (type) {
    case DataType::kBool: return (value == 0.0 || value == 1.0) && append_whole<std::uint8_t>(bytes, value);
    case DataType::kUint8: return append_whole<std::uint8_t>(bytes, value);
    case DataType::kUint16: return append_whole<std::uint16_t>(bytes, value);
    case DataType::kUint32: return append_whole<std::uint32_t>(bytes, value);
    case DataType::kUint64: return append_whole<std::uint64_t>(bytes, value);
    case DataType::kInt8: return append_whole<std::int8_t>(bytes, value);
    case DataType::kInt16: return append_whole<std::int16_t>(bytes, value);
    case DataType::kInt32: return append_whole<std::int32_t>(bytes, value);
    case DataType::kInt64: return append_whole<std::int64_t>(bytes, value);
    case DataType::kFloat16:
      if (std::abs(value) > 65504.0) return false;
      append(bytes, half_bits(value));
      return true;
    case DataType::kBfloat16:
      append(bytes, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16U));
      return true;
    case DataType::kFloat32: append(bytes, static_cast<float>(value)); return true;
    case DataType::kFloat64: append(bytes, value); return true;
    case DataType::kString: return false;
  }
  return false;
}

Result<std::vector<std::int64_t>> shape_of(const TensorInfo& input, bool free_batch, const OipPayloadOptions& options) {
  std::vector<std::int64_t> shape = input.shape;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] >= 0) continue;
    const std::string& name = input.dimensions[axis];
    if (const auto given = options.sizes.find(name); given != options.sizes.end()) {
      shape[axis] = given->second;
    } else if (axis == 0 && free_batch) {
      shape[axis] = options.batch;
    } else {
      return fail(Errc::kInvalid, fmt::format("input '{}' leaves axis {} free", input.name, axis),
                  fmt::format("give its size: --dim '{}=128'", name));
    }
    if (shape[axis] < 1) return fail(Errc::kInvalid, fmt::format("{}={}: a size is a whole number from 1", name, shape[axis]));
  }
  return shape;
}

Result<Tensor> fill(const TensorInfo& input, std::vector<std::int64_t> shape, const OipPayloadOptions& options, std::mt19937_64& random) {
  const DataTypeRow* type = find_data_type(input.type);
  if (type == nullptr) return fail(Errc::kUnsupported, fmt::format("input '{}' is of the type '{}'", input.name, input.type));
  const auto count = element_count(shape);
  if (!count || *count > kLargest / static_cast<std::int64_t>(std::max<std::size_t>(type->size, 5))) {
    return fail(Errc::kInvalid, fmt::format("input '{}' would be longer than 1 GiB", input.name));
  }
  const auto constant = options.constants.find(input.name);
  std::normal_distribution<double> normal;
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < *count; ++i) {
    if (type->type == DataType::kString && constant == options.constants.end()) {
      append(bytes, std::uint32_t{1});
      append(bytes, static_cast<char>('a' + random() % 26));
      continue;
    }
    const double value = constant != options.constants.end() ? constant->second
                         : is_real(type->type)               ? normal(random)
                                                             : static_cast<double>(random() >> 63U);
    if (!append_number(bytes, type->type, value)) {
      return fail(Errc::kInvalid, fmt::format("--input {}={:g}: the input is of the type {}", input.name, value, type->oip));
    }
  }
  return Tensor{input.name, type->type, std::move(shape), Bytes::of(std::move(bytes))};
}

/// What was asked for by name must be there.
Status check_names(const ModelInfo& model, const OipPayloadOptions& options) {
  std::string inputs, axes;
  const auto add = [](std::string& list, const std::string& name) { list += (list.empty() ? "" : ", ") + name; };
  for (const auto& input : model.inputs) {
    add(inputs, input.name);
    for (const auto& name : input.dimensions) {
      if (!name.empty()) add(axes, name);
    }
  }
  for (const auto& [name, value] : options.constants) {
    if (std::none_of(model.inputs.begin(), model.inputs.end(), [&name = name](const auto& input) { return input.name == name; }))
      return fail(Errc::kInvalid, fmt::format("--input {}: the model has no such input", name), "it has " + inputs);
  }
  for (const auto& [name, size] : options.sizes) {
    const auto has = [&name = name](const auto& i) {
      return std::find(i.dimensions.begin(), i.dimensions.end(), name) != i.dimensions.end();
    };
    if (std::none_of(model.inputs.begin(), model.inputs.end(), has))
      return fail(Errc::kInvalid, fmt::format("--dim {}: the model has no such free axis", name),
                  axes.empty() ? "it has none" : "it has " + axes);
  }
  return {};
}

}  // namespace

Result<OipPayload> oip_payload(const ModelInfo& model, const OipPayloadOptions& options) {
  TRY_STATUS(check_names(model, options));
  std::mt19937_64 random(options.seed);
  Json inputs = Json::array();
  std::string raw;
  for (const auto& input : model.inputs) {
    TRY(auto shape, shape_of(input, !model.fixed_batch, options));
    TRY(const auto tensor, fill(input, std::move(shape), options, random));
    Json one = {{"name", tensor.name}, {"shape", tensor.shape}, {"datatype", row_of(tensor.type).oip}};
    if (options.as_json) {
      TRY(const auto elements, to_json_elements(tensor));
      one["data"] = Json(elements);
    } else {
      one["parameters"] = {{"binary_data_size", tensor.bytes.view.size()}};
      raw.append(reinterpret_cast<const char*>(tensor.bytes.view.data()), tensor.bytes.view.size());
    }
    inputs.push_back(std::move(one));
  }
  Json request = {{"inputs", std::move(inputs)}};
  if (!options.as_json) request["parameters"] = {{"binary_data_output", true}};
  OipPayload out{request.dump(), std::nullopt};
  if (!options.as_json) {
    out.head = out.body.size();
    out.body += raw;
  }
  return out;
}

}  // namespace polythrottle
