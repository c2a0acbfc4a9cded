// Answers requests from ONNX Runtime in this process.

#include "engine/backend.h"

#if POLYTHROTTLE_HAVE_ONNXRUNTIME

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "engine/onnx_session.h"

namespace polythrottle {
namespace {

using onnx::Owned;
using onnx::Runtime;

/// A value of the runtime as the owner of a tensor's bytes.
struct Held {
  Owned<OrtValue> value;
};

class OnnxBackend final : public Backend {
 public:
  explicit OnnxBackend(onnx::Session session) : runtime_(*session.runtime), session_(std::move(session)) {
    for (const auto& input : session_.model.inputs) input_names_.push_back(input.name.c_str());
    for (const auto& output : session_.model.outputs) output_names_.push_back(output.name.c_str());
  }

  const ModelInfo& model() const override { return session_.model; }

  Result<std::vector<std::vector<Tensor>>> run(std::span<const Slice> slices) override {
    // Requests of other lengths (a free axis that is not the batch) cannot be one tensor: they run one after the other.
    std::vector<std::vector<Tensor>> answers(slices.size());
    std::vector<bool> done(slices.size(), false);
    for (std::size_t first = 0; first < slices.size(); ++first) {
      if (done[first]) continue;
      std::vector<std::size_t> alike;
      for (std::size_t i = first; i < slices.size(); ++i) {
        if (!done[i] && (i == first || fits_with(slices[first], slices[i]))) alike.push_back(i);
      }
      TRY_STATUS(run_alike(slices, alike, answers));
      for (const std::size_t i : alike) done[i] = true;
    }
    return answers;
  }

 private:
  bool fits_with(const Slice& a, const Slice& b) const {
    if (!batchable(session_.model)) return false;
    for (std::size_t i = 0; i < a.inputs.size(); ++i) {
      if (!std::equal(a.inputs[i].shape.begin() + 1, a.inputs[i].shape.end(), b.inputs[i].shape.begin() + 1, b.inputs[i].shape.end())) {
        return false;
      }
    }
    return true;
  }

  Status run_alike(std::span<const Slice> slices, std::span<const std::size_t> which, std::vector<std::vector<Tensor>>& answers) const {
    const OrtApi& api = *runtime_.api;
    try {
      std::vector<Tensor> joined;
      std::vector<Owned<OrtValue>> values;
      for (std::size_t input = 0; input < input_names_.size(); ++input) {
        std::vector<Tensor> parts;
        for (const std::size_t i : which) parts.push_back(slices[i].inputs[input]);
        joined.push_back(join(parts));
        TRY(auto value, to_value(joined.back(), *session_.inputs[input].type));
        values.push_back(std::move(value));
      }
      std::vector<const OrtValue*> pointers;
      for (const auto& value : values) pointers.push_back(value.get());
      std::vector<OrtValue*> raw(output_names_.size(), nullptr);
      const auto failed = runtime_.failure(api.Run(session_.session.get(), nullptr, input_names_.data(), pointers.data(), pointers.size(),
                                                   output_names_.data(), raw.size(), raw.data()));
      std::vector<Owned<OrtValue>> outputs;
      for (auto* value : raw) outputs.emplace_back(value, api.ReleaseValue);
      if (failed) {
        const auto code = failed->code == ORT_INVALID_ARGUMENT ? Errc::kInvalid : Errc::kIo;
        return fail(code, fmt::format("run {}: {}", session_.model.path, failed->words));
      }
      for (std::size_t output = 0; output < outputs.size(); ++output) {
        TRY(const Tensor whole, to_tensor(std::move(outputs[output]), session_.model.outputs[output]));
        if (which.size() == 1) {
          answers[which.front()].push_back(whole);
          continue;
        }
        std::int64_t at = 0, rows_wanted = 0;
        for (const std::size_t i : which) rows_wanted += slices[i].inputs.front().shape.front();
        if (whole.shape.empty() || whole.shape.front() != rows_wanted) {
          return fail(Errc::kIo, fmt::format("run {}: output '{}' does not have the batch of {} on its first axis", session_.model.path,
                                             whole.name, rows_wanted));
        }
        for (const std::size_t i : which) {
          const std::int64_t count = slices[i].inputs.front().shape.front();
          answers[i].push_back(rows(whole, at, count));
          at += count;
        }
      }
      return {};
    } catch (const std::bad_alloc&) {
      return fail(Errc::kIo, fmt::format("run {}: out of memory", session_.model.path));
    }
  }

