#pragma once
// One energy counter, with what it covers and how far it may be off.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/host.h"

namespace polythrottle {

/// One part of what a meter covers, where it tells them apart.
struct Rail {
  std::string name;                   ///< "VDD_CPU_CV", "package-0", "core"; unique in its meter
  std::string boundary;               ///< what is inside, where the name does not say it
  std::optional<std::size_t> inside;  ///< index of the rail that contains it; absent: beside the others
  bool counted = true;                ///< is it part of the meter's energy? Never true of two rails one of which contains the other
};

/// What people must know to believe a joule.
struct MeterInfo {
  std::string name;        ///< "rapl", "ina3221", "estimate"
  std::string boundary;    ///< what is inside: "CPU packages 0, 1 (no DRAM, no board)"
  bool estimated = false;  ///< a model instead of a sensor
  bool only_by_name = false;  ///< never chosen for the user, who alone may know what it covers
  bool gpu_alone = false;  ///< it covers an NVIDIA card and nothing else: no meter for work on the CPU
  Seconds refresh{0};      ///< how often the number changes
  Seconds sampling{0};     ///< a power sensor: how often it wants to be read meanwhile, for its integral; 0: it counts itself
  Seconds read_within{0};  ///< a counter: it must be read at least so often, or a wrap may be missed; 0: no need
  Seconds read_cost{0};    ///< time one read takes, measured at discovery
  std::string error;       ///< its stated error in words: "+-50 % on each coefficient (1 sigma)"
  std::vector<std::string> error_sources;  ///< names of the entries of MeterSample::one_sigma
  std::vector<Rail> rails;                 ///< empty: it knows only the whole
  std::vector<std::string> remarks;        ///< what was found out when it was looked at: a cross-check that failed, a method chosen
};

/// Errors come in three kinds. A *shared* one is the same in every reading (a gain, an offset) and cancels in a ratio as far as both
/// sides have it. One of the *edge* is that of a single reading: how old the number was, and its last digit. One of *sampling* grows with
/// time: what a power sensor did not see between its readings. Window puts them together: the edge of the first reading behind its opening
/// and that of the closing, and what sampling adds between those two.
struct MeterSample {
  Clock::TimePoint at;
  Joules energy;                    ///< since the meter was made; never decreases, wrap-around already undone
  std::vector<Joules> one_sigma{};  ///< shared: change of `energy` if the k-th error source were off by +1 standard deviation
  Joules edge{};                    ///< 1 standard deviation, independent of other readings
  double sampling_variance = 0.0;   ///< J^2, of `energy`; never decreases, and differences of it add up
  std::vector<Joules> rails{};      ///< energy of each of MeterInfo::rails, as `energy`
};

/// Read by one thread at a time.
class Meter {
 public:
  virtual ~Meter() = default;
  virtual const MeterInfo& info() const = 0;
  /// Makes ready to measure where that takes time: a second of cross-checking, or starting a script. Called once, before the first read,
  /// by whoever will measure; `info` may differ afterwards. Who only lists meters leaves it out. Errors: as of `read`, kTimeout.
  virtual Status prepare() { return {}; }
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

/// What the user says of meters. Of the estimate: see meter/estimate.cc for the default coefficients and their source. Of an external meter:
/// docs/external-meter.md.
struct MeterOptions {
  double idle_watts_per_cpu = 0.0;    ///< 0: the default
  double active_watts_per_cpu = 0.0;  ///< 0: the default; added to idle while a CPU is busy
  /// CPU time of the work since some moment, never decreasing; safe from several threads, lives as long as the meters. Absent: of this
  /// process.
  std::function<Seconds()> work_cpu;
  std::string worker = "this process";  ///< whose time that is, for people
  /// Also read rails that are no part of the energy (they are inside others, or outside the boundary), where each costs time on a bus.
  bool all_rails = false;
  std::vector<std::string> external_command{};     ///< words of the program that reads an external meter; empty: there is none
  std::optional<double> external_error_percent{};  ///< 1 standard deviation of its gain; absent: what it says itself, else assumed
};

struct MeterDriver {
  std::string_view name;
  std::string_view summary;
  int preference;  ///< the smallest of those found is used unless --meter names one
  MeterDiscovery (*discover)(Host& host, const MeterOptions& options);
};
std::span<const MeterDriver* const> meter_drivers();

/// Anything else that is read, now: a temperature, memory in use. name: a metric's name. One thread at a time.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual const std::string& name() const = 0;
  /// Errors: those of its files; kBusy from a part that sleeps. What cannot be read is never 0.
  virtual Result<double> read() = 0;
  /// Is it a count since boot? Then a stretch of time is described by the difference of two readings.
  virtual bool counts() const { return false; }
  /// Of a count: what happened between the last two readings ("average over-current (oc2)"); empty where nothing did.
  virtual std::string what() const { return {}; }
};
/// Gauges of this machine, where present: temperature_celsius (hottest thermal zone), gpu_temperature_celsius, memory_bytes (resident set of
/// this process), system_memory_bytes, gpu_memory_bytes, cpu_, gpu_ and mem_clock_hertz, cpu_utilization_ratio (since it was read before;
/// first: since boot), gpu_utilization_ratio, throttle_events (times the hardware or its kernel slowed it down against heat, under-voltage or
/// over-current; counts). Those of a GPU: the Jetson's own, else the NVIDIA card that is tuned.
std::vector<std::unique_ptr<Gauge>> discover_gauges(Host& host);

}  // namespace polythrottle
