#pragma once
// Static reference, static tuned and load-adaptive on the same requests, over a range of loads.

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/rows_of_study.h"
#include "replay/replay.h"

namespace polythrottle {

struct SweepOptions {
  replay::ReplayOptions base;  ///< board, network, precision, slo, duration, seed, noise; the rest is the sweep's
  ServingRows rows;
  std::vector<double> loads;          ///< over what the reference can do back to back
  std::vector<std::string> arrivals;  ///< "uniform", "poisson", or a file
  std::stop_token stop;
};

/// One of the three at one load.
struct SweepSide {
  std::optional<Joules> energy;  ///< per answer
  double violations = 0.0;       ///< share of requests
  std::size_t switches = 0;
};
struct SweepPoint {
  std::string arrivals;
  double load = 0.0, rate = 0.0;
  SweepSide reference, tuned, adaptive;
  std::vector<double> row_shares;  ///< of time, load-adaptive
};
struct Sweep {
  double capacity = 0.0;  ///< of the reference, back to back, requests a second
  std::vector<SweepPoint> points;
};

/// Rate of the reference's largest batch back to back.
double reference_capacity(const ServingRows& rows);

/// Errors: those of replay, of the arrivals and of LoadTable::make; kTimeout if it was stopped.
Result<Sweep> load_sweep(const SweepOptions& options, const std::function<void(std::size_t done, std::size_t all)>& progress = {});

std::string render_sweep(const ServingRows& rows, Seconds slo, const Sweep& sweep);
std::string render_sweep_json(const ServingRows& rows, Seconds slo, const Sweep& sweep);

}  // namespace polythrottle
