#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <sstream>

#include "meter/gauge_paths.h"
#include "meter/meter.h"
#include "meter/throttle_events.h"

namespace polythrottle {
namespace {

/// How several files of a row become one number.
enum class Of { kHighest, kMean };

/// Files of which each begins with a whole number.
struct FileRow {
  const char* metric;
  const char* pattern;
  double unit;  ///< of their number, in SI
  Of of = Of::kHighest;
  double lowest = 0.0, highest = 1e300;  ///< in SI; what is outside is no reading
  const char* but_type = nullptr;        ///< `type` beside it begins so: not this one
};

/// The first row of a metric that can be read is used. A zone without a sensor behind it answers -274000 or the like, one that is broken
/// sometimes 0x7fffffff, and the power chip of a Jetson TX2 says 100 degrees, always. Jetsons: `load` is in thousandths, where each release
/// has it; on Rockchip it is "45@600000000Hz". Sources: docs/hardware.md.
constexpr std::array kFileRows{
    FileRow{"temperature_celsius", "/sys/class/thermal/thermal_zone*/temp", 1e-3, Of::kHighest, -40.0, 150.0, "PMIC"},
    FileRow{"gpu_temperature_celsius", "/nvml/*/temperature_celsius", 1.0, Of::kHighest, -40.0, 150.0},
    FileRow{"cpu_clock_hertz", "/sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq", 1e3, Of::kMean, 1.0},
    FileRow{"gpu_clock_hertz", "/sys/class/devfreq/*.g?[12]?b/cur_freq", 1.0, Of::kHighest, 1.0},
    FileRow{"gpu_clock_hertz", "/sys/class/devfreq/gpu-gpc-*/cur_freq", 1.0, Of::kHighest, 1.0},
    FileRow{"gpu_clock_hertz", "/sys/class/devfreq/*.gpu/cur_freq", 1.0, Of::kHighest, 1.0},
    FileRow{"gpu_clock_hertz", "/nvml/*/graphics_clock_mhz", 1e6, Of::kHighest, 1.0},
    FileRow{"mem_clock_hertz", "/sys/kernel/debug/bpmp/debug/clk/emc/rate", 1.0, Of::kHighest, 1.0},
    FileRow{"mem_clock_hertz", "/nvml/*/memory_clock_mhz", 1e6, Of::kHighest, 1.0},
    FileRow{"gpu_utilization_ratio", "/sys/devices/gpu.0/load", 1e-3, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_utilization_ratio", "/sys/devices/*.g?[12]?b/load", 1e-3, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_utilization_ratio", "/sys/devices/*.gpu/load", 1e-3, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_utilization_ratio", "/sys/devices/platform/*.g?[12]?b/load", 1e-3, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_utilization_ratio", "/sys/devices/platform/*.gpu/load", 1e-3, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_utilization_ratio", "/sys/devices/platform/bus@0/*.gpu/load", 1e-3, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_utilization_ratio", "/sys/class/devfreq/*.gpu/load", 1e-2, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_utilization_ratio", "/nvml/*/utilization_percent", 1e-2, Of::kHighest, 0.0, 1.0},
    FileRow{"gpu_memory_bytes", "/nvml/*/memory_used_bytes", 1.0},
};

class FileGauge : public Gauge {
 public:
  FileGauge(const Files& files, const FileRow& row) : files_(files), row_(row), name_(row.metric) {
    for (auto& path : paths_like(files, row.pattern)) {
      const std::string type = path.substr(0, path.rfind('/')) + "/type";
      if (row.but_type != nullptr && read_trimmed(files, type).value_or("").starts_with(row.but_type)) continue;
      paths_.push_back(std::move(path));
    }
  }
  const std::string& name() const override { return name_; }

  /// Of those that can be read now: some answer only while their device is awake, and a clock that is gated says 0.
  Result<double> read() override {
    double sum = 0.0, count = 0.0;
    std::optional<double> highest;
    bool asleep = false;
    for (const auto& path : paths_) {
      const auto value = leading_number(path);
      asleep = asleep || (value ? *value == 0.0 && row_.lowest > 0.0 : value.error().code == Errc::kBusy);
      if (!value || *value < row_.lowest || *value > row_.highest) continue;
      highest = std::max(highest.value_or(*value), *value);
      sum += *value;
      count += 1.0;
    }
    if (highest) return row_.of == Of::kMean ? sum / count : *highest;
    if (asleep) return fail(Errc::kBusy, std::string("read ") + row_.pattern + ": it is asleep");
    return fail(Errc::kNotFound, std::string("read ") + row_.pattern + ": none gives a number");
  }

 private:
  Result<double> leading_number(const std::string& path) const {
    TRY(const std::string text, read_trimmed(files_, path));
    long long number = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) {
      return fail(Errc::kCorrupt, "read " + path + ": '" + text + "' begins with no number");
    }
    return static_cast<double>(number) * row_.unit;
  }

  const Files& files_;
  const FileRow& row_;
  std::string name_;
  std::vector<std::string> paths_;
};

/// "NAME:   123 kB" in such a file of /proc, as bytes.
Result<double> entry_of(const Files& files, const char* path, std::string_view name) {
  TRY(const std::string text, files.read(path));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    std::istringstream words(line.substr(name.size() + 1));
    double kib = 0.0;
    std::string unit;
    if (!(words >> kib >> unit) || unit != "kB") return fail(Errc::kCorrupt, std::string("read ") + path + ": \"" + line + "\"");
    return kib * 1024.0;
  }
  return fail(Errc::kNotFound, std::string("read ") + path + ": no " + std::string(name));
}

Result<double> resident_memory(const Files& files) { return entry_of(files, "/proc/self/status", "VmRSS"); }

/// What is not to be had without swapping (Linux Documentation/filesystems/proc.rst, MemAvailable). On a Jetson the GPU's is in it.
Result<double> system_memory(const Files& files) {
  TRY(const double total, entry_of(files, "/proc/meminfo", "MemTotal"));
  TRY(const double available, entry_of(files, "/proc/meminfo", "MemAvailable"));
  return std::max(0.0, total - available);
}

class FunctionGauge : public Gauge {
 public:
  FunctionGauge(const Files& files, std::string name, Result<double> (*function)(const Files&))
      : files_(files), name_(std::move(name)), function_(function) {}
  const std::string& name() const override { return name_; }
  Result<double> read() override { return function_(files_); }

