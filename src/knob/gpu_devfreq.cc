// The band in which the GPU's governor moves, on boards whose GPU is a devfreq device (NVIDIA Jetson): min_freq and max_freq.
// Sources: Linux Documentation/ABI/testing/sysfs-class-devfreq and drivers/devfreq/devfreq.c (6.1); the same file of OE4T/linux-tegra-4.9;
// NVIDIA's nvpmodel.conf and jetson_clocks of JetPack 4 to 6; find_igpu of rbonghi/jetson_stats.
//
// Two generations behave differently. Kernel 4.9 (JetPack 4) answers a write that makes min > max with EINVAL; later ones (PM QoS) take
// any number as a request, and the higher floor waits hidden behind the lower ceiling. One order is right for both: the floor to the
// bottom of the table, then the ceiling, then the floor.
//
// While the GPU is rail-gated cur_freq reads 0, and on some releases the whole device is missing until the GPU was powered once. The limits
// hold all the same, so they are what this knob reads; whether the clock followed is a matter of `actual` under load.

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>

#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kMinName = "gpu_min_hz";
constexpr const char* kMaxName = "gpu_max_hz";
constexpr const char* kClass = "/sys/class/devfreq";
/// Requests are kept in kHz: a floor is cut, a ceiling rounded up (devfreq.c, tried on 6.1).
constexpr double kRounding = 1000.0;

std::string number_text(double hertz) { return std::to_string(std::llround(hertz)); }

/// The device, and both its limits as one setting.
class GpuClock : public KnobGroup {
 public:
  GpuClock(Files& files, std::string folder, std::vector<double> table)
      : files_(files), folder_(std::move(folder)), table_(std::move(table)) {}

  std::string min_path() const { return folder_ + "/min_freq"; }
  std::string max_path() const { return folder_ + "/max_freq"; }
  const std::vector<double>& table() const { return table_; }

  Result<double> read_min() { return read_limit(min_path(), table_.front(), seen_min_); }
  Result<double> read_max() { return read_limit(max_path(), table_.back(), seen_max_); }

  Result<std::optional<Value>> read_clock() const {
    TRY(const long long hertz, read_integer(files_, folder_ + "/cur_freq"));
    if (hertz <= 0) return std::optional<Value>();  // rail-gated
    return std::optional<Value>(static_cast<double>(hertz));
  }

  bool allows(const Config& config) const override {
    const auto min = config.number(kMinName);
    const auto max = config.number(kMaxName);
    return !min || !max || *min <= *max;
  }

  Status write(const Config& wanted) override {
    TRY(const auto min, target(kMinName, wanted, seen_min_));
    TRY(const auto max, target(kMaxName, wanted, seen_max_));
    if (!allows(wanted)) {
      return fail(Errc::kOutOfRange, std::string("set ") + kMinName + " to " + number_text(*min) + " and " + kMaxName + " to " +
                                         number_text(*max) + ": the floor is above the ceiling");
    }
    if (!max) return min ? write_min(*min) : Status();
    if (!floor_) {
      TRY(floor_, read_min());
    }
    if (min) floor_ = *min;
    // Always by way of the bottom, whatever can be read: a floor hidden behind a lower ceiling would come up with it.
    TRY_STATUS(files_.write(min_path(), number_text(table_.front())));
    TRY_STATUS(files_.write(max_path(), number_text(*max)));
    const double floor = std::min(*floor_, *max);
    return floor == table_.front() ? Status() : files_.write(min_path(), number_text(floor));
  }

 private:
  Result<double> read_limit(const std::string& path, double unlimited, std::set<double>& seen) const {
    TRY(const long long hertz, read_integer(files_, path));
    if (hertz < 0) return fail(Errc::kCorrupt, "read " + path + ": " + std::to_string(hertz) + " Hz");
    double value = hertz == 0 ? unlimited : static_cast<double>(hertz);  // 4.9: 0 is no limit
    for (const double level : table_) {
      if (std::abs(level - value) < kRounding) value = level;
    }
    seen.insert(value);
    return value;
  }

