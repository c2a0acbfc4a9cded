// Holds our declarations of NVML against the driver of this machine: symbols, sizes of structures, field ids, every node below /nvml; and
// each GPU's energy counter against its power over some seconds, with the refresh of both and what a read costs.
// Only reads. Exit codes: 0 they agree, 1 they do not, 77 there is no driver to ask (ctest: skipped).
//
//   nvml_check [LIBRARY] [SECONDS]      SECONDS: of watching the counter, default 5

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "host/nvml.h"
#include "host/nvml_files.h"
#include "meter/gpu_cross_check.h"

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
  Guarded<nvml::Memory> memory;
  if (guarded("nvmlMemory_t", memory, [&](auto* at) { return nvml.call(nvml::kMemoryInfo, device, at); })) {
    expect(memory.value.used <= memory.value.total && memory.value.total > 1 << 20, "no more is used than there is");
  }
  Guarded<nvml::PciInfo> pci;
  if (guarded("nvmlPciInfo_t", pci, [&](auto* at) { return nvml.call(nvml::kPciInfo, device, at); })) {
    unsigned domain = 0;
    unsigned bus = 0;
    const bool parsed = std::sscanf(pci.value.bus_id, "%x:%x:", &domain, &bus) == 2;
    expect(parsed && domain == pci.value.domain && bus == pci.value.bus, "its text and its numbers name the same bus");
  }
}

/// Of the same counter by its function.
void check_energy(const Nvml& nvml, nvml::Device device, std::uint64_t by_field) {
  unsigned long long by_function = 0;
  if (!nvml.call(nvml::kTotalEnergy, device, &by_function)) return;
  expect(by_function >= by_field && by_function - by_field < 10'000'000, "equals the energy counter, or is just before it");
}

void check_fields(const Nvml& nvml, nvml::Device device) {
  constexpr std::array kFields{nvml::kFieldTotalEnergy,        nvml::kFieldPowerAverage,        nvml::kFieldPowerInstant,
                               nvml::kFieldPowerLimitMin,      nvml::kFieldPowerLimitMax,       nvml::kFieldPowerLimitDefault,
                               nvml::kFieldPowerLimitEnforced, nvml::kFieldSoftwareThermalTime, nvml::kFieldHardwareThermalTime,
                               nvml::kFieldPowerBrakeTime};
  Guarded<std::array<nvml::FieldValue, kFields.size()>> room;
  for (std::size_t i = 0; i < kFields.size(); ++i) room.value[i].field = kFields[i];
  const bool answered = guarded("nvmlFieldValue_t, ten of them", room, [&](auto* at) {
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
    const auto whole = whole_number(field);
    const std::uint64_t value = whole.value_or(0);
    std::printf("type %u, %llu\n", field.type, static_cast<unsigned long long>(value));
    expect(field.field == kFields[i], "it is the field that was asked for");
    expect(std::abs(static_cast<double>(field.timestamp_us) * 1e-6 - now) < 86400.0, "its time is of today, in microseconds since 1970");
    expect(whole.has_value(), "its type is a whole number");
    if (kFields[i] == nvml::kFieldTotalEnergy) check_energy(nvml, device, value);
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

/// What a read of a node takes, of 50; microseconds.
void time_reads(const Files& files, const Clock& clock, const std::string& path) {
  std::vector<double> took;
  for (int i = 0; i < 50; ++i) {
    const auto began = clock.now();
    if (!files.read(path)) return;
    took.push_back(1e6 * (clock.now() - began).count());
  }
  std::sort(took.begin(), took.end());
  std::printf("  a read of %s takes %.1f us (median of 50; least %.1f, most %.1f)\n", path.substr(path.rfind('/') + 1).c_str(), took[25],
              took.front(), took.back());
}

/// The counter's own time between changes, and what it says beside the power readings. Reports only: whether it is to be believed is for
/// the meter to say.
void watch_energy(const Files& files, Clock& clock, const std::string& folder, Seconds length) {
  for (const char* node : {"energy_mj", "power_mw", "power_instant_mw", "power_average_mw", "clocks_event_reasons"}) {
    time_reads(files, clock, folder + "/" + node);
  }
  if (!files.read(folder + "/energy_mj")) {
    std::printf("  no energy counter\n");
    return;
  }
  for (const char* node : {"power_instant_mw", "power_mw"}) {
    if (!files.read(folder + "/" + node)) continue;
    std::vector<GpuLook> looks;
    const auto began = clock.now();
    while (clock.now() - began < length) {
      const auto power = read_integer(files, folder + "/" + node);
      const auto energy = read_integer(files, folder + "/energy_mj");
      if (!power || !energy) return;
      looks.push_back({clock.now(), static_cast<double>(*energy) * 1e-3, static_cast<double>(*power) * 1e-3});
      clock.sleep_until(clock.now() + Seconds(0.001));
    }
    const auto check = cross_check(looks);
    std::printf("  %zu looks at counter and %s in %.2f s:\n", looks.size(), node, length.count());
    if (check.counter_refresh) std::printf("    the counter changes every %.1f ms (median)\n", 1e3 * check.counter_refresh->count());
    if (check.power_refresh) std::printf("    the power changes every %.1f ms (median)\n", 1e3 * check.power_refresh->count());
    if (check.compared > Seconds(0)) {
      std::printf("    over %.3f s: %.3f J by the counter, %.3f J by integrated power, ratio %.4f (%.2f W mean)\n", check.compared.count(),
                  check.by_counter.si(), check.by_power.si(), check.by_counter / check.by_power, check.mean_watts);
    } else {
      std::printf("    the counter changed too seldom to compare\n");
    }
  }
}

int check(const std::string& library, Seconds length) {
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
  std::printf("Energy\n");
  const auto clock = real_clock();
  for (const auto& gpu : gpus.value_or(std::vector<std::string>())) {
    std::printf("  %s\n", gpu.c_str());
    watch_energy(*files, *clock, "/nvml/" + gpu, length);
  }
  std::printf("%d checks failed. Nothing was set.\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace polythrottle

int main(int argc, char** argv) {
  const double seconds = argc > 2 ? std::strtod(argv[2], nullptr) : 5.0;
  return polythrottle::check(argc > 1 ? argv[1] : polythrottle::nvml::kLibrary, polythrottle::Seconds(seconds));
}
