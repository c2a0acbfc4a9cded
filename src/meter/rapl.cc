// Energy of the CPU packages, counted by the CPU itself (RAPL) and shown by the kernel's powercap class. AMD has the same names.
// Source: Linux Documentation/ABI/testing/sysfs-class-powercap, Documentation/power/powercap/powercap.rst.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "meter/meter.h"

namespace polythrottle {
namespace {

constexpr const char* kFolder = "/sys/class/powercap";
/// Above what any package draws, also for a moment: more than this since the last read is not energy but a broken counter.
constexpr double kMostWattsPerPackage = 2000.0;
/// The counter moves in steps of about 1 ms; what two reads in the same step may differ by.
constexpr double kSlackSeconds = 0.01;
/// Neither Intel nor AMD states an accuracy. An assumption, to be replaced where somebody has compared with a wall meter.
constexpr double kAssumedGainError = 0.05;

struct Zone {
  std::string path;  ///< of energy_uj
  double range = 0;  ///< J at which the counter starts again from 0; 0 if the kernel does not say
  double last = 0;   ///< J
};

Result<double> read_joules(const Files& files, const std::string& path) {
  TRY(const long long energy_uj, read_integer(files, path));
  if (energy_uj < 0) return fail(Errc::kCorrupt, "read " + path + ": a negative energy");
  return static_cast<double>(energy_uj) * 1e-6;
}

class RaplMeter : public Meter {
 public:
  RaplMeter(Host& host, std::vector<Zone> zones, MeterInfo info) : host_(host), zones_(std::move(zones)), info_(std::move(info)) {}

  /// Starts counting at 0 and times a read.
  Status start() {
    for (auto& zone : zones_) {
      TRY(zone.last, read_joules(host_.files, zone.path));
    }
    last_at_ = host_.clock.now();
    Seconds best{1e9};
    for (int i = 0; i < 5; ++i) {
      const auto before = host_.clock.now();
      if (auto sample = read(); !sample) return tl::unexpected<Error>(sample.error());
      best = std::min(best, Seconds(host_.clock.now() - before));
    }
    info_.read_cost = best;
    total_ = 0.0;
    return {};
  }

  const MeterInfo& info() const override { return info_; }

  Result<MeterSample> read() override {
    double advanced = 0.0;
    std::vector<double> counts;
    // All zones are read before any is booked, so that a failure in the middle loses nothing.
    for (const auto& zone : zones_) {
      TRY(const double count, read_joules(host_.files, zone.path));
      counts.push_back(count);
    }
    const auto at = host_.clock.now();
    const double most = kMostWattsPerPackage * ((at - last_at_).count() + kSlackSeconds);
    std::optional<Error> broken;
    for (std::size_t i = 0; i < zones_.size(); ++i) {
      Zone& zone = zones_[i];
      double delta = counts[i] - zone.last;
      if (delta < 0.0) delta += zone.range;
      if (delta < 0.0 || delta > most) {
        broken = Error{Errc::kCorrupt,
                       "read " + zone.path + ": went from " + std::to_string(zone.last) + " J to " + std::to_string(counts[i]) + " J in " +
                           std::to_string((at - last_at_).count()) + " s",
                       "the counter was reset, or the machine slept"};
      } else {
        advanced += delta;
      }
      zone.last = counts[i];
    }
    last_at_ = at;
    // Counting goes on from here; the energy of this interval is unknown and the caller is told.
    if (broken) return tl::unexpected<Error>(std::move(*broken));
    total_ += advanced;
    return MeterSample{.at = at, .energy = Joules(total_), .one_sigma = {Joules(total_ * kAssumedGainError)}};
  }

 private:
  Host& host_;
  std::vector<Zone> zones_;
  MeterInfo info_;
  Clock::TimePoint last_at_;
  double total_ = 0.0;
};

/// "intel-rapl:12" is 12. Subzones have a second colon, and intel-rapl-mmio shows the same packages a second time.
std::optional<int> top_zone(std::string_view name) {
  constexpr std::string_view kPrefix = "intel-rapl:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int number = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.empty() || error != std::errc{} || at != name.data() + name.size()) return std::nullopt;
  return number;
}

MeterDiscovery discover(Host& host, const MeterOptions&) {
  const auto absent = [](Error why) {
    if (why.code == Errc::kPermission) why.hint = "run as root or grant CAP_DAC_READ_SEARCH";
    MeterDiscovery none;
    none.absent.push_back({"rapl", std::move(why)});
    return none;
  };
  const auto names = host.files.list(kFolder);
  if (!names && names.error().code != Errc::kNotFound) return absent(names.error());
  std::map<int, std::string> folders;
  for (const auto& name : names.value_or(std::vector<std::string>())) {
    if (const auto number = top_zone(name)) folders[*number] = std::string(kFolder) + "/" + name;
  }
  std::vector<Zone> zones;
  std::string packages;
  for (const auto& [number, folder] : folders) {
    const auto name = read_trimmed(host.files, folder + "/name");
    if (!name) return absent(name.error());
    // psys, the other zone at this level, contains the packages.
    if (!name->starts_with("package-")) continue;
    packages += (packages.empty() ? "" : ", ") + name->substr(8);
    const auto range = read_joules(host.files, folder + "/max_energy_range_uj");
    zones.push_back({.path = folder + "/energy_uj", .range = range.value_or(0.0)});
  }
  if (zones.empty()) {
    return absent({Errc::kNotFound, std::string("look for RAPL packages in ") + kFolder + ": none",
                   "virtual machines have none; on bare metal: modprobe intel_rapl_msr"});
  }
  MeterInfo info{
      .name = "rapl",
      .boundary = std::string(zones.size() == 1 ? "CPU package " : "CPU packages ") + packages + " (cores, uncore; no DRAM, disks, board)",
      .estimated = false,
      .refresh = Seconds(1e-3),
      .error = "the vendor states none; +-5 % on the gain (1 sigma) is assumed",
      .error_sources = {"rapl_gain"}};
  auto meter = std::make_unique<RaplMeter>(host, std::move(zones), std::move(info));
  if (auto started = meter->start(); !started) return absent(started.error());
  MeterDiscovery found;
  found.meters.push_back(std::move(meter));
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver rapl;
constinit const MeterDriver rapl{
    .name = "rapl", .summary = "energy of the CPU packages (RAPL, powercap)", .preference = 10, .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
