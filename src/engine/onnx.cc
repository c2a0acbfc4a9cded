// Measures an ONNX file: batches of random data, outputs discarded.

#include "engine/engine.h"

#if POLYTHROTTLE_HAVE_ONNXRUNTIME

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <numbers>
#include <random>
#include <set>
#include <string_view>
#include <utility>

#include "engine/onnx_session.h"

namespace polythrottle {
namespace {

using onnx::ElementType;
using onnx::find_type;
using onnx::Owned;
using onnx::Port;
using onnx::Runtime;

/// IEEE binary16, rounded to nearest even; too large becomes infinite, too small becomes subnormal or zero.
std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 65520.0f) return static_cast<std::uint16_t>(sign | 0x7c00u);
  // Below the smallest normal number the spacing is constant, 2^-24; above, it is 2^-10 of the leading power of two.
  int exponent = -14;
  if (magnitude >= 0x1p-14f) exponent = std::ilogb(magnitude);
  const auto steps = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  return static_cast<std::uint16_t>(sign | (static_cast<std::uint32_t>(exponent + 14) * 1024u + steps));
}

std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return 0x7fc0;
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// Standard normal numbers, the same on every machine (up to the last bits of log and cos): Box and Muller's pairs.
class Normal {
 public:
  explicit Normal(std::uint64_t seed) : random_(seed) {}
  double operator()() {
    if (std::exchange(have_second_, !have_second_)) return second_;
    const double u = static_cast<double>((random_() >> 11) + 1) * 0x1p-53, v = static_cast<double>(random_() >> 11) * 0x1p-53;
    const double radius = std::sqrt(-2.0 * std::log(u)), angle = 2.0 * std::numbers::pi * v;
    second_ = radius * std::sin(angle);
    return radius * std::cos(angle);
  }

 private:
  std::mt19937_64 random_;
  double second_ = 0.0;
  bool have_second_ = false;
};

template <class T>
void store(std::byte* to, std::size_t index, T value) {
  std::memcpy(to + index * sizeof(T), &value, sizeof(T));
}

void store_number(std::byte* to, std::size_t index, ONNXTensorElementDataType type, double value) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: return store(to, index, value);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return store(to, index, to_half(static_cast<float>(value)));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16: return store(to, index, to_bfloat16(static_cast<float>(value)));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: return store(to, index, static_cast<std::int8_t>(value));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16: return store(to, index, static_cast<std::int16_t>(value));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return store(to, index, static_cast<std::int32_t>(value));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return store(to, index, static_cast<std::int64_t>(value));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: return store(to, index, static_cast<std::uint8_t>(value));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16: return store(to, index, static_cast<std::uint16_t>(value));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32: return store(to, index, static_cast<std::uint32_t>(value));
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64: return store(to, index, static_cast<std::uint64_t>(value));
    default: return store(to, index, static_cast<float>(value));
  }
}

bool is_real(ONNXTensorElementDataType type) {
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE ||
         type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
}

/// Can this type hold the value? Whole numbers in range for integers; everything finite for the others.
bool fits(ONNXTensorElementDataType type, double value) {
  if (!std::isfinite(value)) return false;
  if (is_real(type)) return true;
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING || value != std::trunc(value)) return false;
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL) return value == 0.0 || value == 1.0;
  const auto* const row = find_type(type);
  const bool has_sign = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 ||
                        type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  const double end = std::ldexp(1.0, static_cast<int>(row->size) * 8 - (has_sign ? 1 : 0));
  return value >= (has_sign ? -end : 0.0) && value < end;
}

/// One input: its shape with the batch axes still open, and data enough for the largest batch prepared so far.
struct Input {
  std::string name;
  const ElementType* type = nullptr;
  std::vector<std::int64_t> shape;      ///< free axes other than the batch filled in
  std::vector<std::size_t> batch_axes;  ///< axes that hold the batch
  std::optional<double> constant;
  std::vector<std::byte> data;
};

/// Largest tensor we are ready to fill, in elements: beyond it a dimension is a mistake.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

Result<std::size_t> element_count(const Input& input, std::int64_t batch) {
  std::int64_t count = 1;
  for (std::size_t axis = 0; axis < input.shape.size(); ++axis) {
    const bool open = std::find(input.batch_axes.begin(), input.batch_axes.end(), axis) != input.batch_axes.end();
    const std::int64_t extent = open ? batch : input.shape[axis];
    if (extent == 0) return std::size_t{0};
    if (count > kMaxElements / extent) return fail(Errc::kOutOfRange, fmt::format("input {} is too large at batch {}", input.name, batch));
    count *= extent;
  }
  return static_cast<std::size_t>(count);
}

class OnnxEngine final : public Engine {
 public:
  OnnxEngine(const Runtime& runtime, Owned<OrtSession> session, ModelInfo model, std::vector<Input> inputs, std::uint64_t seed)
      : runtime_(runtime), session_(std::move(session)), model_(std::move(model)), inputs_(std::move(inputs)), seed_(seed) {
    for (const auto& input : inputs_) input_names_.push_back(input.name.c_str());
    for (const auto& output : model_.outputs) output_names_.push_back(output.name.c_str());
  }

