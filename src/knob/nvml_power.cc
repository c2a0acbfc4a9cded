// The power limit of an NVIDIA GPU. Source: nvml.h of NVML API version 13, on nvmlDeviceSetPowerManagementLimit and its constraints.

#include <cmath>
#include <map>
#include <set>

#include "host/nvml_gpu.h"
#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "power_limit_watts";
constexpr std::size_t kMostLevels = 16;

using Milliwatts = long long;

double to_watts(Milliwatts milliwatts) { return static_cast<double>(milliwatts) * 1e-3; }

class PowerLimit : public Knob {
 public:
  PowerLimit(Files& files, std::string path, Parameter parameter)
      : files_(files), path_(std::move(path)), parameter_(std::move(parameter)) {
    for (const auto& level : parameter_.levels) known_.insert(std::get<double>(level));
  }

  const Parameter& parameter() const override { return parameter_; }

  Result<Value> read() override {
    TRY(const Milliwatts limit, read_integer(files_, path_));
    known_.insert(to_watts(limit));
    return Value(to_watts(limit));
  }

  Result<Value> write(const Value& wanted) override {
    const auto* watts = std::get_if<double>(&wanted);
    if (watts == nullptr || !known_.contains(*watts)) {
      return fail(Errc::kOutOfRange, std::string("set ") + kName + " to " + to_text(wanted) + ": not one of its levels",
                  "the lowest is " + to_text(parameter_.levels.front()) + ", the highest " + to_text(parameter_.levels.back()));
    }
    TRY_STATUS(files_.write(path_, std::to_string(std::llround(*watts * 1e3))));
    return read();
  }

  std::vector<std::string> paths() const override { return {path_}; }

  Result<std::vector<FoundNode>> found_nodes() override {
    TRY(std::string text, files_.read(path_));
    return std::vector<FoundNode>{{path_, std::move(text)}};
  }

 private:
  Files& files_;
  std::string path_;
  Parameter parameter_;
  std::set<double> known_;  ///< levels, and values that were read once
};

struct Range {
  Milliwatts lowest = 0;
  Milliwatts highest = 0;
  Milliwatts usual = 0;  ///< the driver's default
  Milliwatts found = 0;
};

Result<Range> read_range(const Files& files, const std::string& folder) {
  Range range;
  TRY(range.lowest, read_integer(files, folder + "/power_limit_min_mw"));
  TRY(range.highest, read_integer(files, folder + "/power_limit_max_mw"));
  TRY(range.found, read_integer(files, folder + "/power_limit_mw"));
  // Not every GPU has a default of its own; the limits serve without.
  range.usual = read_integer(files, folder + "/power_limit_default_mw").value_or(range.found);
  if (range.lowest <= 0 || range.highest < range.lowest) {
    return fail(Errc::kCorrupt, "read " + folder + "/power_limit_min_mw: limits from " + std::to_string(range.lowest) + " to " +
                                    std::to_string(range.highest) + " mW");
  }
  return range;
}

/// The ends, the default and the one found as they are; between them whole watts in even steps, as many as there is room for.
std::vector<Value> levels_of(const Range& range) {
  std::set<Milliwatts> marks{range.lowest, range.highest};
  for (const Milliwatts mark : {range.usual, range.found}) {
    if (mark >= range.lowest && mark <= range.highest) marks.insert(mark);
  }
  std::set<Milliwatts> levels;
  for (std::size_t steps = kMostLevels - 1; steps > 0; --steps) {
    levels = marks;
    const double step = static_cast<double>(range.highest - range.lowest) / static_cast<double>(steps);
    for (std::size_t i = 1; i < steps; ++i) {
      const Milliwatts level = std::llround((static_cast<double>(range.lowest) + static_cast<double>(i) * step) * 1e-3) * 1000;
      if (level > range.lowest && level < range.highest) levels.insert(level);
    }
    if (levels.size() <= kMostLevels) break;
  }
  std::vector<Value> values;
  for (const Milliwatts level : levels) values.emplace_back(to_watts(level));
  return values;
}

KnobDiscovery discover(Host& host) {
  KnobDiscovery found;
  const auto absent = [&](Error why) {
    found.absent.push_back({kName, std::move(why)});
    return std::move(found);
  };
  if (is_jetson(host.files)) return found;
  const auto gpu = chosen_gpu(host.files);
  if (!gpu) return absent(gpu.error());
  const auto range = read_range(host.files, gpu->folder);
  if (!range) return absent(range.error());
  if (range->lowest == range->highest) {
    return absent({Errc::kUnsupported,
                   "set the power limit of " + gpu->text() + ": its maker allows " + to_text(Value(to_watts(range->lowest))) + " W only",
                   {}});
  }
  const std::string path = gpu->folder + "/power_limit_mw";
  if (const auto may = host.files.writable(path); !may) return absent(may.error());
  Parameter parameter{.name = kName,
                      .unit = "W",
                      .role = Role::kPowerCap,
                      .levels = levels_of(*range),
                      .help = "power limit of the NVIDIA GPU (NVML), within what its maker allows; its default is " +
                              to_text(Value(to_watts(range->usual))) + " W"};
  found.knobs.push_back(std::make_unique<PowerLimit>(host.files, path, std::move(parameter)));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver nvml_power;
constinit const KnobDriver nvml_power{.name = "nvml_power", .summary = "power limit of an NVIDIA GPU (NVML)", .discover = discover};
}  // namespace knob_driver
}  // namespace polythrottle
