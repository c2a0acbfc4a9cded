// Power of a Jetson's supply rails, from the INA3221 sensors on the module, integrated over time: there is no energy counter.
//
// Two layouts: JetPack 5 and later have the kernel's hwmon driver (volts and amperes apart), JetPack 4 a driver of NVIDIA's under iio
// (watts). Chips are found by their name and rails by their labels; numbers of devices and buses change from boot to boot. Thor has one
// more chip, an INA238 before all rails, which is read instead of them (VIN in tegrastats). Sources: Linux Documentation/hwmon/ina3221.rst
// and drivers/hwmon/ina3221.c; NVIDIA's ina3221 driver of L4T 4.9; rail tables of rbonghi/jetson_stats and of NVIDIA's device trees
// (tegra234-p3701.dtsi, tegra234-p3767.dtsi).

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "base/stats.h"
#include "meter/bus_read.h"
#include "meter/meter.h"
#include "meter/power_integral.h"
#include "meter/supply_rails.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "ina3221";

/// The paper's own rate on Orin; each read costs bus transfers and keeps a CPU awake (5 to 10 % of the power at this rate, it says).
constexpr Seconds kSampling{0.05};
/// A CPU is not to spend more than this part of its time reading.
constexpr double kMostReading = 0.1;

/// Every rail has a shunt of its own, of 1 % (NVIDIA's boards; taken as two standard deviations), before a channel that is good to 0.25 %
/// (INA3221 data sheet SBOS576, section 7.5: largest gain error, likewise).
constexpr double kGainError = 0.00515;  // hypot(0.5 %, 0.125 %)
/// Of a channel's shunt voltage: typical in the same place, the largest is twice that. Over the shunt it is a current, 20 mA on AGX Orin.
constexpr double kOffsetVolts = 40e-6;
constexpr double kShuntStepVolts = 40e-6;
constexpr double kAssumedVolts = 19.0;
constexpr double kLeastWatts = 2.0, kMostWatts = 5000.0;  ///< below and above, a rail's number is no power
constexpr int kTries = 3;                                 ///< at timing a read

Result<double> read_milli(const Files& files, const std::string& path) { return read_scaled(files, path, 1e-3); }

Result<double> read_watts(const Files& files, const SupplyRail& rail) {
  double watts = 0.0;
  if (!rail.watts_path.empty()) {
    TRY(watts, read_scaled(files, rail.watts_path, rail.watts_unit));
  } else {
    TRY(const double volts, read_milli(files, rail.volts_path));
    TRY(const double amps, read_milli(files, rail.amps_path));
    watts = volts * amps;
  }
  if (watts < -kLeastWatts || watts > kMostWatts) {
    return fail(Errc::kCorrupt, "read the rail " + rail.label + ": " + std::to_string(watts) + " W",
                "its sensor is broken or not what it seems");
  }
  // A supply takes nothing back: a little less than 0 is offset and the last bit of an idle rail.
  return std::max(watts, 0.0);
}

/// Root mean square of an offset, over that of a rail that draws much, on one that draws `power` times it: it is never read as less than
/// nothing, so that an offset below 0 counts only as far as there is power. E[max(z, -power)^2] for a standard normal z.
double offset_share(double power) {
  const double density = std::exp(-0.5 * power * power) / std::sqrt(2.0 * std::numbers::pi);
  return std::sqrt(normal_cdf(power) - power * density + power * power * normal_cdf(-power));
}

class Ina3221Meter : public Meter {
 public:
  Ina3221Meter(Host& host, std::vector<SupplyRail> rails, MeterInfo info)
      : host_(host), rails_(std::move(rails)), info_(std::move(info)), whole_({}) {}

  /// Starts integrating at 0 and times a read.
  Status start() {
    std::vector<std::vector<double>> looks;
    info_.read_cost = Seconds(1e9);
    for (int i = 0; i < kTries; ++i) {
      const auto before = host_.clock.now();
      TRY(auto watts, read_all());
      looks.push_back(std::move(watts));
      info_.read_cost = std::min(info_.read_cost, Seconds(host_.clock.now() - before));
    }
    info_.sampling = std::max({kSampling, info_.refresh, info_.read_cost / kMostReading});
    double step_squares = 0.0;
    for (const auto& rail : rails_) {
      double volts = rail.volts_path.empty() ? kAssumedVolts : read_milli(host_.files, rail.volts_path).value_or(kAssumedVolts);
      if (!(volts > 0.0)) volts = kAssumedVolts;  // asleep still
      offset_watts_.push_back(kOffsetVolts / rail.shunt_ohms * volts);
      const double step = kShuntStepVolts / rail.shunt_ohms * volts;
      parts_.emplace_back(sensor(step));
      if (rail.counted) step_squares += step * step;
    }
    whole_ = PowerIntegral(sensor(std::sqrt(step_squares)));
    offsets_.assign(rails_.size(), 0.0);
    offsets_at_ = host_.clock.now();
    add(looks.back(), offsets_at_);
    return {};
  }

