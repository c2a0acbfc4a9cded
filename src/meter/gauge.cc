#include <algorithm>
#include <optional>
#include <sstream>

#include "meter/meter.h"

namespace polythrottle {
namespace {

constexpr const char* kZones = "/sys/class/thermal";
constexpr const char* kHwmon = "/sys/class/hwmon";
constexpr const char* kStatus = "/proc/self/status";
/// A zone without a sensor behind it answers -274000 or the like, one that is broken sometimes 0x7fffffff.
constexpr double kColdest = -40.0;
constexpr double kHottest = 150.0;

/// Of all zones that can be read: some answer only while their device is awake.
class Temperature : public Gauge {
 public:
  explicit Temperature(const Files& files) : files_(files) {}
  const std::string& name() const override { return name_; }

  Result<double> read() override {
    TRY(const auto names, files_.list(kZones));
    std::optional<double> hottest;
    for (const auto& name : names) {
      if (!name.starts_with("thermal_zone")) continue;
      // The power chip of a Jetson TX2 says 100 degrees, always.
      if (read_trimmed(files_, std::string(kZones) + "/" + name + "/type").value_or("").starts_with("PMIC")) continue;
      const auto millidegrees = read_integer(files_, std::string(kZones) + "/" + name + "/temp");
      if (!millidegrees) continue;
      const double celsius = static_cast<double>(*millidegrees) * 1e-3;
      if (celsius < kColdest || celsius > kHottest) continue;
      hottest = std::max(hottest.value_or(celsius), celsius);
    }
    if (!hottest) return fail(Errc::kNotFound, std::string("read temperatures in ") + kZones + ": no zone gives one");
    return *hottest;
  }

 private:
  const Files& files_;
  std::string name_ = "temperature_celsius";
};

class ResidentMemory : public Gauge {
 public:
  explicit ResidentMemory(const Files& files) : files_(files) {}
  const std::string& name() const override { return name_; }

  Result<double> read() override {
    TRY(const std::string text, files_.read(kStatus));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("VmRSS:")) continue;
      std::istringstream words(line.substr(6));
      double kib = 0.0;
      std::string unit;
      if (!(words >> kib >> unit) || unit != "kB") return fail(Errc::kCorrupt, std::string("read ") + kStatus + ": \"" + line + "\"");
      return kib * 1024.0;
    }
    return fail(Errc::kNotFound, std::string("read ") + kStatus + ": no VmRSS");
  }

 private:
  const Files& files_;
  std::string name_ = "memory_bytes";
};

/// Jetson Orin: oc1 to oc3_event_cnt of the soctherm_oc device count under-voltage, average and instantaneous over-current since boot.
class ThrottleEvents : public Gauge {
 public:
  explicit ThrottleEvents(const Files& files) : files_(files) {
    for (const auto& name : files.list(kHwmon).value_or(std::vector<std::string>())) {
      const std::string folder = std::string(kHwmon) + "/" + name;
      if (read_trimmed(files, folder + "/name").value_or("") != "soctherm_oc") continue;
      for (const auto& file : files.list(folder).value_or(std::vector<std::string>())) {
        if (file.starts_with("oc") && file.ends_with("_event_cnt")) paths_.push_back(folder + "/" + file);
      }
    }
  }
  const std::string& name() const override { return name_; }
  bool counts() const override { return true; }

  Result<double> read() override {
    if (paths_.empty()) return fail(Errc::kNotFound, std::string("look for over-current counters in ") + kHwmon + ": none");
    double events = 0.0;
    for (const auto& path : paths_) {
      TRY(const long long count, read_integer(files_, path));
      events += static_cast<double>(count);
    }
    return events;
  }

 private:
  const Files& files_;
  std::vector<std::string> paths_;
  std::string name_ = "throttle_events";
};

}  // namespace

std::vector<std::unique_ptr<Gauge>> discover_gauges(Host& host) {
  std::vector<std::unique_ptr<Gauge>> gauges;
  const auto keep = [&](std::unique_ptr<Gauge> gauge) {
    if (gauge->read()) gauges.push_back(std::move(gauge));
  };
  keep(std::make_unique<Temperature>(host.files));
  keep(std::make_unique<ResidentMemory>(host.files));
  keep(std::make_unique<ThrottleEvents>(host.files));
  return gauges;
}

}  // namespace polythrottle
