#pragma once
// One energy counter, with what it covers and how far it may be off.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/host.h"

namespace polythrottle {

/// What people must know to believe a joule.
struct MeterInfo {
  std::string name;        ///< "rapl", "ina3221", "estimate"
  std::string boundary;    ///< what is inside: "CPU packages 0, 1 (no DRAM, no board)"
  bool estimated = false;  ///< a model instead of a sensor
  Seconds refresh{0};      ///< how often the number changes
  Seconds sampling{0};     ///< a power sensor: how often it wants to be read meanwhile, for its integral; 0: it counts itself
  Seconds read_cost{0};    ///< time one read takes, measured at discovery
  std::string error;       ///< its stated error in words: "+-50 % on each coefficient (1 sigma)"
  std::vector<std::string> error_sources;  ///< names of the entries of MeterSample::one_sigma
};

struct MeterSample {
  Clock::TimePoint at;
  Joules energy;                  ///< since the meter was made; never decreases, wrap-around already undone
  std::vector<Joules> one_sigma;  ///< change of `energy` if the k-th error source were off by +1 standard deviation
};

/// Read by one thread at a time.
class Meter {
 public:
  virtual ~Meter() = default;
  virtual const MeterInfo& info() const = 0;
  /// Errors: kNotFound, kPermission, kIo; kCorrupt where the counter went back or jumped beyond belief.
  virtual Result<MeterSample> read() = 0;
};

struct MeterAbsence {
  std::string name;
  Error why;
};
struct MeterDiscovery {
  std::vector<std::unique_ptr<Meter>> meters;
  std::vector<MeterAbsence> absent;
};

/// What the estimate goes by; see meter/estimate.cc for the default coefficients and their source.
struct MeterOptions {
  double idle_watts_per_cpu = 0.0;    ///< 0: the default
  double active_watts_per_cpu = 0.0;  ///< 0: the default; added to idle while a CPU is busy
  /// CPU time of the work since some moment, never decreasing; safe from several threads, lives as long as the meters. Absent: of this
  /// process.
  std::function<Seconds()> work_cpu;
  std::string worker = "this process";  ///< whose time that is, for people
};

struct MeterDriver {
  std::string_view name;
  std::string_view summary;
  int preference;  ///< the smallest of those found is used unless --meter names one
  MeterDiscovery (*discover)(Host& host, const MeterOptions& options);
};
std::span<const MeterDriver* const> meter_drivers();

/// Anything else that is read, now: a temperature, memory in use. name: a metric's name.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual const std::string& name() const = 0;
  virtual Result<double> read() = 0;
  /// Is it a count since boot? Then a stretch of time is described by the difference of two readings.
  virtual bool counts() const { return false; }
};
/// Gauges of this machine, where present: temperature_celsius (hottest thermal zone), memory_bytes (resident set of this process),
/// throttle_events (times a board's hardware slowed it down for under-voltage or over-current; counts).
std::vector<std::unique_ptr<Gauge>> discover_gauges(Host& host);

}  // namespace polythrottle
