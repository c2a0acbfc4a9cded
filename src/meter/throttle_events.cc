#include "meter/throttle_events.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "host/cooling_devices.h"
#include "host/nvml_abi.h"
#include "meter/gauge_paths.h"

namespace polythrottle {
namespace {

/// What a file's number says of events.
enum class Kind {
  kCount,  ///< it is their count since boot
  kTime,   ///< time spent slowed down since boot: growing is one event
  kLevel,  ///< how far the kernel holds something down: each step up is one
  kAlarm,  ///< other than 0 while it lasts, or since it was last read: seen so is one
};

struct Row {
  const char* pattern;
  const char* words;
  Kind kind;
  const char* chip = nullptr;  ///< what `name` beside it says
  unsigned long long bits = ~0ULL;
};

/// soctherm_oc: NVIDIA Jetson Orin. thermal_throttle: Linux arch/x86/kernel/cpu/mce/therm_throt.c. curr*_crit_alarm: Linux
/// Documentation/hwmon/sysfs-interface.rst; the INA3221 keeps it until it is read. NVML: nvml.h, event time counters and clocks event
/// reasons; the older bit for a hardware slowdown (0x8) may also show while the performance state changes, so it counts for nothing.
constexpr std::array kRows{
    Row{"/sys/class/hwmon/*/oc1_event_cnt", "under-voltage", Kind::kCount, "soctherm_oc"},
    Row{"/sys/class/hwmon/*/oc2_event_cnt", "average over-current", Kind::kCount, "soctherm_oc"},
    Row{"/sys/class/hwmon/*/oc3_event_cnt", "instantaneous over-current", Kind::kCount, "soctherm_oc"},
    Row{"/sys/class/hwmon/*/curr?_crit_alarm", "over-current", Kind::kAlarm, "ina3221"},
    Row{"/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count", "a CPU core too hot", Kind::kCount},
    Row{"/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count", "a CPU package too hot", Kind::kCount},
    Row{"/nvml/*/software_thermal_slowdown_ns", "GPU slowed down by its driver against heat", Kind::kTime},
    Row{"/nvml/*/hardware_thermal_slowdown_ns", "GPU slowed itself down against heat", Kind::kTime},
    Row{"/nvml/*/power_brake_slowdown_ns", "GPU slowed down by the brake signal of the power supply", Kind::kTime},
};
/// Where a driver does not tell the times.
constexpr Row kReasons{"/nvml/*/clocks_event_reasons", "GPU slowed down by heat or a brake signal", Kind::kAlarm, nullptr,
                       nvml::kReasonSoftwareThermal | nvml::kReasonHardwareThermal | nvml::kReasonPowerBrake};

/// Decimal, or hexadecimal behind 0x.
Result<unsigned long long> read_number(const Files& files, const std::string& path) {
  TRY(const std::string text, read_trimmed(files, path));
  const bool hex = text.starts_with("0x");
  unsigned long long value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + (hex ? 2 : 0), end, value, hex ? 16 : 10);
  if (error != std::errc{} || at != end) return fail(Errc::kCorrupt, "read " + path + ": '" + text + "' is no count");
  return value;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string file_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class Source {
 public:
  Source(std::string path, std::string words, Kind kind, unsigned long long bits)
      : path_(std::move(path)), words_(std::move(words)), kind_(kind), bits_(bits) {}

  const std::string& words() const { return words_; }
  double events() const { return events_; }
  bool rose() const { return rose_; }

  /// What cannot be read now leaves everything as it was.
  Status look(const Files& files) {
    rose_ = false;
    TRY(const unsigned long long number, read_number(files, path_));
    const double now = static_cast<double>(number & bits_);
    const double before = last_.value_or(kind_ == Kind::kCount ? 0.0 : now);
    double more = std::max(0.0, now - before);
    if (kind_ == Kind::kAlarm) more = now > 0.0 ? 1.0 : 0.0;
    if (kind_ == Kind::kTime) more = more > 0.0 ? 1.0 : 0.0;
    rose_ = more > 0.0;
    events_ += more;
    last_ = now;
    return {};
  }

 private:
  std::string path_, words_;
  Kind kind_;
  unsigned long long bits_;
  std::optional<double> last_;
  double events_ = 0.0;
  bool rose_ = false;
};

class ThrottleEvents : public Gauge {
 public:
  ThrottleEvents(const Files& files, std::vector<Source> sources) : files_(files), sources_(std::move(sources)) {}
  const std::string& name() const override { return name_; }
  bool counts() const override { return true; }

  Result<double> read() override {
    double events = 0.0;
    for (auto& source : sources_) {
      (void)source.look(files_);
      events += source.events();
    }
    return events;
  }

  std::string what() const override {
    std::vector<std::string> seen;
    for (const auto& source : sources_) {
      if (source.rose() && std::find(seen.begin(), seen.end(), source.words()) == seen.end()) seen.push_back(source.words());
    }
    std::string out;
    for (const auto& words : seen) out += (out.empty() ? "" : ", ") + words;
    return out;
  }

 private:
  const Files& files_;
  std::vector<Source> sources_;
  std::string name_ = "throttle_events";
};

}  // namespace

std::unique_ptr<Gauge> throttle_events(const Files& files) {
  std::vector<Source> sources;
  bool has_times = false;
  const auto add = [&](const std::string& path, const std::string& words, Kind kind, unsigned long long bits) {
    Source source(path, words, kind, bits);
    const auto looked = source.look(files);
    if (!looked && looked.error().code != Errc::kBusy) return;
    sources.push_back(std::move(source));
    has_times = has_times || kind == Kind::kTime;
  };
  const auto add_row = [&](const Row& row) {
    for (const auto& path : paths_like(files, row.pattern)) {
      if (row.chip != nullptr && read_trimmed(files, folder_of(path) + "/name").value_or("") != row.chip) continue;
      const std::string file = file_of(path);
      add(path, row.chip == nullptr ? row.words : row.words + (" (" + file.substr(0, file.find('_')) + ")"), row.kind, row.bits);
    }
  };
  for (const Row& row : kRows) add_row(row);
  if (!has_times) add_row(kReasons);
  for (const auto& path : paths_like(files, "/sys/class/thermal/cooling_device*/cur_state")) {
    const std::string type = read_trimmed(files, folder_of(path) + "/type").value_or("");
    if (lowers_clocks(type)) add(path, "held down by heat (" + type + ")", is_throttle_alert(type) ? Kind::kAlarm : Kind::kLevel, ~0ULL);
  }
  if (sources.empty()) return nullptr;
  return std::make_unique<ThrottleEvents>(files, std::move(sources));
}

}  // namespace polythrottle
