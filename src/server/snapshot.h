#pragma once
// What the server says of itself: published about once a second, read by /metrics and the page, which never touch the hardware.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"

namespace polythrottle::server {

/// Cumulative counts of values at or below each bound, as a Prometheus histogram has them.
struct Histogram {
  std::vector<double> bounds;         ///< ascending
  std::vector<std::uint64_t> counts;  ///< one more than bounds: the last is above all; not cumulative
  std::uint64_t total = 0;
  double sum = 0.0;
  void add(double value);
  /// By linear interpolation within its bucket; nullopt when empty. q in [0, 1].
  std::optional<double> quantile(double q) const;
};
/// 21 bounds in a 1-2-5 series, 50 us to 100 s.
Histogram latency_histogram();
/// 1, 2, 4, ... 1024.
Histogram size_histogram();

struct RailReading {
  std::string rail, meter, provenance;  ///< provenance: "measured", "estimated", "simulated"
  std::optional<double> watts;          ///< over the last interval
  double joules = 0.0;                  ///< since the server started
};
struct KnobReading {
  std::string knob, asked, got, unit;  ///< as text; asked "" where nothing was asked
};
struct JobLine {
  std::uint64_t id = 0;
  std::string name, state, why;
  long steps_done = 0;
  std::optional<long> steps;
};

struct Snapshot {
  double time = 0.0;  ///< Unix seconds
  double up = 0.0;    ///< seconds since start
  std::string model, version, engine, policy, device;
  bool ready = false;
  double slo = 0.0;  ///< seconds
  // Cumulative.
  std::uint64_t requests = 0, answered = 0, late = 0, failed = 0;
  std::map<std::string, std::uint64_t> drops;       ///< by reason
  std::map<std::string, std::uint64_t> switches;    ///< of configuration, by cause
  std::uint64_t permits = 0, items = 0, holds = 0;  ///< steps let, items in them, decisions to hold one
  Histogram latency, queue, compute, batch;         ///< seconds, seconds, seconds, requests
  Histogram error;                                  ///< actual over predicted latency of a batch
  // Now.
  std::size_t queued = 0;
  double rate = 0.0;          ///< requests a second
  std::string configuration;  ///< "gpu_max_hz=1300MHz mem_hz=..., batch 8", or "as found"
  std::size_t row = 0;
  std::vector<RailReading> rails;
  std::vector<KnobReading> knobs;
  std::optional<double> joules_per_request;  ///< over the last minute, of the widest rail
  std::string energy_provenance;             ///< of it, with the boundary: "measured: GPU", "" where there is none
  std::optional<double> temperature;         ///< degrees Celsius
  std::vector<JobLine> jobs;
  // The last interval, for the page's plots.
  std::optional<double> p50, p95, p99;  ///< seconds, of requests answered in it
};

}  // namespace polythrottle::server