  Result<std::optional<double>> target(const char* name, const Config& wanted, const std::set<double>& seen) const {
    const auto value = wanted.get(name);
    if (!value) return std::optional<double>();
    const auto* hertz = std::get_if<double>(&*value);
    if (hertz == nullptr || (std::find(table_.begin(), table_.end(), *hertz) == table_.end() && !seen.contains(*hertz))) {
      return fail(Errc::kOutOfRange, std::string("set ") + name + " to " + to_text(*value) + ": not one of its levels",
                  "the lowest is " + number_text(table_.front()) + ", the highest " + number_text(table_.back()));
    }
    return std::optional<double>(*hertz);
  }

  /// The floor alone: the ceiling stays where it is.
  Status write_min(double min) {
    TRY(const double ceiling, read_max());
    if (min > ceiling) {
      return fail(Errc::kOutOfRange,
                  std::string("set ") + kMinName + " to " + number_text(min) + ": " + kMaxName + " is at " + number_text(ceiling),
                  std::string("raise ") + kMaxName + " with it");
    }
    TRY_STATUS(files_.write(min_path(), number_text(min)));
    floor_ = min;
    return {};
  }

  Files& files_;
  std::string folder_;
  std::vector<double> table_;    ///< Hz, ascending
  std::optional<double> floor_;  ///< what the floor is meant to be: as last asked for, or found before the first write
  std::set<double> seen_min_;    ///< values that were read once
  std::set<double> seen_max_;
};

class GpuLimit : public Knob {
 public:
  GpuLimit(Files& files, std::shared_ptr<GpuClock> clock, Parameter parameter)
      : files_(files), clock_(std::move(clock)), parameter_(std::move(parameter)), is_floor_(parameter_.role == Role::kClockFloor) {}

  const Parameter& parameter() const override { return parameter_; }

  Result<Value> read() override {
    TRY(const double hertz, is_floor_ ? clock_->read_min() : clock_->read_max());
    return Value(hertz);
  }

  Result<Value> write(const Value& wanted) override {
    TRY_STATUS(clock_->write({{parameter_.name, wanted}}));
    return read();
  }

  std::vector<std::string> paths() const override {
    if (is_floor_) return {clock_->min_path()};
    return {clock_->min_path(), clock_->max_path()};
  }

  /// The ceiling cannot be put back without care for the floor, which may stand above it: its entry brings back both.
  Result<std::vector<FoundNode>> found_nodes() override {
    TRY(std::string floor, files_.read(clock_->min_path()));
    if (is_floor_) return std::vector<FoundNode>{{clock_->min_path(), std::move(floor)}};
    TRY(std::string ceiling, files_.read(clock_->max_path()));
    return std::vector<FoundNode>{{clock_->min_path(), number_text(clock_->table().front())},
                                  {clock_->max_path(), std::move(ceiling)},
                                  {clock_->min_path(), std::move(floor)}};
  }

  KnobGroup* group() const override { return clock_.get(); }

  Result<std::optional<Value>> actual() override { return is_floor_ ? Result<std::optional<Value>>() : clock_->read_clock(); }

 private:
  Files& files_;
  std::shared_ptr<GpuClock> clock_;
  Parameter parameter_;
  bool is_floor_;
};

