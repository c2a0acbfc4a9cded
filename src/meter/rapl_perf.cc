// The same counters as meter rapl's, through the kernel's perf events: for systems where powercap is missing or for root only.
// Source: Linux arch/x86/events/rapl.c, Documentation/ABI/testing/sysfs-bus-event_source-devices-events.

#include <charconv>
#include <map>
#include <set>
#include <string>

#include "meter/meter.h"
#include "meter/rapl_rails.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "rapl-perf";
constexpr const char* kSource = "/sys/bus/event_source/devices/power";
constexpr double k64Bits = 18446744073709551616.0;  ///< the kernel extends the register

/// What powercap calls the same counters.
constexpr std::pair<const char*, const char*> kParts[] = {{"energy-cores", "core"}, {"energy-gpu", "uncore"}, {"energy-ram", "dram"}};

/// "0,6" or "0-1".
Result<std::vector<int>> cpus_of(const Files& files, const std::string& path) {
  TRY(const std::string text, read_trimmed(files, path));
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    int low = 0;
    auto parsed = std::from_chars(at, end, low);
    int high = low;
    if (parsed.ec == std::errc{} && parsed.ptr != end && *parsed.ptr == '-') parsed = std::from_chars(parsed.ptr + 1, end, high);
    if (parsed.ec != std::errc{} || low < 0 || high < low || high - low > 4096 || (parsed.ptr != end && *parsed.ptr != ',')) break;
    for (int cpu = low; cpu <= high; ++cpu) cpus.push_back(cpu);
    at = parsed.ptr == end ? end : parsed.ptr + 1;
  }
  if (at != end || cpus.empty()) return fail(Errc::kCorrupt, "read " + path + ": \"" + text + "\" is not a list of CPUs");
  return cpus;
}

/// Joules per count. The kernel says the unit in words.
Result<double> scale_of(const Files& files, const std::string& event) {
  const std::string path = std::string(kSource) + "/events/" + event;
  TRY(const std::string unit, read_trimmed(files, path + ".unit"));
  if (unit != "Joules") return fail(Errc::kUnsupported, "read " + path + ".unit: it counts \"" + unit + "\", not Joules");
  TRY(const std::string text, read_trimmed(files, path + ".scale"));
  double scale = 0.0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), scale);
  if (error != std::errc{} || at != text.data() + text.size() || !(scale > 0.0 && scale <= 1.0)) {
    return fail(Errc::kCorrupt, "read " + path + ".scale: \"" + text + "\" is not a scale in joules");
  }
  return scale;
}

Result<CounterTraits> counter_of(const Files& files, const std::string& event, int cpu) {
  CounterTraits counter{.path = "/perf/power/" + event + "/cpu" + std::to_string(cpu),
                        .range = k64Bits,
                        .step_joules = kRaplStep,
                        .most_watts = kRaplMostWatts,
                        .refresh = kRaplRefresh};
  TRY(counter.joules_per_count, scale_of(files, event));
  if (const auto count = read_integer(files, counter.path); !count) return tl::unexpected<Error>(count.error());
  return counter;
}

/// As powercap calls it: "0", or "0-die-1" where a package has several dies that count.
std::string package_of(const Files& files, int cpu, std::size_t index, bool by_die) {
  const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  const auto package = read_integer(files, folder + "physical_package_id");
  if (!package || *package < 0) return std::to_string(index);
  const auto die = read_integer(files, folder + "die_id");
  return std::to_string(*package) + (by_die && die ? "-die-" + std::to_string(*die) : "");
}

Result<RaplRails> find_rails(const Files& files) {
  if (const auto type = read_trimmed(files, std::string(kSource) + "/type"); !type) {
    if (type.error().code != Errc::kNotFound) return tl::unexpected<Error>(type.error());
    return fail(Errc::kNotFound, std::string("look for RAPL among the kernel's perf events in ") + kSource + ": none",
                "virtual machines have none; on bare metal: modprobe rapl");
  }
  const auto described = files.list(std::string(kSource) + "/events").value_or(std::vector<std::string>());
  const std::set<std::string> events(described.begin(), described.end());
  TRY(const auto cpus, cpus_of(files, std::string(kSource) + "/cpumask"));
  std::map<std::string, int> packages;
  for (std::size_t i = 0; i < cpus.size(); ++i) ++packages[package_of(files, cpus[i], i, false)];
  RaplRails rails;
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    const bool by_die = packages[package_of(files, cpus[i], i, false)] > 1;
    const std::string package = package_of(files, cpus[i], i, by_die);
    TRY(auto counter, counter_of(files, "energy-pkg", cpus[i]));
    rails.add_package(package, std::move(counter));
    for (const auto& [event, word] : kParts) {
      if (!events.contains(event)) continue;
      auto part = counter_of(files, event, cpus[i]);
      if (part) {
        rails.add_part(package, word, std::move(*part));
      } else {
        rails.left_out(word, part.error());
      }
    }
  }
  // It is the platform's, and which of several packages shows it is not known.
  if (cpus.size() == 1 && events.contains("energy-psys")) {
    auto platform = counter_of(files, "energy-psys", cpus.front());
    if (platform) {
      rails.add_platform(std::move(*platform));
    } else {
      rails.left_out("psys", platform.error());
    }
  }
  return rails;
}

MeterDiscovery discover(Host& host, const MeterOptions&) {
  MeterDiscovery found;
  auto rails = find_rails(host.files);
  auto meter = rails ? std::move(*rails).meter(host, kName) : tl::unexpected<Error>(rails.error());
  if (meter) {
    found.meters.push_back(std::move(*meter));
  } else {
    found.absent.push_back({kName, meter.error()});
  }
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver rapl_perf;
constinit const MeterDriver rapl_perf{.name = kName,
                                      .summary = "the same through perf events, where powercap is missing or forbidden",
                                      .preference = 11,
                                      .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
