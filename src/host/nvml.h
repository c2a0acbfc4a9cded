#pragma once
// The NVIDIA driver's own library, loaded at run time: its functions with errors as values. Everything above host/ sees GPUs as files
// (host/nvml_files.h) and never calls this.

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "host/nvml_abi.h"

namespace polythrottle {

/// What a code of NVML means: "ACT: words (NVML error N)", and what the user can do about it. Codes that we do not know are kIo.
Error nvml_error(const std::string& act, nvml::Return code);

/// The value of a reading that succeeded, if its type is one for whole numbers from 0.
std::optional<std::uint64_t> whole_number(const nvml::FieldValue& reading);

/// A loaded and initialised library. Its calls may be made from several threads; the library takes care of itself.
class Nvml {
 public:
  /// Loads the library (the name as for dlopen) and initialises it; a driver without persistence mode keeps its GPUs set up as long as
  /// some process has done so. Errors: kNotFound where there is no such library or no driver behind it, kUnsupported in a static build or
  /// for another library of that name, others as nvml_error says.
  static Result<std::unique_ptr<Nvml>> open(const std::string& library = nvml::kLibrary);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// Does the library have it? A driver older than a function lacks its symbol.
  bool has(const char* symbol) const { return find(symbol) != nullptr; }

  /// Calls a function. Errors: kUnsupported where the library lacks it, else as nvml_error says.
  template <class... Parameters, class... Arguments>
  Status call(const nvml::Function<Parameters...>& function, Arguments... arguments) const {
    TRY(const nvml::Return code, code_of(function, arguments...));
    if (code != nvml::kSuccess) return tl::unexpected<Error>(nvml_error(function.symbol, code));
    return {};
  }

  /// The same, where a code other than success is an answer. Errors: kUnsupported where the library lacks the function.
  template <class... Parameters, class... Arguments>
  Result<nvml::Return> code_of(const nvml::Function<Parameters...>& function, Arguments... arguments) const {
    void* const address = find(function.symbol);
    if (address == nullptr) return lacking(function.symbol);
    nvml::Return (*pointer)(Parameters...) = nullptr;
    static_assert(sizeof pointer == sizeof address);
    std::memcpy(&pointer, &address, sizeof pointer);  // the conversion that POSIX promises and ISO C++ leaves open
    return pointer(static_cast<Parameters>(arguments)...);
  }

 private:
  explicit Nvml(void* library) : library_(library) {}
  void* find(const char* symbol) const;
  static tl::unexpected<Error> lacking(const char* symbol);

  void* library_;
};

}  // namespace polythrottle
