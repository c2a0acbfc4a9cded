#include "host/nvml_nodes.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <vector>

namespace polythrottle {
namespace {

using nvml::Device;

/// NVML fills a buffer and ends the text with a NUL.
template <const auto& kFunction>
Result<std::string> text(const Nvml& nvml, Device device) {
  std::array<char, nvml::kTextLength> buffer{};
  TRY_STATUS(nvml.call(kFunction, device, buffer.data(), buffer.size()));
  buffer.back() = '\0';
  return std::string(buffer.data());
}

template <const auto& kFunction>
Result<std::string> number(const Nvml& nvml, Device device) {
  unsigned value = 0;
  TRY_STATUS(nvml.call(kFunction, device, &value));
  return std::to_string(value);
}

template <unsigned kDomain>
Result<std::string> clock(const Nvml& nvml, Device device) {
  unsigned mhz = 0;
  TRY_STATUS(nvml.call(nvml::kClock, device, kDomain, &mhz));
  return std::to_string(mhz);
}

Result<std::string> driver(const Nvml& nvml, Device) {
  std::array<char, nvml::kTextLength> buffer{};
  TRY_STATUS(nvml.call(nvml::kDriverVersion, buffer.data(), buffer.size()));
  buffer.back() = '\0';
  return std::string(buffer.data());
}

Result<std::string> pci_bus_id(const Nvml& nvml, Device device) {
  nvml::PciInfo info{};
  TRY_STATUS(nvml.call(nvml::kPciInfo, device, &info));
  info.bus_id[sizeof info.bus_id - 1] = '\0';
  return std::string(info.bus_id);
}

Result<std::string> architecture(const Nvml& nvml, Device device) {
  // nvmlDeviceArchitecture_t from 2 on; 11 and 12 are not in the header we know.
  constexpr std::array kNames{"kepler", "maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell"};
  unsigned value = 0;
  TRY_STATUS(nvml.call(nvml::kArchitecture, device, &value));
  if (value >= 2 && value - 2 < kNames.size()) return std::string(kNames[value - 2]);
  return value == 13 ? std::string("rubin") : "unknown (" + std::to_string(value) + ")";
}

/// A list whose length NVML tells when it is asked with no room.
template <class Call>
Result<std::string> clock_list(const char* symbol, const Call& call) {
  unsigned count = 0;
  TRY(nvml::Return code, call(&count, nullptr));
  if (code == nvml::kSuccess) return std::string();
  if (code != nvml::kInsufficientSize) return tl::unexpected<Error>(nvml_error(symbol, code));
  std::vector<unsigned> clocks(count);
  TRY(code, call(&count, clocks.data()));
  if (code != nvml::kSuccess) return tl::unexpected<Error>(nvml_error(symbol, code));
  std::string list;
  for (std::size_t i = 0; i < clocks.size() && i < count; ++i) list += (list.empty() ? "" : " ") + std::to_string(clocks[i]);
  return list;
}

Result<std::string> memory_clocks(const Nvml& nvml, Device device) {
  return clock_list(nvml::kMemoryClocks.symbol,
                    [&](unsigned* count, unsigned* clocks) { return nvml.code_of(nvml::kMemoryClocks, device, count, clocks); });
}

template <bool kUpper>
Result<std::string> power_bound(const Nvml& nvml, Device device) {
  unsigned lower = 0;
  unsigned upper = 0;
  TRY_STATUS(nvml.call(nvml::kPowerLimitRange, device, &lower, &upper));
  return std::to_string(kUpper ? upper : lower);
}

Result<std::string> event_reasons(const Nvml& nvml, Device device) {
  unsigned long long bits = 0;
  const bool renamed = nvml.has(nvml::kEventReasons.symbol);
  TRY_STATUS(nvml.call(renamed ? nvml::kEventReasons : nvml::kThrottleReasons, device, &bits));
  char hex[24];
  std::snprintf(hex, sizeof hex, "0x%016llx", bits);
  return std::string(hex);
}

Result<std::string> mig_mode(const Nvml& nvml, Device device) {
  unsigned current = 0;
  unsigned pending = 0;
  TRY_STATUS(nvml.call(nvml::kMigMode, device, &current, &pending));
  return std::to_string(current);
}

Result<std::string> temperature(const Nvml& nvml, Device device) {
  if (nvml.has(nvml::kTemperature.symbol)) {
    nvml::Temperature reading;
    TRY_STATUS(nvml.call(nvml::kTemperature, device, &reading));
    return std::to_string(reading.celsius);
  }
  unsigned celsius = 0;
  TRY_STATUS(nvml.call(nvml::kTemperatureOld, device, nvml::kGpuSensor, &celsius));
  return std::to_string(celsius);
}

template <bool kMemory>
Result<std::string> utilization(const Nvml& nvml, Device device) {
  nvml::Utilization percent{};
  TRY_STATUS(nvml.call(nvml::kUtilization, device, &percent));
  return std::to_string(kMemory ? percent.memory : percent.gpu);
}

Result<std::string> total_energy(const Nvml& nvml, Device device) {
  unsigned long long millijoules = 0;
  TRY_STATUS(nvml.call(nvml::kTotalEnergy, device, &millijoules));
  return std::to_string(millijoules);
}

Result<std::string> memory_used(const Nvml& nvml, Device device) {
  nvml::Memory memory{};
  TRY_STATUS(nvml.call(nvml::kMemoryInfo, device, &memory));
  return std::to_string(memory.used);
}

/// A reading by number, of the GPU as a whole. The call succeeds also where the one reading that it was asked for did not.
template <unsigned kField>
Result<std::string> field(const Nvml& nvml, Device device) {
  nvml::FieldValue reading{};
  reading.field = kField;
  TRY_STATUS(nvml.call(nvml::kFieldValues, device, 1, &reading));
  const std::string act = "field " + std::to_string(kField);
  if (reading.result != nvml::kSuccess) return tl::unexpected<Error>(nvml_error(act, reading.result));
  const auto value = whole_number(reading);
  if (!value) return fail(Errc::kUnsupported, act + ": of a type that was not expected (" + std::to_string(reading.type) + ")");
  return std::to_string(*value);
}

/// One whole number, or with `second` two separated by a space.
bool parse(std::string_view text, unsigned& first, unsigned* second = nullptr) {
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, first);
  if (error != std::errc{}) return false;
  if (second == nullptr) return at == end;
  if (at == end || *at != ' ') return false;
  const auto [last, second_error] = std::from_chars(at + 1, end, *second);
  return second_error == std::errc{} && last == end;
}

template <const auto& kLock, const auto& kUnlock>
Status lock(const Nvml& nvml, Device device, const std::string& text) {
  if (text == "unlocked") return nvml.call(kUnlock, device);
  unsigned lowest = 0;
  unsigned highest = 0;
  if (!parse(text, lowest, &highest) || lowest > highest) {
    return fail(Errc::kInvalid, "'" + text + "' is neither \"MIN MAX\" in MHz nor \"unlocked\"");
  }
  return nvml.call(kLock, device, lowest, highest);
}

Status set_power_limit(const Nvml& nvml, Device device, const std::string& text) {
  unsigned milliwatts = 0;
  if (!parse(text, milliwatts)) return fail(Errc::kInvalid, "'" + text + "' is no whole number of milliwatts");
  return nvml.call(nvml::kSetPowerLimit, device, milliwatts);
}

constexpr std::array kNodes{
    NvmlNode{"name", text<nvml::kName>},
    NvmlNode{"pci_bus_id", pci_bus_id},
    NvmlNode{"driver", driver},
    NvmlNode{"architecture", architecture},
    NvmlNode{"supported_memory_clocks", memory_clocks},
    NvmlNode{kLockedGraphicsClocks, nullptr, lock<nvml::kLockGraphics, nvml::kUnlockGraphics>, nvml::kLockGraphics.symbol},
    NvmlNode{kLockedMemoryClocks, nullptr, lock<nvml::kLockMemory, nvml::kUnlockMemory>, nvml::kLockMemory.symbol},
    NvmlNode{"power_limit_mw", number<nvml::kPowerLimit>, set_power_limit, nvml::kSetPowerLimit.symbol},
    NvmlNode{"power_limit_min_mw", power_bound<false>},
    NvmlNode{"power_limit_max_mw", power_bound<true>},
    NvmlNode{"power_limit_default_mw", number<nvml::kPowerLimitDefault>},
    NvmlNode{"power_limit_enforced_mw", number<nvml::kPowerLimitEnforced>},
    NvmlNode{"graphics_clock_mhz", clock<nvml::kGraphicsClock>},
    NvmlNode{"sm_clock_mhz", clock<nvml::kSmClock>},
    NvmlNode{"memory_clock_mhz", clock<nvml::kMemoryClock>},
    NvmlNode{"clocks_event_reasons", event_reasons},
    NvmlNode{"persistence_mode", number<nvml::kPersistence>},
    NvmlNode{"mig_mode", mig_mode},
    NvmlNode{"energy_mj", total_energy},
    NvmlNode{"power_mw", number<nvml::kPower>},
    NvmlNode{"power_instant_mw", field<nvml::kFieldPowerInstant>},
    NvmlNode{"power_average_mw", field<nvml::kFieldPowerAverage>},
    NvmlNode{"software_thermal_slowdown_ns", field<nvml::kFieldSoftwareThermalTime>},
    NvmlNode{"hardware_thermal_slowdown_ns", field<nvml::kFieldHardwareThermalTime>},
    NvmlNode{"power_brake_slowdown_ns", field<nvml::kFieldPowerBrakeTime>},
    NvmlNode{"memory_used_bytes", memory_used},
    NvmlNode{"temperature_celsius", temperature},
    NvmlNode{"utilization_percent", utilization<false>},
    NvmlNode{"memory_utilization_percent", utilization<true>},
};

}  // namespace

std::span<const NvmlNode> nvml_nodes() { return kNodes; }

Result<std::string> nvml_uuid(const Nvml& nvml, Device device) { return text<nvml::kUuid>(nvml, device); }

Result<std::string> nvml_graphics_clocks(const Nvml& nvml, Device device, unsigned memory_mhz) {
  return clock_list(nvml::kGraphicsClocks.symbol, [&](unsigned* count, unsigned* clocks) {
    return nvml.code_of(nvml::kGraphicsClocks, device, memory_mhz, count, clocks);
  });
}

}  // namespace polythrottle
