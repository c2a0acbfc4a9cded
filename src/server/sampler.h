#pragma once
// Power, energy, temperature and clocks while the server runs, for those who look.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "knob/knob.h"
#include "meter/meter.h"
#include "server/snapshot.h"

namespace polythrottle::server {

struct SamplerOptions {
  bool simulated = false;  ///< the machine is: so are its joules
};

/// Used by one thread. The meters and gauges outlive it.
class Sampler {
 public:
  Sampler(Clock& clock, std::span<const std::unique_ptr<Meter>> meters, std::span<const std::unique_ptr<Gauge>> gauges,
          const SamplerOptions& options);
  /// Reads everything once and adds rails, energy per request and temperature to `snapshot`, whose `answered` is set. A meter that fails
  /// is left out until it answers again.
  void sample(Snapshot& snapshot);

 private:
  struct Source {
    Meter* meter = nullptr;
    std::optional<MeterSample> first, last;
  };
  struct Point {
    double time = 0.0, joules = 0.0;
    std::uint64_t answered = 0;
  };
  Clock& clock_;
  std::vector<Source> sources_;
  Gauge* temperature_ = nullptr;
  SamplerOptions options_;
  std::deque<Point> minute_;
};

}  // namespace polythrottle::server
