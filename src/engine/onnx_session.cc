#if POLYTHROTTLE_HAVE_ONNXRUNTIME

#include "engine/onnx_session.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "engine/hash.h"
#include "engine/onnx_runtime.h"

namespace polythrottle::onnx {
namespace {

std::string provider_word(const std::string& name) {
  if (name == "CPUExecutionProvider") return "cpu";
  if (name == "CUDAExecutionProvider") return "cuda";
  if (name == "TensorrtExecutionProvider") return "tensorrt";
  return name;
}

Status add_provider(const Runtime& runtime, OrtSessionOptions* options, const std::string& provider) {
  if (provider == "cpu") return {};
  std::vector<std::string> there;
  for (const auto& name : runtime.providers) there.push_back(provider_word(name));
  const bool has_it = std::find(there.begin(), there.end(), provider) != there.end();
  if (!has_it || (provider != "cuda" && provider != "tensorrt")) {
    return fail(Errc::kUnsupported, fmt::format("provider {} of ONNX Runtime {}, {}", provider, runtime.version, runtime.path),
                fmt::format("it has {}; name another library with the environment variable ONNXRUNTIME_LIBRARY", fmt::join(there, ", ")));
  }
  const OrtApi& api = *runtime.api;
  const std::string act = "start provider " + provider;
  if (provider == "tensorrt") {
    OrtTensorRTProviderOptionsV2* raw = nullptr;
    TRY_ORT(runtime, Errc::kUnsupported, act, api.CreateTensorRTProviderOptions(&raw));
    const Owned<OrtTensorRTProviderOptionsV2> tensorrt(raw, api.ReleaseTensorRTProviderOptions);
    TRY_ORT(runtime, Errc::kUnsupported, act, api.SessionOptionsAppendExecutionProvider_TensorRT_V2(options, tensorrt.get()));
    // What TensorRT cannot do stays on the GPU where CUDA is there too.
    if (std::find(there.begin(), there.end(), "cuda") == there.end()) return {};
  }
  OrtCUDAProviderOptionsV2* raw = nullptr;
  TRY_ORT(runtime, Errc::kUnsupported, act, api.CreateCUDAProviderOptions(&raw));
  const Owned<OrtCUDAProviderOptionsV2> cuda(raw, api.ReleaseCUDAProviderOptions);
  TRY_ORT(runtime, Errc::kUnsupported, act, api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda.get()));
  return {};
}

/// The runtime's code alone does not tell a broken file from one that is too new for it.
Error load_error(const Runtime& runtime, const std::string& path, const std::string& provider, const Failure& failure) {
  const auto says = [&](std::string_view words) { return failure.words.find(words) != std::string::npos; };
  const std::string what = fmt::format("load {}: {}", path, failure.words);
  if (failure.code == ORT_NO_SUCHFILE) return {Errc::kNotFound, what, ""};
  if (failure.code == ORT_NOT_IMPLEMENTED || says("not a registered function/op") || says("No Op registered for") ||
      says("No opset import for domain") || says("Unsupported model IR version") || says("under development") ||
      says("Unrecognized attribute") || says("is not a registered domain")) {
    return {Errc::kUnsupported, what,
            fmt::format("ONNX Runtime {} cannot run it; name another library with the environment variable ONNXRUNTIME_LIBRARY",
                        runtime.version)};
  }
  if (failure.code == ORT_EP_FAIL || (provider != "cpu" && (failure.code == ORT_RUNTIME_EXCEPTION || failure.code == ORT_ENGINE_ERROR))) {
    return {Errc::kUnsupported, what, fmt::format("provider {} could not take it", provider)};
  }
  return {Errc::kCorrupt, what, "is it a complete ONNX file?"};
}

Result<Owned<OrtSession>> create_session(const Runtime& runtime, const std::string& path, const EngineOptions& options) {
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  if (kind == std::filesystem::file_type::not_found) return fail(Errc::kNotFound, "load " + path + ": no such file");
  if (kind == std::filesystem::file_type::directory) return fail(Errc::kCorrupt, "load " + path + ": a folder, not an ONNX file");

  const OrtApi& api = *runtime.api;
  const std::string act = "load " + path;
  OrtSessionOptions* raw = nullptr;
  TRY_ORT(runtime, Errc::kIo, act, api.CreateSessionOptions(&raw));
  const Owned<OrtSessionOptions> settings(raw, api.ReleaseSessionOptions);
  TRY_ORT(runtime, Errc::kInvalid, act, api.SetIntraOpNumThreads(raw, options.threads));
  TRY_ORT(runtime, Errc::kInvalid, act, api.SetInterOpNumThreads(raw, 1));
  TRY_ORT(runtime, Errc::kInvalid, act, api.SetSessionExecutionMode(raw, ORT_SEQUENTIAL));
  TRY_ORT(runtime, Errc::kInvalid, act, api.SetSessionLogSeverityLevel(raw, ORT_LOGGING_LEVEL_ERROR));
  if (const auto added = add_provider(runtime, raw, options.provider); !added) {
    auto error = added.error();
    // The library knows the provider, but a part of it is not installed.
    if (error.hint.empty())
      error.hint = "the provider's own libraries (libonnxruntime_providers_*.so, CUDA, cuDNN, TensorRT) must be there too";
    return tl::unexpected<Error>(std::move(error));
  }
  OrtSession* session = nullptr;
  if (const auto failed = runtime.failure(api.CreateSession(runtime.environment, path.c_str(), raw, &session)); failed) {
    return tl::unexpected<Error>(load_error(runtime, path, options.provider, *failed));
  }
  return Owned<OrtSession>(session, api.ReleaseSession);
}

/// `index`-th input or output of the session.
Result<Port> read_port(const Runtime& runtime, const OrtSession* session, std::size_t index, bool input) {
  const OrtApi& api = *runtime.api;
  constexpr const char* kAct = "read the model's inputs and outputs";
  Port tensor;
  char* name = nullptr;
  TRY_ORT(runtime, Errc::kCorrupt, kAct,
          (input ? api.SessionGetInputName : api.SessionGetOutputName)(session, index, runtime.allocator, &name));
  tensor.info.name = name;
  runtime.failure(api.AllocatorFree(runtime.allocator, name));
  OrtTypeInfo* raw = nullptr;
  TRY_ORT(runtime, Errc::kCorrupt, kAct, (input ? api.SessionGetInputTypeInfo : api.SessionGetOutputTypeInfo)(session, index, &raw));
  const Owned<OrtTypeInfo> type(raw, api.ReleaseTypeInfo);
  const OrtTensorTypeAndShapeInfo* shape = nullptr;
  TRY_ORT(runtime, Errc::kCorrupt, kAct, api.CastTypeInfoToTensorInfo(type.get(), &shape));
  if (!shape) {
    tensor.info.type = "no tensor";
    return tensor;
  }
  auto element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::size_t rank = 0;
  TRY_ORT(runtime, Errc::kCorrupt, kAct, api.GetTensorElementType(shape, &element));
  TRY_ORT(runtime, Errc::kCorrupt, kAct, api.GetDimensionsCount(shape, &rank));
  tensor.type = find_type(element);
  tensor.info.type = tensor.type ? tensor.type->name : fmt::format("element type {}", static_cast<int>(element));
  tensor.info.shape.resize(rank);
  std::vector<const char*> symbols(rank, nullptr);
  TRY_ORT(runtime, Errc::kCorrupt, kAct, api.GetDimensions(shape, tensor.info.shape.data(), rank));
  TRY_ORT(runtime, Errc::kCorrupt, kAct, api.GetSymbolicDimensions(shape, symbols.data(), rank));
  for (std::size_t axis = 0; axis < rank; ++axis) {
    auto& extent = tensor.info.shape[axis];
    std::string symbol;
    if (extent < 0) {
      extent = -1;
      symbol = symbols[axis] && *symbols[axis] ? symbols[axis] : fmt::format("{}[{}]", tensor.info.name, axis);
    }
    tensor.info.dimensions.push_back(std::move(symbol));
  }
  return tensor;
}

}  // namespace