  const ModelInfo& model() const override { return model_; }

  Status prepare(std::int64_t batch) override {
    if (batch == batch_) return {};
    if (batch < 1 || (model_.fixed_batch && batch != *model_.fixed_batch)) {
      return fail(Errc::kOutOfRange, fmt::format("batch {} of {}", batch, model_.path),
                  model_.fixed_batch ? fmt::format("the model's batch is fixed to {}", *model_.fixed_batch) : "");
    }
    batch_ = 0;
    values_.clear();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      TRY_STATUS(add_value(inputs_[i], batch, seed_ + i * 0x9e3779b97f4a7c15u));
    }
    batch_ = batch;
    return {};
  }

  Status run() override {
    if (batch_ == 0) return fail(Errc::kInvalid, "run of " + model_.path + " before a batch was prepared");
    pointers_.clear();
    for (const auto& value : values_) pointers_.push_back(value.get());
    outputs_.assign(output_names_.size(), nullptr);
    const auto failed = runtime_.failure(runtime_.api->Run(session_.get(), nullptr, input_names_.data(), pointers_.data(), pointers_.size(),
                                                           output_names_.data(), output_names_.size(), outputs_.data()));
    for (auto* output : outputs_) {
      if (output) runtime_.api->ReleaseValue(output);
    }
    if (failed) return fail(Errc::kIo, fmt::format("run {} at batch {}: {}", model_.path, batch_, failed->words));
    return {};
  }

 private:
  /// Appends the tensor of one input. Smaller batches look at the front of the data of the largest one, so that going from one size to
  /// another costs no copy.
  Status add_value(Input& input, std::int64_t batch, std::uint64_t seed) {
    const OrtApi& api = *runtime_.api;
    auto shape = input.shape;
    for (const std::size_t axis : input.batch_axes) shape[axis] = batch;
    TRY(const std::size_t count, element_count(input, batch));
    const std::string act = fmt::format("make input {} at batch {}", input.name, batch);
    OrtValue* value = nullptr;
    try {
      if (input.type->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) {
        TRY_ORT(runtime_, Errc::kIo, act,
                api.CreateTensorAsOrtValue(runtime_.allocator, shape.data(), shape.size(), input.type->type, &value));
        values_.emplace_back(value, api.ReleaseValue);
        const std::vector<const char*> empty(count, "");
        TRY_ORT(runtime_, Errc::kIo, act, api.FillStringTensor(value, empty.data(), empty.size()));
        return {};
      }
      if (input.data.size() < count * input.type->size) {
        input.data.resize(count * input.type->size);
        fill(input, count, seed);
      }
    } catch (const std::bad_alloc&) {
      return fail(Errc::kIo, act + ": out of memory");
    }
    TRY_ORT(runtime_, Errc::kIo, act,
            api.CreateTensorWithDataAsOrtValue(runtime_.memory, input.data.data(), count * input.type->size, shape.data(), shape.size(),
                                               input.type->type, &value));
    values_.emplace_back(value, api.ReleaseValue);
    return {};
  }

  static void fill(Input& input, std::size_t count, std::uint64_t seed) {
    const auto type = input.type->type;
    if (input.constant) {
      for (std::size_t i = 0; i < count; ++i) store_number(input.data.data(), i, type, *input.constant);
    } else if (is_real(type)) {
      Normal normal(seed);
      for (std::size_t i = 0; i < count; ++i) store_number(input.data.data(), i, type, normal());
    } else {
      // 0 or 1: valid as a token, a mask, a type and a truth value.
      std::mt19937_64 random(seed);
      for (std::size_t i = 0; i < count; ++i) store_number(input.data.data(), i, type, static_cast<double>(random() >> 63));
    }
  }

  const Runtime& runtime_;
  Owned<OrtSession> session_;
  ModelInfo model_;
  std::vector<Input> inputs_;
  std::uint64_t seed_;
  std::vector<Owned<OrtValue>> values_;  // as many as inputs_, views of their data
  std::vector<const char*> input_names_, output_names_;
  std::vector<const OrtValue*> pointers_;
  std::vector<OrtValue*> outputs_;
  std::int64_t batch_ = 0;  // 0: nothing prepared
};

