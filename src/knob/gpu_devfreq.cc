// The band in which the GPU's governor moves, on boards whose GPU is a devfreq device (NVIDIA Jetson): min_freq and max_freq.
// Sources: Linux Documentation/ABI/testing/sysfs-class-devfreq and drivers/devfreq/devfreq.c (6.1); the same file of OE4T/linux-tegra-4.9;
// NVIDIA's nvpmodel.conf and jetson_clocks of JetPack 4 to 6; find_igpu of rbonghi/jetson_stats.
//
// Two generations behave differently. Kernel 4.9 (JetPack 4) answers a write that makes min > max with EINVAL; later ones (PM QoS) take
// any number as a request, and the higher floor waits hidden behind the lower ceiling. One order is right for both: the floor to the
// bottom of the table, then the ceiling, then the floor.
//
// While the GPU is rail-gated cur_freq reads 0, and on some releases the whole device is missing until the GPU was powered once. The limits
// hold all the same, so they are what this knob reads; whether the clock followed is a matter of `actual` under load. Power itself
// (railgate_enable, power/control) is left as it is.
//
// Only values of the table are written: the kernel keeps any other and shows it, and then runs the clock at the next one above. What the
// power mode allows ends the table: nvpmodel caps the GPU by this very max_freq, for the supply of the board, so going above it is the
// user's step to take, with nvpmodel.

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>

#include "knob/jetson_gpu.h"
#include "knob/knob.h"
#include "knob/nvpmodel.h"

namespace polythrottle {
namespace {

constexpr const char* kMinName = "gpu_min_hz";
constexpr const char* kMaxName = "gpu_max_hz";
/// Requests are kept in kHz: a floor is cut, a ceiling rounded up (devfreq.c, tried on 6.1).
constexpr double kRounding = 1000.0;

std::string number_text(double hertz) { return std::to_string(std::llround(hertz)); }

/// The device, and both its limits as one setting.
class GpuClock : public KnobGroup {
 public:
  /// `table`: what may be set; `top`: what no limit (0) means.
  GpuClock(Files& files, std::string folder, std::vector<double> table, double top)
      : files_(files), folder_(std::move(folder)), table_(std::move(table)), top_(top) {}

  std::string min_path() const { return folder_ + "/min_freq"; }
  std::string max_path() const { return folder_ + "/max_freq"; }
  const std::vector<double>& table() const { return table_; }

  Result<double> read_min() { return read_limit(min_path(), table_.front(), seen_min_); }
  Result<double> read_max() { return read_limit(max_path(), top_, seen_max_); }

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
  double top_;                   ///< Hz
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

/// What of the table the power mode in force leaves, and the words for what it takes; `found` is the ceiling.
std::string keep_to_power_mode(const Files& files, double found, std::vector<double>& table) {
  const auto model = read_nvpmodel(files);
  const PowerMode* const mode = model ? model->in_force() : nullptr;
  if (mode == nullptr || !mode->gpu_max_hz) return {};
  const double top = power_mode_ceiling(table, *mode->gpu_max_hz, found);
  const auto left_out = std::erase_if(table, [&](double level) { return level > top; });
  if (left_out == 0) return {};
  return "; levels above " + to_text(top / 1e6) + " MHz are left out: power mode " + mode->label() + " does not allow them";
}

/// What else decides about the clock now.
std::string notes_of(const Files& files, const std::string& folder, GpuClock& clock) {
  std::string notes;
  const std::string governor = read_trimmed(files, folder + "/governor").value_or("");
  if (governor == "performance") notes += "; its governor is 'performance': the clock stands at this limit";
  if (governor == "powersave") notes += "; its governor is 'powersave': the clock stands at gpu_min_hz";
  if (governor == "userspace") notes += "; its governor is 'userspace': the clock stands where it was put, as far as both limits let it";
  const auto floor = clock.read_min();
  const auto ceiling = clock.read_max();
  if (floor && ceiling && *floor == *ceiling) notes += "; found pinned, both limits the same (jetson_clocks does that)";
  if (const auto now = clock.read_clock(); now && !*now) notes += "; the GPU is powered off now and its clock reads 0 (rail gating)";
  return notes;
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
  const auto device = find_jetson_gpu(host.files);
  if (!device) return absent(device.error());
  const std::string& folder = *device;
  auto table = read_table(host.files, folder);
  if (!table) return absent(table.error());
  for (const char* node : {"/min_freq", "/max_freq"}) {
    if (auto may = host.files.writable(folder + node); !may) {
      if (may.error().code == Errc::kPermission) may.error().hint = "run as root to set GPU clocks";
      return absent(may.error());
    }
  }
  const double top = table->back();
  const auto found_ceiling = GpuClock(host.files, folder, *table, top).read_max();
  if (!found_ceiling) return absent(found_ceiling.error());
  const std::string left_out = keep_to_power_mode(host.files, *found_ceiling, *table);
  const auto clock = std::make_shared<GpuClock>(host.files, folder, *table, top);
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
                    .help = "highest clock of the GPU's governor (devfreq max_freq)" + left_out + notes_of(host.files, folder, *clock)};
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
