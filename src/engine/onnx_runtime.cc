#include "engine/engine.h"

#if POLYTHROTTLE_HAVE_ONNXRUNTIME

#include <dlfcn.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string_view>

#include "engine/onnx_runtime.h"

namespace polythrottle {
namespace onnx {
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

/// Errors come back as values, and the runtime says the same again on stderr unless it gets a logger of ours.
void ORT_API_CALL discard_log(void*, OrtLoggingLevel, const char*, const char*, const char*, const char*) {}

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

constexpr std::array kElementTypes{
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, "float32", 4},   ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, "float64", 8},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, "float16", 2}, ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, "bfloat16", 2},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, "int8", 1},       ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, "int16", 2},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, "int32", 4},     ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, "int64", 8},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, "uint8", 1},     ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, "uint16", 2},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, "uint32", 4},   ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, "uint64", 8},
    ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, "bool", 1},       ElementType{ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, "string", 0},
};

}  // namespace

std::optional<Failure> Runtime::failure(OrtStatus* status) const {
  if (!status) return std::nullopt;
  Failure failure{api->GetErrorCode(status), one_line(api->GetErrorMessage(status))};
  api->ReleaseStatus(status);
  return failure;
}

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

const ElementType* find_type(ONNXTensorElementDataType type) {
  const auto found = std::find_if(kElementTypes.begin(), kElementTypes.end(), [&](const auto& row) { return row.type == type; });
  return found == kElementTypes.end() ? nullptr : &*found;
}

}  // namespace onnx

Result<std::string> onnx_runtime() {
  TRY(const onnx::Runtime* const runtime, onnx::find_runtime());
  return fmt::format("ONNX Runtime {}, {}", runtime->version, runtime->path);
}

}  // namespace polythrottle

#endif