 private:
  const Files& files_;
  std::string name_;
  Result<double> (*function_)(const Files&);
};

/// Of all CPUs, since it was read before (Linux Documentation/filesystems/proc.rst, /proc/stat).
class CpuUtilization : public Gauge {
 public:
  explicit CpuUtilization(const Files& files) : files_(files) {}
  const std::string& name() const override { return name_; }

  Result<double> read() override {
    TRY(const std::string text, files_.read("/proc/stat"));
    std::istringstream words(text);
    std::string label;
    double idle = 0.0, total = 0.0, ticks = 0.0;
    words >> label;
    // user nice system idle iowait irq softirq steal; guests are in the first two already.
    for (int i = 0; i < 8 && words >> ticks; ++i) {
      total += ticks;
      if (i == 3 || i == 4) idle += ticks;
    }
    if (label != "cpu" || !(total > 0.0)) return fail(Errc::kCorrupt, "read /proc/stat: its first line is not that of all CPUs");
    const double passed = total - total_;
    if (passed > 0.0) ratio_ = std::clamp(1.0 - (idle - idle_) / passed, 0.0, 1.0);
    total_ = total;
    idle_ = idle;
    return ratio_;
  }

 private:
  const Files& files_;
  std::string name_ = "cpu_utilization_ratio";
  double total_ = 0.0, idle_ = 0.0, ratio_ = 0.0;
};

}  // namespace

std::vector<std::unique_ptr<Gauge>> discover_gauges(Host& host) {
  std::vector<std::unique_ptr<Gauge>> gauges;
  const auto keep = [&](std::unique_ptr<Gauge> gauge) {
    const bool there = std::any_of(gauges.begin(), gauges.end(), [&](const auto& each) { return each->name() == gauge->name(); });
    if (there) return;
    if (const auto value = gauge->read(); value || value.error().code == Errc::kBusy) gauges.push_back(std::move(gauge));
  };
  for (const FileRow& row : kFileRows) keep(std::make_unique<FileGauge>(host.files, row));
  keep(std::make_unique<CpuUtilization>(host.files));
  keep(std::make_unique<FunctionGauge>(host.files, "memory_bytes", resident_memory));
  keep(std::make_unique<FunctionGauge>(host.files, "system_memory_bytes", system_memory));
  if (auto events = throttle_events(host.files)) keep(std::move(events));
  return gauges;
}

}  // namespace polythrottle
