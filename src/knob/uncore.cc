// The highest clock of the uncore of Intel servers (last-level cache, mesh, memory controllers), all dies together, on request only.
// Source: Linux Documentation/admin-guide/pm/intel_uncore_frequency_scaling.rst; drivers/platform/x86/intel/uncore-frequency.
//
// Its role is "other", not memory clock: it feeds the caches and the way to memory, while the DRAM keeps its clock, so that what is
// believed of memory clocks in advance (bandwidth in proportion to it) does not hold.

#include <algorithm>
#include <map>
#include <optional>

#include "knob/clock_band.h"
#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "uncore_hz";
constexpr const char* kFolder = "/sys/devices/system/cpu/intel_uncore_frequency";
/// The register holds a ratio of 100 MHz; the rest of a number is cut.
constexpr Khz kStepKhz = 100'000;

struct Die {
  std::string folder;
  Khz lowest = 0;   ///< at boot
  Khz highest = 0;  ///< at boot
  std::optional<Khz> floor;

  ClockBand band() const { return {.floor_path = folder + "/min_freq_khz", .ceiling_path = folder + "/max_freq_khz", .bottom = lowest}; }
};

class UncoreFrequency : public Knob {
 public:
  UncoreFrequency(Files& files, std::vector<Die> dies, Parameter parameter)
      : files_(files), dies_(std::move(dies)), parameter_(std::move(parameter)) {}

  const Parameter& parameter() const override { return parameter_; }

  Result<Value> read() override {
    std::vector<Khz> ceilings;
    for (const auto& die : dies_) {
      TRY(const Khz khz, read_khz(files_, die.band().ceiling_path));
      ceilings.push_back(khz);
    }
    const double value = to_hertz(*std::max_element(ceilings.begin(), ceilings.end()));
    seen_.try_emplace(value, std::move(ceilings));
    return Value(value);
  }

  Result<Value> write(const Value& wanted) override {
    TRY(const auto ceilings, targets_of(wanted));
    for (std::size_t i = 0; i < dies_.size(); ++i) {
      if (!dies_[i].floor) {
        TRY(dies_[i].floor, read_khz(files_, dies_[i].band().floor_path));
      }
      TRY_STATUS(write_band(files_, dies_[i].band(), ceilings[i], *dies_[i].floor));
    }
    return read();
  }

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths;
    for (const auto& die : dies_) {
      paths.push_back(die.band().floor_path);
      paths.push_back(die.band().ceiling_path);
    }
    return paths;
  }

  Result<std::vector<FoundNode>> found_nodes() override {
    std::vector<FoundNode> nodes;
    for (const auto& die : dies_) TRY_STATUS(append_found(files_, die.band(), nodes));
    return nodes;
  }

  Result<std::optional<Value>> actual() override {
    std::optional<Value> highest;
    for (const auto& die : dies_) {
      const auto khz = read_integer(files_, die.folder + "/current_freq_khz");
      if (!khz && khz.error().code == Errc::kNotFound) continue;  // older kernels
      if (!khz) return tl::unexpected<Error>(khz.error());
      if (*khz > 0 && (!highest || Value(to_hertz(*khz)) > *highest)) highest = Value(to_hertz(*khz));
    }
    return highest;
  }

 private:
  Result<std::vector<Khz>> targets_of(const Value& wanted) const {
    const auto& levels = parameter_.levels;
    std::vector<Khz> targets;
    if (std::find(levels.begin(), levels.end(), wanted) != levels.end()) {
      for (const auto& die : dies_) targets.push_back(std::clamp(to_khz(std::get<double>(wanted)), die.lowest, die.highest));
      return targets;
    }
    if (const auto* hertz = std::get_if<double>(&wanted)) {
      if (const auto seen = seen_.find(*hertz); seen != seen_.end()) return seen->second;
    }
    return fail(Errc::kOutOfRange, std::string("set ") + kName + " to " + to_text(wanted) + ": not one of its levels",
                "the lowest is " + to_text(levels.front()) + ", the highest " + to_text(levels.back()));
  }

  Files& files_;
  std::vector<Die> dies_;
  Parameter parameter_;
  std::map<double, std::vector<Khz>> seen_;  ///< what each die held when `read` first answered this value
};

Result<Die> probe(const Files& files, const std::string& folder) {
  Die die{.folder = folder, .floor = {}};
  TRY(die.lowest, read_khz(files, folder + "/initial_min_freq_khz"));
  TRY(die.highest, read_khz(files, folder + "/initial_max_freq_khz"));
  if (die.highest < die.lowest) {
    return fail(Errc::kCorrupt,
                "read " + folder + ": clocks from " + std::to_string(die.lowest) + " to " + std::to_string(die.highest) + " kHz");
  }
  TRY_STATUS(files.writable(die.band().floor_path));
  TRY_STATUS(files.writable(die.band().ceiling_path));
  return die;
}

KnobDiscovery discover(Host& host) {
  const auto absent = [](Error why) {
    if (why.code == Errc::kPermission && why.hint.empty()) why.hint = "run as root to set the uncore clock";
    KnobDiscovery none;
    none.absent.push_back({kName, std::move(why)});
    return none;
  };
  const auto names = host.files.list(kFolder);
  if (!names && names.error().code != Errc::kNotFound) return absent(names.error());
  std::vector<Die> dies;
  Khz bottom = 0;
  Khz top = 0;
  for (const auto& name : names.value_or(std::vector<std::string>())) {
    // package_XX_die_YY, each over all the uncore of its die.
    if (!name.starts_with("package_") || name.find("_die_") == std::string::npos) continue;
    auto die = probe(host.files, std::string(kFolder) + "/" + name);
    if (!die) return absent(die.error());
    bottom = std::max(bottom, die->lowest);
    top = std::max(top, die->highest);
    dies.push_back(std::move(*die));
  }
  if (dies.empty()) {
    return absent({Errc::kNotFound, std::string("look for dies in ") + kFolder + ": none",
                   "Intel servers have them: modprobe intel-uncore-frequency"});
  }
  Parameter parameter{.name = kName,
                      .unit = "Hz",
                      .role = Role::kOther,
                      .levels = {},
                      .help = "highest clock of caches, mesh and memory controllers of all dies (max_freq_khz)"};
  for (const Khz khz : stepped_levels(std::min(bottom, top), top, kStepKhz)) parameter.levels.emplace_back(to_hertz(khz));
  KnobDiscovery found;
  found.knobs.push_back(std::make_unique<UncoreFrequency>(host.files, std::move(dies), std::move(parameter)));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver uncore;
constinit const KnobDriver uncore{
    .name = "uncore", .summary = "highest clock of the uncore of Intel servers", .discover = discover, .by_request = true};
}  // namespace knob_driver
}  // namespace polythrottle
