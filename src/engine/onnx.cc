// ONNX Runtime, loaded at run time through its C interface. The headers are of API 26 (1.26); only functions that version 1.12 has too are
// called, so that the library of a distribution or of a JetPack serves as well.

#include "engine/engine.h"

#if POLYTHROTTLE_HAVE_ONNXRUNTIME

#define ORT_API_MANUAL_INIT
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <mutex>
#include <new>
#include <numbers>
#include <random>
#include <set>
#include <string_view>
#include <utility>

#include "engine/hash.h"

namespace polythrottle {
namespace {

constexpr std::uint32_t kOldestApi = 12;
constexpr const char* kFetchHint =
    "scripts/fetch-onnxruntime gets one, or name a library with the environment variable ONNXRUNTIME_LIBRARY";

/// What the runtime says on one line not longer than a person reads, without source position and signature:
/// "Load model from m.onnx failed:/build/.../model.cc:166 onnxruntime::Model::Model(a, b) what happened".
std::string one_line(std::string_view words) {
  words = words.substr(0, words.find('\n'));
  if (words.starts_with("Load model from ")) {
    if (const auto end = words.find(" failed:"); end != std::string_view::npos) words.remove_prefix(end + 8);
  }
  if (const auto position = words.find(".cc:"); position != std::string_view::npos && words.find(' ') > position) {
    if (const auto end = words.find(") ", position); end != std::string_view::npos) words.remove_prefix(end + 2);
  }
  constexpr std::size_t kLongest = 240;
  std::string line(words.substr(0, kLongest));
  if (line.size() < words.size()) line += "...";
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

struct Failure {
  OrtErrorCode code;
  std::string words;
};

/// Errors come back as values, and the runtime says the same again on stderr unless it gets a logger of ours.
void ORT_API_CALL discard_log(void*, OrtLoggingLevel, const char*, const char*, const char*, const char*) {}

/// A loaded library with its environment. Lives until the program ends: the runtime's own threads and statics do not survive dlclose.
struct Runtime {
  const OrtApi* api = nullptr;
  OrtEnv* environment = nullptr;
  OrtMemoryInfo* memory = nullptr;
  OrtAllocator* allocator = nullptr;
  std::string version, path;
  std::vector<std::string> providers;

  std::optional<Failure> failure(OrtStatus* status) const {
    if (!status) return std::nullopt;
    Failure failure{api->GetErrorCode(status), one_line(api->GetErrorMessage(status))};
    api->ReleaseStatus(status);
    return failure;
  }
};

/// An object of the runtime, released with its own function.
template <class T>
using Owned = std::unique_ptr<T, void(ORT_API_CALL*)(T*)>;

#define TRY_ORT(runtime, code, act, expression)                                     \
  do {                                                                              \
    if (auto failed = (runtime).failure(expression); failed) {                      \
      return ::polythrottle::fail(code, fmt::format("{}: {}", act, failed->words)); \
    }                                                                               \
  } while (false)

Result<std::unique_ptr<Runtime>> load(const std::string& name) {
  // Builds of 1.29 and later write files and hold an upload address for telemetry, unless told not to before they are loaded.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* const words = dlerror();
    return fail(Errc::kUnsupported, fmt::format("load {}: {}", name, one_line(words ? words : "failed")));
  }
  void* const symbol = dlsym(library, "OrtGetApiBase");
  const OrtApiBase* base = nullptr;
  if (symbol) {
    const OrtApiBase*(ORT_API_CALL * get_base)() = nullptr;
    static_assert(sizeof get_base == sizeof symbol);
    std::memcpy(&get_base, &symbol, sizeof symbol);  // the conversion POSIX promises and ISO C++ leaves open
    base = get_base();
  }
  if (!base) {
    dlclose(library);
    return fail(Errc::kUnsupported, fmt::format("load {}: no ONNX Runtime library (it has no OrtGetApiBase)", name));
  }
  auto runtime = std::make_unique<Runtime>();
  runtime->version = base->GetVersionString();
  // The API of release 1.N is N. Asking for a newer one would make the library complain on stderr.
  std::uint32_t newest = 0;
  const std::string_view version = runtime->version;
  if (version.starts_with("1.")) std::from_chars(version.data() + 2, version.data() + version.size(), newest);
  for (std::uint32_t wanted = std::min<std::uint32_t>(newest, ORT_API_VERSION); wanted >= kOldestApi && !runtime->api; --wanted) {
    runtime->api = base->GetApi(wanted);
  }
  if (!runtime->api) {
    return fail(Errc::kUnsupported, fmt::format("load {}: ONNX Runtime {} is older than 1.{}", name, runtime->version, kOldestApi));
  }
  Dl_info where{};
  runtime->path = dladdr(symbol, &where) != 0 && where.dli_fname ? where.dli_fname : name;

  const OrtApi& api = *runtime->api;
  const std::string act = "start ONNX Runtime " + runtime->version;
  TRY_ORT(*runtime, Errc::kUnsupported, act,
          api.CreateEnvWithCustomLogger(discard_log, nullptr, ORT_LOGGING_LEVEL_ERROR, "polythrottle", &runtime->environment));
  TRY_ORT(*runtime, Errc::kUnsupported, act, api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &runtime->memory));
  TRY_ORT(*runtime, Errc::kUnsupported, act, api.GetAllocatorWithDefaultOptions(&runtime->allocator));
  char** names = nullptr;
  int count = 0;
  TRY_ORT(*runtime, Errc::kUnsupported, act, api.GetAvailableProviders(&names, &count));
  for (int i = 0; i < count; ++i) runtime->providers.emplace_back(names[i]);
  runtime->failure(api.ReleaseAvailableProviders(names, count));
  return runtime;
}

std::string cached_library() {
  std::string cache;
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder && *folder) {
    cache = folder;
  } else if (const char* home = std::getenv("HOME"); home && *home) {
    cache = std::string(home) + "/.cache";
  }
  return cache.empty() ? cache : cache + "/polythrottle/onnxruntime/lib/libonnxruntime.so.1";
}