std::string without_nul(std::string text) {
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

/// "17000000.gp10b" is "gp10b".
std::string_view device_kind(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

/// The chips have names of their own up to JetPack 5; from JetPack 6 on the node is plainly called gpu, as on boards of other makers, and
/// Thor has one device for the graphics clusters (gpu-gpc-0) beside one for the video engines.
bool is_gpu_kind(std::string_view kind, bool tegra) {
  constexpr std::array<std::string_view, 5> kChips{"gp10b", "gv11b", "ga10b", "gb10b", "gm20b"};
  if (std::find(kChips.begin(), kChips.end(), kind) != kChips.end()) return true;
  return tegra && (kind == "gpu" || kind.starts_with("gpu-gpc"));
}

/// Folders of devfreq devices that are the GPU, best first: the class, then the places where releases without it had the device.
Result<std::vector<std::string>> find_devices(const Files& files) {
  const bool tegra = files.read("/proc/device-tree/compatible").value_or("").find("nvidia,tegra") != std::string::npos;
  std::vector<std::string> devices;
  const auto listed = [&](const std::string& folder) -> Result<std::vector<std::string>> {
    auto names = files.list(folder);
    if (!names && names.error().code == Errc::kNotFound) return std::vector<std::string>();
    return names;
  };
  TRY(const auto names, listed(kClass));
  for (const auto& name : names) {
    const std::string folder = std::string(kClass) + "/" + name;
    const std::string in_tree = without_nul(files.read(folder + "/device/of_node/name").value_or(""));
    if (is_gpu_kind(device_kind(name), tegra) || is_gpu_kind(device_kind(in_tree), tegra)) devices.push_back(folder);
  }
  for (const char* parent : {"/sys/devices", "/sys/devices/platform", "/sys/devices/platform/bus@0"}) {
    TRY(const auto units, listed(parent));
    for (const auto& unit : units) {
      if (unit != "gpu.0" && !is_gpu_kind(device_kind(unit), tegra)) continue;
      const std::string folder = std::string(parent) + "/" + unit + "/devfreq";
      TRY(const auto children, listed(folder));
      for (const auto& child : children) devices.push_back(folder + "/" + child);
    }
  }
  return devices;
}

Result<std::vector<double>> read_table(const Files& files, const std::string& folder) {
  const std::string path = folder + "/available_frequencies";
  TRY(const std::string text, files.read(path));
  std::set<double> table;
  std::istringstream words(text);
  for (long long hertz = 0; words >> hertz;) {
    if (hertz > 0) table.insert(static_cast<double>(hertz));
  }
  if (table.empty()) return fail(Errc::kCorrupt, "read " + path + ": no frequencies in \"" + text + "\"");
  return std::vector<double>(table.begin(), table.end());
}

KnobDiscovery discover(Host& host) {
  const auto absent = [](Error why) {
    KnobDiscovery none;
    none.absent.push_back({kMaxName, std::move(why)});
    return none;
  };
  const auto devices = find_devices(host.files);
  if (!devices) return absent(devices.error());
  if (devices->empty()) {
    for (const char* unit : {"/sys/devices/gpu.0", "/sys/devices/platform/gpu.0", "/sys/devices/platform/17000000.gpu",
                             "/sys/devices/platform/bus@0/17000000.gpu"}) {
      if (!host.files.read(std::string(unit) + "/railgate_enable")) continue;
      return absent({Errc::kNotFound, std::string("look for the GPU in ") + kClass + ": not there, though " + unit + " is",
                     "the device may be missing until the GPU was powered once: run any program on the GPU, then look again"});
    }
    return absent({Errc::kNotFound, std::string("look for a Jetson GPU in ") + kClass + ": none", {}});
  }
  const std::string& folder = devices->front();
  auto table = read_table(host.files, folder);
  if (!table) return absent(table.error());
  for (const char* node : {"/min_freq", "/max_freq"}) {
    if (auto may = host.files.writable(folder + node); !may) {
      if (may.error().code == Errc::kPermission) may.error().hint = "run as root to set GPU clocks";
      return absent(may.error());
    }
  }
  const auto clock = std::make_shared<GpuClock>(host.files, folder, *table);
  std::vector<Value> levels(table->begin(), table->end());
  Parameter floor{.name = kMinName,
                  .unit = "Hz",
                  .role = Role::kClockFloor,
                  .levels = levels,
                  .help = "lowest clock of the GPU's governor (devfreq min_freq); never above gpu_max_hz"};
  Parameter ceiling{.name = kMaxName,
                    .unit = "Hz",
                    .role = Role::kComputeClock,
                    .levels = std::move(levels),
                    .help = "highest clock of the GPU's governor (devfreq max_freq)"};
  KnobDiscovery found;
  // A restore goes backwards: the ceiling's entry, which makes room, comes before the floor's.
  found.knobs.push_back(std::make_unique<GpuLimit>(host.files, clock, std::move(floor)));
  found.knobs.push_back(std::make_unique<GpuLimit>(host.files, clock, std::move(ceiling)));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver gpu_devfreq;
constinit const KnobDriver gpu_devfreq{
    .name = "gpu_devfreq", .summary = "lowest and highest clock of a Jetson's GPU (devfreq)", .discover = discover};
}  // namespace knob_driver
}  // namespace polythrottle