  const MeterInfo& info() const override { return info_; }

  Result<MeterSample> read() override {
    TRY(const auto watts, read_all());
    const auto at = host_.clock.now();
    const Seconds passed = at - offsets_at_;
    offsets_at_ = at;
    add(watts, at);
    MeterSample sample = whole_.sample();
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      sample.rails.push_back(parts_[i].energy());
      if (!rails_[i].counted) continue;
      sample.one_sigma.push_back(parts_[i].energy() * kGainError);
      offsets_[i] += offset_watts_[i] * offset_share(watts[i] / offset_watts_[i]) * passed.count();
      sample.one_sigma.push_back(Joules(offsets_[i]));
    }
    return sample;
  }

 private:
  /// The registers hold the mean of the last whole cycle, as of the middle of the read; a chip that converts when read gives that.
  PowerSensor sensor(double step_watts) const {
    const bool converts = rails_.front().converts;
    const Seconds age = converts ? info_.read_cost - 0.5 * info_.refresh : info_.refresh + 0.5 * info_.read_cost;
    return {.step = Watts(step_watts), .refresh = info_.refresh, .age = std::max(age, Seconds(0))};
  }

  Result<std::vector<double>> read_all() const {
    std::vector<double> watts;
    watts.reserve(rails_.size());
    for (const auto& rail : rails_) {
      TRY(const double one, read_watts(host_.files, rail));
      watts.push_back(one);
    }
    return watts;
  }

  void add(const std::vector<double>& watts, Clock::TimePoint at) {
    double sum = 0.0;
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      parts_[i].add(at, Watts(watts[i]));
      if (rails_[i].counted) sum += watts[i];
    }
    whole_.add(at, Watts(sum));
  }

  Host& host_;
  std::vector<SupplyRail> rails_;
  MeterInfo info_;
  std::vector<PowerIntegral> parts_;  ///< of each rail
  PowerIntegral whole_;               ///< of those counted: its error knows how they vary together
  std::vector<double> offset_watts_;
  std::vector<double> offsets_;  ///< J, of each rail
  Clock::TimePoint offsets_at_{};
};

std::string boundary_of(const std::vector<SupplyRail>& rails) {
  std::string labels;
  for (const auto& rail : rails) {
    if (rail.counted) labels += (labels.empty() ? "" : " + ") + rail.label;
  }
  if (labels == "VIN") return "Jetson Thor: its input VIN as tegrastats has it (carrier board perhaps included, no power supply)";
  if (labels.find(" + ") == std::string::npos) return "Jetson module: its input rail " + labels + " (no carrier board, no power supply)";
  return "Jetson module: " + labels + " (no carrier board, no power supply; rails that these feed are not added again)";
}

MeterDiscovery discover(Host& host, const MeterOptions& options) {
  const auto absent = [](Error why) {
    if (why.code == Errc::kPermission) why.hint = "run as root: some releases show the rails to nobody else";
    MeterDiscovery none;
    none.absent.push_back({kName, std::move(why)});
    return none;
  };
  auto rails = find_supply_rails(host.files);
  if (!rails) return absent(rails.error());
  if (rails->empty()) return absent({Errc::kNotFound, "look for INA3221 power sensors in /sys/class/hwmon: none", {}});
  if (!options.all_rails) std::erase_if(*rails, [](const SupplyRail& rail) { return !rail.counted; });
  MeterInfo info{.name = kName,
                 .boundary = boundary_of(*rails),
                 .estimated = false,
                 .error =
                     "each rail +-0.5 % on its gain (1 % shunts) and +-40 uV over its shunt (1 sigma). What the rails do not feed is no "
                     "error but not in it: a USB meter in front of a board read 10 % more"};
  for (const auto& rail : *rails) {
    info.refresh = std::max(info.refresh, rail.refresh);
    info.rails.push_back({.name = rail.label, .boundary = {}, .inside = rail.inside, .counted = rail.counted});
    if (!rail.counted) continue;
    info.error_sources.push_back(std::string(kName) + "_gain_" + rail.label);
    info.error_sources.push_back(std::string(kName) + "_offset_" + rail.label);
  }
  auto meter = std::make_unique<Ina3221Meter>(host, std::move(*rails), std::move(info));
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