/// Decides which axes are the batch and gives every other free axis its value.
Result<std::vector<Input>> resolve(const std::vector<Port>& tensors, const EngineOptions& options, ModelInfo& model) {
  std::set<std::string> names, missing, input_names;
  // A value under INPUT[AXIS] is of this axis alone and goes before one under the name of the dimension.
  const auto place = [](const Port& tensor, std::size_t axis) { return fmt::format("{}[{}]", tensor.info.name, axis); };
  const auto value_of = [&](const Port& tensor, std::size_t axis) -> std::optional<std::int64_t> {
    for (const auto& name : {place(tensor, axis), tensor.info.dimensions[axis]}) {
      if (const auto found = options.dimensions.find(name); found != options.dimensions.end()) return found->second;
    }
    return std::nullopt;
  };
  const auto is_free = [](const Port& tensor, std::size_t axis) { return tensor.info.shape[axis] < 0; };

  // The batch is the first axis of the first input that is free there and was given no value.
  std::optional<std::string> batch_name;
  std::set<std::string> places;
  for (const auto& tensor : tensors) {
    input_names.insert(tensor.info.name);
    for (std::size_t axis = 0; axis < tensor.info.shape.size(); ++axis) {
      if (!is_free(tensor, axis)) continue;
      names.insert(tensor.info.dimensions[axis]);
      places.insert(place(tensor, axis));
      if (axis == 0 && !batch_name && !value_of(tensor, axis)) batch_name = tensor.info.dimensions[axis];
    }
  }
  for (const auto& [name, value] : options.dimensions) {
    if (!names.contains(name) && !places.contains(name)) {
      return fail(Errc::kInvalid, fmt::format("{} has no free dimension {}", model.path, name),
                  names.empty() ? "it has none" : fmt::format("it has {}", fmt::join(names, ", ")));
    }
    if (value < 1) return fail(Errc::kInvalid, fmt::format("dimension {} of {}: {}", name, model.path, value), "it must be at least 1");
  }
  for (const auto& [name, value] : options.inputs) {
    if (!input_names.contains(name)) {
      return fail(Errc::kInvalid, fmt::format("{} has no input {}", model.path, name),
                  input_names.empty() ? "it has none" : fmt::format("it has {}", fmt::join(input_names, ", ")));
    }
  }

  std::vector<Input> inputs;
  bool has_batch = false;
  for (const auto& tensor : tensors) {
    if (!tensor.type) {
      return fail(Errc::kUnsupported, fmt::format("input {} of {} is {}", tensor.info.name, model.path, tensor.info.type),
                  "only tensors of real numbers, integers, truth values and strings can be filled");
    }
    Input input{tensor.info.name, tensor.type, tensor.info.shape, {}, {}, {}};
    for (std::size_t axis = 0; axis < input.shape.size(); ++axis) {
      if (!is_free(tensor, axis)) continue;
      const auto& symbol = tensor.info.dimensions[axis];
      const bool nameless = symbol == place(tensor, axis);
      if (const auto value = value_of(tensor, axis)) {
        input.shape[axis] = *value;
      } else if (batch_name && (symbol == *batch_name || (axis == 0 && nameless))) {
        input.batch_axes.push_back(axis);
        has_batch = true;
      } else {
        missing.insert(symbol);
      }
    }
    if (const auto found = options.inputs.find(input.name); found != options.inputs.end()) {
      if (!fits(input.type->type, found->second)) {
        return fail(Errc::kInvalid,
                    fmt::format("input {} of {} is {} and cannot hold {}", input.name, model.path, input.type->name, found->second));
      }
      input.constant = found->second;
    }
    inputs.push_back(std::move(input));
  }
  if (!missing.empty()) {
    std::vector<std::string> flags;
    for (const auto& name : missing) flags.push_back(fmt::format("--dim {}=VALUE", name));
    return fail(
        Errc::kInvalid,
        fmt::format("{} needs a value for its free dimension{} {}", model.path, missing.size() > 1 ? "s" : "", fmt::join(missing, ", ")),
        fmt::format("give {}", fmt::join(flags, " ")));
  }
  if (!has_batch) {
    const bool has_axis = !inputs.empty() && !inputs.front().shape.empty();
    model.fixed_batch = has_axis ? std::max<std::int64_t>(inputs.front().shape.front(), 1) : 1;
  }
  return inputs;
}

struct Opened {
  onnx::Session session;
  std::vector<Input> inputs;
};

Result<Opened> open_model(const std::string& path, const EngineOptions& options) {
  TRY(auto session, onnx::open_session(path, options));
  TRY(auto inputs, resolve(session.inputs, options, session.model));
  return Opened{std::move(session), std::move(inputs)};
}

}  // namespace

Result<ModelInfo> inspect_onnx(const std::string& path, const EngineOptions& options) {
  TRY(auto opened, open_model(path, options));
  return std::move(opened.session.model);
}

Result<std::unique_ptr<Engine>> open_onnx(const std::string& path, const EngineOptions& options) {
  TRY(auto opened, open_model(path, options));
  return std::make_unique<OnnxEngine>(*opened.session.runtime, std::move(opened.session.session), std::move(opened.session.model),
                                      std::move(opened.inputs), options.seed);
}

}  // namespace polythrottle

#else  // built without the headers, or without anything to load a library with

namespace polythrottle {
namespace {

tl::unexpected<Error> absent() {
#if POLYTHROTTLE_STATIC
  return fail(Errc::kUnsupported, "this static build has no ONNX Runtime in it", "use --command, or the dynamic build");
#else
  return fail(Errc::kUnsupported, "this program was built without ONNX Runtime", "run scripts/fetch-onnxruntime and build again");
#endif
}

}  // namespace

Result<ModelInfo> inspect_onnx(const std::string&, const EngineOptions&) { return absent(); }
Result<std::unique_ptr<Engine>> open_onnx(const std::string&, const EngineOptions&) { return absent(); }
Result<std::string> onnx_runtime() { return absent(); }

}  // namespace polythrottle

#endif
