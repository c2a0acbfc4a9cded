// Power of a Jetson's supply rails, from the INA3221 sensors on the module, integrated over time: there is no energy counter.
//
// Two layouts: JetPack 5 and later have the kernel's hwmon driver (volts and amperes apart), JetPack 4 a driver of NVIDIA's under iio
// (watts). Chips are found by their name and rails by their labels; numbers of devices and buses change from boot to boot. Thor has one
// more chip, an INA238 before all rails, which is read instead of them (VIN in tegrastats). Sources: Linux Documentation/hwmon/ina3221.rst
// and drivers/hwmon/ina3221.c; NVIDIA's ina3221 driver of L4T 4.9; rail tables of rbonghi/jetson_stats and of NVIDIA's device trees
// (tegra234-p3701.dtsi, tegra234-p3767.dtsi).

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>

#include "meter/meter.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "ina3221";
constexpr const char* kHwmon = "/sys/class/hwmon";
constexpr const char* kInputChip = "ina238";
constexpr const char* kHwmonDriver = "/sys/bus/i2c/drivers/ina3221";
constexpr const char* kIioDriver = "/sys/bus/i2c/drivers/ina3221x";

/// A rail that feeds all others: then it alone is the energy.
constexpr std::array<std::string_view, 3> kInputs{"VDD_IN", "POM_5V_IN", "VIN"};
/// Rails beside one another that together feed the module, where no input rail has a sensor. AGX Orin's fourth, VDDQ_VDD2_1V8AO (DRAM), is
/// left out: boards report it at the very voltage of VIN_SYS_5V0, the 5 V supply that feeds it, so it is in there already.
const std::array<std::vector<std::string_view>, 2> kSums{{
    {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"},   // AGX Orin
    {"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"},  // AGX Xavier
}};

/// The paper's own rate on Orin; each read costs bus transfers and keeps a CPU awake (5 to 10 % of the power at this rate, it says).
constexpr Seconds kSampling{0.05};
/// A CPU is not to spend more than this part of its time reading.
constexpr double kMostReading = 0.1;
/// The chip's configuration after reset: 3 channels, no averaging, 1.1 ms each for volts and amperes.
constexpr Seconds kResetRefresh{0.007};
/// NVIDIA's driver in its continuous mode: 64 averages of the same. In the other mode each read starts a conversion of its own.
constexpr Seconds kContinuousRefresh{0.422};

/// The chip is good to a fraction of a percent and its shunts to 1 %, but the paper's USB meter read 10 % more than the sum of these rails,
/// consistently. Part of that is the carrier board, which the rails do not feed; we cannot say which part, so half of it is one sigma.
constexpr double kGainError = 0.05;
/// One step of the shunt register; over the shunt's resistance it is a step of current, and half of that is lost to rounding.
constexpr double kShuntStepVolts = 40e-6;
/// NVIDIA's device trees: 2 mOhm on AGX Orin, 5 mOhm on the others. hwmon says which; for iio the larger step is not known to apply.
constexpr double kAssumedShuntOhms = 5e-3;
constexpr double kAssumedVolts = 19.0;
constexpr int kTries = 3;  ///< a bus in use answers "try again"

struct Rail {
  std::string label;
  std::string volts_path;  ///< mV; with amps_path
  std::string amps_path;   ///< mA
  std::string watts_path;  ///< instead of both
  double watts_unit = 1e-3;
  double shunt_ohms = kAssumedShuntOhms;
  Seconds refresh{0};
};

Result<double> read_scaled(const Files& files, const std::string& path, double unit) {
  for (int i = 1;; ++i) {
    const auto number = read_integer(files, path);
    if (number) return static_cast<double>(*number) * unit;
    if (number.error().code != Errc::kBusy || i == kTries) return tl::unexpected<Error>(number.error());
  }
}

Result<double> read_milli(const Files& files, const std::string& path) { return read_scaled(files, path, 1e-3); }

Result<double> read_watts(const Files& files, const Rail& rail) {
  double watts = 0.0;
  if (!rail.watts_path.empty()) {
    TRY(watts, read_scaled(files, rail.watts_path, rail.watts_unit));
  } else {
    TRY(const double volts, read_milli(files, rail.volts_path));
    TRY(const double amps, read_milli(files, rail.amps_path));
    watts = volts * amps;
  }
  // A supply takes nothing back: less than 0 is the last bit of an idle rail.
  return std::max(watts, 0.0);
}

class Ina3221Meter : public Meter {
 public:
  Ina3221Meter(Host& host, std::vector<Rail> rails, MeterInfo info)
      : host_(host), rails_(std::move(rails)), info_(std::move(info)), start_(host.clock.now()) {}

  /// Starts integrating at 0 and times a read.
  Status start() {
    for (const auto& rail : rails_) {
      const double volts = rail.volts_path.empty() ? kAssumedVolts : read_milli(host_.files, rail.volts_path).value_or(kAssumedVolts);
      offset_watts_ += 0.5 * kShuntStepVolts / rail.shunt_ohms * volts;
    }
    Seconds best{1e9};
    for (int i = 0; i < kTries; ++i) {
      const auto before = host_.clock.now();
      TRY(watts_, read_power());
      best = std::min(best, Seconds(host_.clock.now() - before));
    }
    info_.read_cost = best;
    info_.sampling = std::max({kSampling, info_.refresh, best / kMostReading});
    last_at_ = start_ = host_.clock.now();
    return {};
  }

  const MeterInfo& info() const override { return info_; }

  Result<MeterSample> read() override {
    TRY(const double watts, read_power());
    const auto at = host_.clock.now();
    total_ += 0.5 * (watts_ + watts) * (at - last_at_).count();
    watts_ = watts;
    last_at_ = at;
    return MeterSample{
        .at = at, .energy = Joules(total_), .one_sigma = {Joules(total_ * kGainError), Joules(offset_watts_ * (at - start_).count())}};
  }

 private:
  Result<double> read_power() const {
    double watts = 0.0;
    for (const auto& rail : rails_) {
      TRY(const double one, read_watts(host_.files, rail));
      watts += one;
    }
    return watts;
  }

  Host& host_;
  std::vector<Rail> rails_;
  MeterInfo info_;
  Clock::TimePoint start_;
  Clock::TimePoint last_at_;
  double watts_ = 0.0;         ///< at last_at_
  double total_ = 0.0;         ///< J
  double offset_watts_ = 0.0;  ///< half a step on every rail
};

Result<std::vector<std::string>> list_if_there(const Files& files, const std::string& folder) {
  auto names = files.list(folder);
  if (!names && names.error().code == Errc::kNotFound) return std::vector<std::string>();
  return names;
}

/// Channels of one chip under hwmon. A channel that is switched off has no current to read.
Status add_hwmon_rails(const Files& files, const std::string& folder, std::vector<Rail>& rails) {
  const auto interval_ms = read_integer(files, folder + "/update_interval");
  const Seconds refresh = interval_ms && *interval_ms > 0 ? Seconds(static_cast<double>(*interval_ms) * 1e-3) : kResetRefresh;
  for (const char* channel : {"1", "2", "3"}) {  // above are shunt voltages and their sum
    const auto label = read_trimmed(files, folder + "/in" + channel + "_label");
    if (!label && label.error().code == Errc::kPermission) return tl::unexpected<Error>(label.error());
    if (!label || label->empty() || *label == "NC") continue;
    Rail rail{.label = *label,
              .volts_path = folder + "/in" + channel + "_input",
              .amps_path = folder + "/curr" + channel + "_input",
              .refresh = refresh};
    if (const auto shunt_uohm = read_integer(files, folder + "/shunt" + channel + "_resistor"); shunt_uohm && *shunt_uohm > 0) {
      rail.shunt_ohms = static_cast<double>(*shunt_uohm) * 1e-6;
    }
    rails.push_back(std::move(rail));
  }
  return {};
}

/// Elsewhere such a chip may measure anything.
bool is_thor(const Files& files) {
  return files.read("/proc/device-tree/compatible").value_or("").find("nvidia,tegra264") != std::string::npos;
}

/// Linux Documentation/hwmon/ina238.rst: uW, computed by the chip.
Rail input_rail(const std::string& folder) {
  return {.label = "VIN",
          .volts_path = folder + "/in1_input",
          .watts_path = folder + "/power1_input",
          .watts_unit = 1e-6,
          .refresh = kResetRefresh};
}

Status add_iio_rails(const Files& files, const std::string& folder, std::vector<Rail>& rails) {
  const auto continuous = read_integer(files, folder + "/running_mode");
  const Seconds refresh = continuous && *continuous != 0 ? kContinuousRefresh : kSampling;
  for (const char* channel : {"0", "1", "2"}) {
    const auto label = read_trimmed(files, folder + "/rail_name_" + channel);
    if (!label && label.error().code == Errc::kPermission) return tl::unexpected<Error>(label.error());
    if (!label || label->empty() || *label == "NC") continue;
    rails.push_back({.label = *label,
                     .volts_path = folder + "/in_voltage" + channel + "_input",
                     .watts_path = folder + "/in_power" + channel + "_input",
                     .refresh = refresh});
  }
  return {};
}

Result<std::vector<Rail>> find_rails(const Files& files) {
  std::vector<Rail> rails;
  TRY(const auto devices, list_if_there(files, kHwmon));
  for (const auto& device : devices) {
    const std::string folder = std::string(kHwmon) + "/" + device;
    const std::string chip = read_trimmed(files, folder + "/name").value_or("");
    if (chip == kName) TRY_STATUS(add_hwmon_rails(files, folder, rails));
    if (chip == kInputChip && is_thor(files)) rails.push_back(input_rail(folder));
  }
  if (!rails.empty()) return rails;
  TRY(const auto chips, list_if_there(files, kHwmonDriver));
  for (const auto& chip : chips) {
    if (chip.find('-') == std::string::npos) continue;  // "1-0040": bus and address
    const std::string folder = std::string(kHwmonDriver) + "/" + chip + "/hwmon";
    TRY(const auto children, list_if_there(files, folder));
    for (const auto& child : children) TRY_STATUS(add_hwmon_rails(files, folder + "/" + child, rails));
  }
  if (!rails.empty()) return rails;
  TRY(const auto old_chips, list_if_there(files, kIioDriver));
  for (const auto& chip : old_chips) {
    if (chip.find('-') == std::string::npos) continue;
    const std::string folder = std::string(kIioDriver) + "/" + chip;
    TRY(const auto children, list_if_there(files, folder));
    for (const auto& child : children) {
      if (child.starts_with("iio:device")) TRY_STATUS(add_iio_rails(files, folder + "/" + child, rails));
    }
  }
  return rails;
}

/// The rails whose power is the module's, none within another.
Result<std::vector<Rail>> choose_rails(const std::vector<Rail>& rails) {
  const auto find = [&](std::string_view label) -> const Rail* {
    const auto at = std::find_if(rails.begin(), rails.end(), [&](const Rail& rail) { return rail.label == label; });
    return at == rails.end() ? nullptr : &*at;
  };
  for (const auto& input : kInputs) {
    if (const Rail* rail = find(input)) return std::vector<Rail>{*rail};
  }
  for (const auto& labels : kSums) {
    std::vector<Rail> sum;
    for (const auto& label : labels) {
      if (const Rail* rail = find(label)) sum.push_back(*rail);
    }
    if (sum.size() == labels.size()) return sum;
  }
  std::string found;
  for (const auto& rail : rails) found += (found.empty() ? "" : ", ") + rail.label;
  return fail(Errc::kUnsupported, "add up the rails " + found + ": it is not known which of them contain others",
              "an input rail (VDD_IN) or a known set of rails is needed");
}

std::string boundary_of(const std::vector<Rail>& chosen) {
  std::string labels;
  for (const auto& rail : chosen) labels += (labels.empty() ? "" : " + ") + rail.label;
  if (labels == "VIN") return "Jetson Thor: its input VIN as tegrastats has it (carrier board perhaps included, no power supply)";
  if (chosen.size() == 1) return "Jetson module: its input rail " + labels + " (no carrier board, no power supply)";
  return "Jetson module: " + labels + " (no carrier board, no power supply; rails that these feed are not added again)";
}

MeterDiscovery discover(Host& host, const MeterOptions&) {
  const auto absent = [](Error why) {
    if (why.code == Errc::kPermission) why.hint = "run as root: some releases show the rails to nobody else";
    MeterDiscovery none;
    none.absent.push_back({kName, std::move(why)});
    return none;
  };
  const auto rails = find_rails(host.files);
  if (!rails) return absent(rails.error());
  if (rails->empty()) return absent({Errc::kNotFound, std::string("look for INA3221 power sensors in ") + kHwmon + ": none", {}});
  auto chosen = choose_rails(*rails);
  if (!chosen) return absent(chosen.error());
  Seconds refresh{0};
  for (const auto& rail : *chosen) refresh = std::max(refresh, rail.refresh);
  MeterInfo info{.name = kName,
                 .boundary = boundary_of(*chosen),
                 .estimated = false,
                 .refresh = refresh,
                 .error =
                     "+-5 % on the gain and half a step of current on each rail (1 sigma); a USB meter in front of the board read 10 % "
                     "more than such sensors",
                 .error_sources = {"ina3221_gain", "ina3221_offset"}};
  auto meter = std::make_unique<Ina3221Meter>(host, std::move(*chosen), std::move(info));
  if (auto started = meter->start(); !started) return absent(started.error());
  MeterDiscovery found;
  found.meters.push_back(std::move(meter));
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver ina3221;
constinit const MeterDriver ina3221{
    .name = "ina3221", .summary = "power of a Jetson's supply rails (INA3221), integrated", .preference = 20, .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