  /// A view of the tensor's bytes, which outlive it; strings are copied.
  Result<Owned<OrtValue>> to_value(const Tensor& tensor, const onnx::ElementType& type) const {
    const OrtApi& api = *runtime_.api;
    const std::string act = "make input " + tensor.name;
    OrtValue* value = nullptr;
    if (tensor.type == DataType::kString) {
      TRY_ORT(runtime_, Errc::kIo, act,
              api.CreateTensorAsOrtValue(runtime_.allocator, tensor.shape.data(), tensor.shape.size(), type.type, &value));
      Owned<OrtValue> owned(value, api.ReleaseValue);
      std::vector<std::string> strings;
      for (std::size_t at = 0; at < tensor.bytes.view.size();) {
        std::uint32_t length = 0;
        std::memcpy(&length, tensor.bytes.view.data() + at, sizeof length);
        at += sizeof length;
        strings.emplace_back(reinterpret_cast<const char*>(tensor.bytes.view.data() + at), length);
        if (strings.back().find('\0') != std::string::npos) {
          return fail(Errc::kInvalid, act + ": a string holds a zero byte, which ONNX Runtime's C interface cannot take");
        }
        at += length;
      }
      std::vector<const char*> pointers;
      for (const auto& string : strings) pointers.push_back(string.c_str());
      TRY_ORT(runtime_, Errc::kIo, act, api.FillStringTensor(value, pointers.data(), pointers.size()));
      return owned;
    }
    // The runtime asks for a pointer to what it may write to, and does not write to inputs.
    auto* const data = const_cast<std::byte*>(tensor.bytes.view.data());
    TRY_ORT(runtime_, Errc::kIo, act,
            api.CreateTensorWithDataAsOrtValue(runtime_.memory, data, tensor.bytes.view.size(), tensor.shape.data(), tensor.shape.size(),
                                               type.type, &value));
    return Owned<OrtValue>(value, api.ReleaseValue);
  }

  Result<Tensor> to_tensor(Owned<OrtValue> value, const TensorInfo& info) const {
    const OrtApi& api = *runtime_.api;
    const std::string act = "read output " + info.name;
    OrtTensorTypeAndShapeInfo* raw = nullptr;
    TRY_ORT(runtime_, Errc::kIo, act, api.GetTensorTypeAndShape(value.get(), &raw));
    const Owned<OrtTensorTypeAndShapeInfo> about(raw, api.ReleaseTensorTypeAndShapeInfo);
    std::size_t rank = 0, count = 0;
    TRY_ORT(runtime_, Errc::kIo, act, api.GetDimensionsCount(raw, &rank));
    TRY_ORT(runtime_, Errc::kIo, act, api.GetTensorShapeElementCount(raw, &count));
    const auto* const type = find_data_type(info.type);
    if (!type) return fail(Errc::kUnsupported, fmt::format("{}: it is {}", act, info.type));
    Tensor tensor{info.name, type->type, std::vector<std::int64_t>(rank), {}};
    TRY_ORT(runtime_, Errc::kIo, act, api.GetDimensions(raw, tensor.shape.data(), rank));
    if (tensor.type == DataType::kString) {
      std::size_t length = 0;
      TRY_ORT(runtime_, Errc::kIo, act, api.GetStringTensorDataLength(value.get(), &length));
      std::string text(length, '\0');
      std::vector<std::size_t> offsets(count);
      TRY_ORT(runtime_, Errc::kIo, act, api.GetStringTensorContent(value.get(), text.data(), length, offsets.data(), count));
      std::vector<std::byte> bytes;
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t end = i + 1 < count ? offsets[i + 1] : length;
        const auto size = static_cast<std::uint32_t>(end - offsets[i]);
        const auto* const prefix = reinterpret_cast<const std::byte*>(&size);
        bytes.insert(bytes.end(), prefix, prefix + sizeof size);
        const auto* const data = reinterpret_cast<const std::byte*>(text.data()) + offsets[i];
        bytes.insert(bytes.end(), data, data + size);
      }
      tensor.bytes = Bytes::of(std::move(bytes));
      return tensor;
    }
    void* data = nullptr;
    TRY_ORT(runtime_, Errc::kIo, act, api.GetTensorMutableData(value.get(), &data));
    tensor.bytes.view = {static_cast<const std::byte*>(data), count * type->size};
    tensor.bytes.owner = std::make_shared<Held>(Held{std::move(value)});
    return tensor;
  }

  const Runtime& runtime_;
  onnx::Session session_;
  std::vector<const char*> input_names_, output_names_;
};

}  // namespace

Result<std::unique_ptr<Backend>> open_onnx_backend(const std::string& path, const EngineOptions& options) {
  TRY(auto session, onnx::open_session(path, options));
  auto& model = session.model;
  for (std::size_t i = 0; i < session.inputs.size(); ++i) {
    if (!session.inputs[i].type) {
      return fail(Errc::kUnsupported, fmt::format("input {} of {} is {}", model.inputs[i].name, path, model.inputs[i].type),
                  "only tensors of real numbers, integers, truth values and strings can be sent");
    }
  }
  if (!batchable(model)) {
    const bool has_axis = !model.inputs.empty() && !model.inputs.front().shape.empty();
    model.fixed_batch = has_axis ? std::max<std::int64_t>(model.inputs.front().shape.front(), 1) : 1;
  }
  return std::make_unique<OnnxBackend>(std::move(session));
}

}  // namespace polythrottle

#else

namespace polythrottle {

Result<std::unique_ptr<Backend>> open_onnx_backend(const std::string& path, const EngineOptions&) {
  return fail(Errc::kUnsupported, "serve " + path + ": this program has no ONNX Runtime",
              "run scripts/fetch-onnxruntime and build again, or use another engine");
}

}  // namespace polythrottle

#endif
