// Whatever power or energy sensors the kernel's hwmon class shows: power supplies, hot-swap controllers, shunts on a board. One meter for
// each channel, used only where somebody names it: what the maker of a machine wired to a channel is known to the owner at best, and
// channels may contain one another, so none is chosen for the user and none is added to another.
// Source: Linux Documentation/hwmon/sysfs-interface.rst.

#include <algorithm>
#include <cmath>
#include <optional>

#include "meter/bus_read.h"
#include "meter/counter_meter.h"
#include "meter/hwmon_channels.h"
#include "meter/power_integral.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "hwmon";
/// Above what one channel measures: more is no power but another unit.
constexpr double kMostWatts = 5000.0;
/// Less than this below zero is the last digit of a rail without load; more is current that flows the other way.
constexpr double kLeastWatts = -0.1;
/// Where the chip does not say how often it renews its number. Drivers that keep readings keep them for a tenth of a second to a whole one.
constexpr Seconds kAssumedRefresh{0.1};
/// A power is not asked for more often than this, however fast the chip is.
constexpr Seconds kShortestSampling{0.01};
/// A CPU is not to spend more than this part of its time reading.
constexpr double kMostReading = 0.1;
/// The class states no accuracy: chip, shunt and calibration are the maker's. An assumption.
constexpr double kAssumedGainError = 0.05;
constexpr int kTries = 3;  ///< at timing a read

class HwmonPowerMeter : public Meter {
 public:
  HwmonPowerMeter(Host& host, HwmonChannel channel, MeterInfo info)
      : host_(host), channel_(std::move(channel)), info_(std::move(info)), integral_({}) {}

  /// Starts integrating at 0 and times a read.
  Status start() {
    Seconds best{1e9};
    Watts watts;
    for (int i = 0; i < kTries; ++i) {
      const auto before = host_.clock.now();
      TRY(watts, read_power());
      best = std::min(best, Seconds(host_.clock.now() - before));
    }
    info_.read_cost = best;
    info_.sampling = std::max({kShortestSampling, info_.refresh, best / kMostReading});
    // A pair knows whole milliamperes; of other chips no step is known. That a number is a mean of its refresh is the more cautious guess.
    const double volts = channel_.amps_path.empty() ? 0.0 : read_scaled(host_.files, channel_.path, 1e-3).value_or(0.0);
    integral_ = PowerIntegral({.step = Watts(1e-3 * volts), .refresh = info_.refresh, .age = info_.refresh});
    integral_.add(host_.clock.now(), watts);
    return {};
  }

  const MeterInfo& info() const override { return info_; }

  Result<MeterSample> read() override {
    TRY(const Watts watts, read_power());
    integral_.add(host_.clock.now(), watts);
    MeterSample sample = integral_.sample();
    sample.one_sigma = {sample.energy * kAssumedGainError};
    return sample;
  }

 private:
  Result<Watts> read_power() const {
    double watts = 0.0;
    if (channel_.amps_path.empty()) {
      TRY(watts, read_scaled(host_.files, channel_.path, 1e-6));
    } else {
      TRY(const double volts, read_scaled(host_.files, channel_.path, 1e-3));
      TRY(const double amps, read_scaled(host_.files, channel_.amps_path, 1e-3));
      watts = volts * amps;
    }
    if (watts >= kLeastWatts && watts <= kMostWatts) return Watts(watts);
    const std::string read =
        "read " + (channel_.amps_path.empty() ? channel_.path : channel_.amps_path) + ": " + std::to_string(watts) + " W";
    if (watts < 0.0) return fail(Errc::kCorrupt, read + ": current flows the other way", "this channel is no meter of what is drawn");
    return fail(Errc::kCorrupt, read + ": more than such a channel measures", "the sensor is broken, or its unit is another");
  }

  Host& host_;
  HwmonChannel channel_;
  MeterInfo info_;
  PowerIntegral integral_;
};

MeterInfo info_of(const HwmonChannel& channel) {
  MeterInfo info{.name = channel.name,
                 .boundary = "what the maker wired to channel " + channel.label + " of " + channel.chip +
                             (channel.device.empty() ? "" : " (" + channel.device + ")") +
                             "; not known to this program, and it may contain or be part of other channels",
                 .estimated = false,
                 .only_by_name = true,
                 .refresh = channel.refresh,
                 .error = "chip and shunt are the maker's; +-5 % on the gain (1 sigma) is assumed",
                 .error_sources = {"hwmon_gain"}};
  if (info.refresh <= Seconds(0)) {
    info.refresh = kAssumedRefresh;
    info.remarks.push_back("the chip does not say how often it renews its number; " +
                           std::to_string(std::lround(kAssumedRefresh.count() * 1e3)) + " ms is assumed");
  }
  return info;
}

Result<std::unique_ptr<Meter>> meter_of(Host& host, const HwmonChannel& channel) {
  if (channel.kind == HwmonChannel::Kind::kEnergy) {
    return counter_meter(host, {{.path = channel.path, .most_watts = kMostWatts}}, info_of(channel), kAssumedGainError);
  }
  auto meter = std::make_unique<HwmonPowerMeter>(host, channel, info_of(channel));
  TRY_STATUS(meter->start());
  return std::unique_ptr<Meter>(std::move(meter));
}

MeterDiscovery discover(Host& host, const MeterOptions&) {
  MeterDiscovery found;
  auto channels = hwmon_channels(host.files);
  if (!channels) {
    found.absent.push_back({kName, channels.error()});
    return found;
  }
  for (auto& forbidden : channels->forbidden) found.absent.push_back(std::move(forbidden));
  for (const auto& channel : channels->found) {
    auto meter = meter_of(host, channel);
    if (meter) {
      found.meters.push_back(std::move(*meter));
    } else {
      found.absent.push_back({channel.name, meter.error()});
    }
  }
  if (found.meters.empty() && found.absent.empty()) {
    found.absent.push_back({kName, {Errc::kNotFound, "look for other sensors of power or energy in /sys/class/hwmon: none", {}}});
  }
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver hwmon;
constinit const MeterDriver hwmon{.name = kName,
                                  .summary = "any other power or energy sensor of the board, by its name (see probe)",
                                  .preference = 50,
                                  .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
