#pragma once
// ONNX Runtime, loaded at run time through its C interface: what the files onnx*.cc share, and nobody else includes. The headers are of API
// 26 (1.26); only functions that version 1.12 has too are called, so that the library of a distribution or of a JetPack serves as well.

#define ORT_API_MANUAL_INIT
#include <fmt/format.h>
#include <onnxruntime_c_api.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace polythrottle::onnx {

struct Failure {
  OrtErrorCode code;
  std::string words;
};

/// A loaded library with its environment. Lives until the program ends: the runtime's own threads and statics do not survive dlclose.
struct Runtime {
  const OrtApi* api = nullptr;
  OrtEnv* environment = nullptr;
  OrtMemoryInfo* memory = nullptr;
  OrtAllocator* allocator = nullptr;
  std::string version, path;
  std::vector<std::string> providers;

  /// What `status` says, which is released; nullopt for a success.
  std::optional<Failure> failure(OrtStatus* status) const;
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

/// The library named by the user, else the system's, else the fetched one. Loaded once; safe from several threads. Errors: kUnsupported,
/// with what would help.
Result<const Runtime*> find_runtime();

struct ElementType {
  ONNXTensorElementDataType type;
  const char* name;
  std::size_t size;
};
/// nullptr for types that no tensor of ours has.
const ElementType* find_type(ONNXTensorElementDataType type);

}  // namespace polythrottle::onnx
