#pragma once
// The nodes of one GPU below /nvml, and the calls that answer them.

#include <span>
#include <string>
#include <string_view>

#include "host/nvml.h"

namespace polythrottle {

/// A text of one line, without its end. Errors: as of Nvml::call.
struct NvmlNode {
  std::string_view name;
  Result<std::string> (*read)(const Nvml& nvml, nvml::Device device);
  /// Null: read-only. Errors: kInvalid for a text that is not of its form, else as of Nvml::call.
  Status (*write)(const Nvml& nvml, nvml::Device device, const std::string& text) = nullptr;
  /// What the write calls; the driver may lack it.
  const char* symbol = nullptr;
  /// The driver does not tell it: `read` is null, and what was written last is all that is known.
  bool remembered() const { return read == nullptr; }
};

/// All but uuid, index and the table of graphics clocks, which depend on more than the device.
std::span<const NvmlNode> nvml_nodes();

inline constexpr std::string_view kLockedGraphicsClocks = "locked_graphics_clocks";
inline constexpr std::string_view kLockedMemoryClocks = "locked_memory_clocks";

Result<std::string> nvml_uuid(const Nvml& nvml, nvml::Device device);
/// MHz separated by spaces, in the driver's order. Errors: kNotFound for a memory clock that the GPU does not have.
Result<std::string> nvml_graphics_clocks(const Nvml& nvml, nvml::Device device, unsigned memory_mhz);

}  // namespace polythrottle
