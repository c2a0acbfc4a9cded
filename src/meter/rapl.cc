// Energy of the CPU packages, counted by the CPU itself (RAPL) and shown by the kernel's powercap class. AMD has the same names.
// Sources: Linux Documentation/ABI/testing/sysfs-class-powercap, Documentation/power/powercap/powercap.rst,
// drivers/powercap/intel_rapl_common.c.

#include <charconv>
#include <map>
#include <optional>
#include <string>

#include "meter/counter_meter.h"
#include "meter/rapl_rails.h"

namespace polythrottle {
namespace {

constexpr const char* kFolder = "/sys/class/powercap";
constexpr double k32Bits = 4294967296.0;  ///< the register's width: its range in the kernel's file is that many steps

/// "intel-rapl:1:0" is {1, 0} and "intel-rapl:1" {1, -1}. nullopt for all else: intel-rapl-mmio shows the same packages a second time.
std::optional<std::pair<int, int>> zone_of(std::string_view name) {
  constexpr std::string_view kPrefix = "intel-rapl:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::pair<int, int> zone{0, -1};
  const char* const end = name.data() + name.size();
  auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, zone.first);
  if (error == std::errc{} && at != end && *at == ':') {
    const auto second = std::from_chars(at + 1, end, zone.second);
    at = second.ptr;
    error = second.ec;
  }
  if (error != std::errc{} || at != end) return std::nullopt;
  return zone;
}

/// A zone's counter. Its range is that of a 32-bit register, which also tells its step; where the kernel does not say it, the usual one.
CounterTraits counter_of(const Files& files, const std::string& folder) {
  CounterTraits counter{.path = folder + "/energy_uj", .step_joules = kRaplStep, .most_watts = kRaplMostWatts, .refresh = kRaplRefresh};
  const auto range = read_integer(files, folder + "/max_energy_range_uj");
  if (!range || *range <= 0) return counter;
  counter.range = static_cast<double>(*range);
  counter.step_joules = counter.range / k32Bits * counter.joules_per_count;
  return counter;
}

Result<RaplRails> find_rails(const Files& files) {
  const auto names = files.list(kFolder);
  if (!names && names.error().code != Errc::kNotFound) return tl::unexpected<Error>(names.error());
  std::map<std::pair<int, int>, std::string> folders;  // in the order of their numbers, a package before its parts
  for (const auto& name : names.value_or(std::vector<std::string>())) {
    if (const auto zone = zone_of(name)) folders[*zone] = std::string(kFolder) + "/" + name;
  }
  RaplRails rails;
  std::map<int, std::string> packages;  // "0" of "package-0"
  for (const auto& [zone, folder] : folders) {
    const auto name = read_trimmed(files, folder + "/name");
    if (!name && zone.second < 0) return tl::unexpected<Error>(name.error());
    if (!name) {
      rails.left_out(folder, name.error());
      continue;
    }
    constexpr std::string_view kPackage = "package-";
    if (zone.second < 0 && name->starts_with(kPackage)) {
      packages[zone.first] = name->substr(kPackage.size());
      rails.add_package(packages[zone.first], counter_of(files, folder));
    } else if (const auto package = packages.find(zone.first); package != packages.end() || *name == "psys") {
      const auto readable = read_integer(files, folder + "/energy_uj");
      if (!readable) {
        rails.left_out(*name, readable.error());
      } else if (*name == "psys") {
        rails.add_platform(counter_of(files, folder));
      } else {
        rails.add_part(package->second, *name, counter_of(files, folder));
      }
    }
  }
  if (rails.packages() == 0) {
    return fail(Errc::kNotFound, std::string("look for RAPL packages in ") + kFolder + ": none",
                "virtual machines have none; on bare metal: modprobe intel_rapl_msr");
  }
  return rails;
}

MeterDiscovery discover(Host& host, const MeterOptions&) {
  MeterDiscovery found;
  auto rails = find_rails(host.files);
  auto meter = rails ? std::move(*rails).meter(host, "rapl") : tl::unexpected<Error>(rails.error());
  if (meter) {
    found.meters.push_back(std::move(*meter));
  } else {
    Error why = meter.error();
    if (why.code == Errc::kPermission) why.hint = "run as root or grant CAP_DAC_READ_SEARCH";
    found.absent.push_back({"rapl", std::move(why)});
  }
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver rapl;
constinit const MeterDriver rapl{
    .name = "rapl", .summary = "energy of the CPU packages (RAPL, powercap)", .preference = 10, .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