Result<Session> open_session(const std::string& path, const EngineOptions& options) {
  if (options.threads < 1) return fail(Errc::kInvalid, fmt::format("{} threads for {}", options.threads, path), "give at least 1");
  TRY(const Runtime* const runtime, find_runtime());
  TRY(auto session, create_session(*runtime, path, options));
  const OrtApi& api = *runtime->api;
  ModelInfo model;
  model.path = path;
  model.runtime = fmt::format("ONNX Runtime {} ({}), {}", runtime->version,
                              options.provider == "cpu"    ? "CPU"
                              : options.provider == "cuda" ? "CUDA"
                                                           : "TensorRT",
                              runtime->path);
  TRY(model.sha256, sha256_of_file(path));
  std::size_t input_count = 0, output_count = 0;
  TRY_ORT(*runtime, Errc::kCorrupt, "load " + path, api.SessionGetInputCount(session.get(), &input_count));
  TRY_ORT(*runtime, Errc::kCorrupt, "load " + path, api.SessionGetOutputCount(session.get(), &output_count));
  std::vector<Port> inputs, outputs;
  for (std::size_t i = 0; i < input_count; ++i) {
    TRY(auto port, read_port(*runtime, session.get(), i, true));
    model.inputs.push_back(port.info);
    inputs.push_back(std::move(port));
  }
  for (std::size_t i = 0; i < output_count; ++i) {
    TRY(auto port, read_port(*runtime, session.get(), i, false));
    model.outputs.push_back(port.info);
    outputs.push_back(std::move(port));
  }
  return Session{runtime, std::move(session), std::move(model), std::move(inputs), std::move(outputs)};
}

}  // namespace polythrottle::onnx

#endif