/// The library named by the user, else the system's, else the fetched one. Loaded once; safe from several threads.
Result<const Runtime*> find_runtime() {
  static std::mutex mutex;
  // By the name the user gave ("" for none). Never destroyed, see Runtime.
  static auto& loaded = *new std::map<std::string, std::unique_ptr<Runtime>>;
  const std::lock_guard lock(mutex);
  const char* const given = std::getenv("ONNXRUNTIME_LIBRARY");
  const std::string name = given ? given : "";
  if (const auto found = loaded.find(name); found != loaded.end()) return found->second.get();
  if (!name.empty()) {
    auto runtime = load(name);
    if (!runtime) {
      return fail(runtime.error().code, runtime.error().what, "it was named by the environment variable ONNXRUNTIME_LIBRARY");
    }
    return (loaded[name] = std::move(*runtime)).get();
  }
  std::vector<std::string> reasons;
  for (const auto& candidate : {std::string("libonnxruntime.so.1"), std::string("libonnxruntime.so"), cached_library()}) {
    if (candidate.empty()) continue;
    auto runtime = load(candidate);
    if (runtime) return (loaded[name] = std::move(*runtime)).get();
    // A library that is not there needs no words; one that is there and unfit does.
    if (runtime.error().what.find("cannot open shared object file") == std::string::npos) reasons.push_back(runtime.error().what);
  }
  return fail(Errc::kUnsupported, reasons.empty() ? "there is no ONNX Runtime library" : fmt::format("{}", fmt::join(reasons, "; ")),
              kFetchHint);
}

