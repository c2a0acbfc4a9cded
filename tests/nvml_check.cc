// Holds our declarations of NVML against the driver of this machine: symbols, sizes of structures, field ids, every node below /nvml.
// Only reads. Exit codes: 0 they agree, 1 they do not, 77 there is no driver to ask (ctest: skipped).
//
//   nvml_check [LIBRARY]

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "host/nvml.h"
#include "host/nvml_files.h"

namespace polythrottle {
namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  std::printf("    %s  %s\n", holds ? "ok  " : "FAIL", what);
  failures += holds ? 0 : 1;
}

/// Room behind a structure in which a library that takes it for a larger one leaves traces.
template <class T>
struct Guarded {
  static constexpr unsigned char kMark = 0xa5;
  T value{};
  std::array<unsigned char, 256> behind;
  Guarded() { behind.fill(kMark); }
  bool whole() const {
    return std::all_of(behind.begin(), behind.end(), [](unsigned char byte) { return byte == kMark; });
  }
};

/// A call that this GPU may refuse; what it answers must fit where it was put.
template <class T, class Call>
bool guarded(const char* name, Guarded<T>& room, const Call& call) {
  const Status called = call(&room.value);
  std::printf("  %s (%zu bytes): %s\n", name, sizeof(T), called ? "answered" : called.error().text().c_str());
  expect(room.whole(), "nothing was written behind it");
  return called.has_value();
}

void check_structures(const Nvml& nvml, nvml::Device device) {
  Guarded<nvml::Utilization> utilization;
  if (guarded("nvmlUtilization_t", utilization, [&](auto* at) { return nvml.call(nvml::kUtilization, device, at); })) {
    expect(utilization.value.gpu <= 100 && utilization.value.memory <= 100, "both are percents");
  }
  Guarded<nvml::Temperature> temperature;
  if (guarded("nvmlTemperature_t", temperature, [&](auto* at) { return nvml.call(nvml::kTemperature, device, at); })) {
    expect(temperature.value.celsius > 0 && temperature.value.celsius < 120, "a temperature of a GPU that runs");
  }
  Guarded<nvml::PciInfo> pci;
  if (guarded("nvmlPciInfo_t", pci, [&](auto* at) { return nvml.call(nvml::kPciInfo, device, at); })) {
    unsigned domain = 0;
    unsigned bus = 0;
    const bool parsed = std::sscanf(pci.value.bus_id, "%x:%x:", &domain, &bus) == 2;
    expect(parsed && domain == pci.value.domain && bus == pci.value.bus, "its text and its numbers name the same bus");
  }
}

void check_fields(const Nvml& nvml, nvml::Device device) {
  constexpr std::array kFields{nvml::kFieldTotalEnergy,       nvml::kFieldPowerAverage,  nvml::kFieldPowerInstant,
                               nvml::kFieldPowerLimitMin,     nvml::kFieldPowerLimitMax, nvml::kFieldPowerLimitDefault,
                               nvml::kFieldPowerLimitEnforced};
  Guarded<std::array<nvml::FieldValue, kFields.size()>> room;
  for (std::size_t i = 0; i < kFields.size(); ++i) room.value[i].field = kFields[i];
  const bool answered = guarded("nvmlFieldValue_t, seven of them", room, [&](auto* at) {
    return nvml.call(nvml::kFieldValues, device, static_cast<int>(kFields.size()), at->data());
  });
  if (!answered) return;
  const auto now = static_cast<double>(std::time(nullptr));
  unsigned lowest = 0, highest = 0, usual = 0, enforced = 0;
  const bool range = nvml.call(nvml::kPowerLimitRange, device, &lowest, &highest).has_value();
  const bool has_usual = nvml.call(nvml::kPowerLimitDefault, device, &usual).has_value();
  const bool has_enforced = nvml.call(nvml::kPowerLimitEnforced, device, &enforced).has_value();
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    const nvml::FieldValue& field = room.value[i];
    std::printf("  field %u: ", kFields[i]);
    if (field.result != nvml::kSuccess) {
      std::printf("%s\n", nvml_error("read", field.result).what.c_str());
      continue;
    }
    std::uint32_t small = 0;
    std::memcpy(&small, &field.value, sizeof small);
    const std::uint64_t value = field.type == 1 ? small : field.value.as_unsigned;
    std::printf("type %u, %llu\n", field.type, static_cast<unsigned long long>(value));
    expect(field.field == kFields[i], "it is the field that was asked for");
    expect(std::abs(static_cast<double>(field.timestamp_us) * 1e-6 - now) < 86400.0, "its time is of today, in microseconds since 1970");
    expect(field.type == 1 || field.type == 3, "its type is a whole number");
    if (kFields[i] == nvml::kFieldPowerLimitMin && range) expect(value == lowest, "equals the lower constraint");
    if (kFields[i] == nvml::kFieldPowerLimitMax && range) expect(value == highest, "equals the upper constraint");
    if (kFields[i] == nvml::kFieldPowerLimitDefault && has_usual) expect(value == usual, "equals the default limit");
    if (kFields[i] == nvml::kFieldPowerLimitEnforced && has_enforced) expect(value == enforced, "equals the enforced limit");
  }
}

void show(const Files& files, const std::string& folder) {
  const auto names = files.list(folder);
  if (!names) {
    std::printf("  %s\n", names.error().text().c_str());
    return;
  }
  for (const auto& name : *names) {
    const std::string path = folder + "/" + name;
    if (name == "supported_graphics_clocks") {
      show(files, path);
      continue;
    }
    const auto text = read_trimmed(files, path);
    std::printf("  %s: %s\n", path.c_str(), text ? text->c_str() : text.error().text().c_str());
  }
}

int check(const std::string& library) {
  const auto nvml = Nvml::open(library);
  if (!nvml) {
    std::printf("%s\n", nvml.error().text().c_str());
    return 77;
  }
  std::printf("Symbols\n");
  for (const char* symbol : nvml::kSymbols) std::printf("  %s  %s\n", (*nvml)->has(symbol) ? "there  " : "MISSING", symbol);
  unsigned count = 0;
  if (const auto counted = (*nvml)->call(nvml::kCount, &count); !counted) std::printf("%s\n", counted.error().text().c_str());
  for (unsigned i = 0; i < count; ++i) {
    nvml::Device device = nullptr;
    const auto handle = (*nvml)->call(nvml::kHandleByIndex, i, &device);
    std::printf("GPU %u%s\n", i, handle ? "" : (": " + handle.error().text()).c_str());
    if (!handle) continue;
    check_structures(**nvml, device);
    check_fields(**nvml, device);
  }
  const auto disk = real_files();
  const auto files = nvml_files(*disk, {.library = library});
  const auto gpus = files->list("/nvml");
  std::printf("Nodes\n");
  expect(gpus && gpus->size() == count, "there is a folder for each GPU");
  for (const auto& gpu : gpus.value_or(std::vector<std::string>())) show(*files, "/nvml/" + gpu);
  std::printf("%d checks failed. Nothing was set.\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace polythrottle

int main(int argc, char** argv) { return polythrottle::check(argc > 1 ? argv[1] : polythrottle::nvml::kLibrary); }