struct ElementType {
  ONNXTensorElementDataType type;
  const char* name;
  std::size_t size;
};
constexpr std::array kElementTypes{
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, "float32", 4},   ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, "float64", 8},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, "float16", 2}, ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, "bfloat16", 2},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, "int8", 1},       ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, "int16", 2},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, "int32", 4},     ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, "int64", 8},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, "uint8", 1},     ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, "uint16", 2},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, "uint32", 4},   ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, "uint64", 8},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, "bool", 1},       ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, "string", 0},
};

const ElementType* find_type(ONNXTensorElementDataType type) {
  const auto found = std::find_if(kElementTypes.begin(), kElementTypes.end(), [&](const auto& row) { return row.type == type; });
  return found == kElementTypes.end() ? nullptr : &*found;
}

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

Result<Owned<OrtSession>> open_session(const Runtime& runtime, const std::string& path, const EngineOptions& options) {
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

struct Tensor {
  TensorInfo info;
  const ElementType* type = nullptr;  ///< nullptr: a sequence, a map, or an element type we cannot fill
};

/// `index`-th input or output of the session.
Result<Tensor> read_tensor(const Runtime& runtime, const OrtSession* session, std::size_t index, bool input) {
  const OrtApi& api = *runtime.api;
  constexpr const char* kAct = "read the model's inputs and outputs";
  Tensor tensor;
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

struct Opened {
  const Runtime* runtime = nullptr;
  Owned<OrtSession> session;
  ModelInfo model;
  std::vector<Input> inputs;
};

/// Decides which axes are the batch and gives every other free axis its value.
Result<std::vector<Input>> resolve(const std::vector<Tensor>& tensors, const EngineOptions& options, ModelInfo& model) {
  std::set<std::string> names, missing, input_names;
  // A value under INPUT[AXIS] is of this axis alone and goes before one under the name of the dimension.
  const auto place = [](const Tensor& tensor, std::size_t axis) { return fmt::format("{}[{}]", tensor.info.name, axis); };
  const auto value_of = [&](const Tensor& tensor, std::size_t axis) -> std::optional<std::int64_t> {
    for (const auto& name : {place(tensor, axis), tensor.info.dimensions[axis]}) {
      if (const auto found = options.dimensions.find(name); found != options.dimensions.end()) return found->second;
    }
    return std::nullopt;
  };
  const auto is_free = [](const Tensor& tensor, std::size_t axis) { return tensor.info.shape[axis] < 0; };

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

Result<Opened> open_model(const std::string& path, const EngineOptions& options) {
  if (options.threads < 1) return fail(Errc::kInvalid, fmt::format("{} threads for {}", options.threads, path), "give at least 1");
  TRY(const Runtime* const runtime, find_runtime());
  TRY(auto session, open_session(*runtime, path, options));
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
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < input_count; ++i) {
    TRY(auto tensor, read_tensor(*runtime, session.get(), i, true));
    model.inputs.push_back(tensor.info);
    tensors.push_back(std::move(tensor));
  }
  for (std::size_t i = 0; i < output_count; ++i) {
    TRY(const auto tensor, read_tensor(*runtime, session.get(), i, false));
    model.outputs.push_back(tensor.info);
  }
  TRY(auto inputs, resolve(tensors, options, model));
  return Opened{runtime, std::move(session), std::move(model), std::move(inputs)};
}

}  // namespace

Result<ModelInfo> inspect_onnx(const std::string& path, const EngineOptions& options) {
  TRY(auto opened, open_model(path, options));
  return std::move(opened.model);
}

Result<std::unique_ptr<Engine>> open_onnx(const std::string& path, const EngineOptions& options) {
  TRY(auto opened, open_model(path, options));
  return std::make_unique<OnnxEngine>(*opened.runtime, std::move(opened.session), std::move(opened.model), std::move(opened.inputs),
                                      options.seed);
}

Result<std::string> onnx_runtime() {
  TRY(const Runtime* const runtime, find_runtime());
  return fmt::format("ONNX Runtime {}, {}", runtime->version, runtime->path);
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
