#pragma once
// Static reference, static tuned and load-adaptive on the same requests, over a range of loads.

#include <functional>
#include <map>
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
  std::size_t seeds = 1;              ///< runs of each, with base.seed and those after it
  std::stop_token stop;
};

/// One of the three at one load, over all seeds.
struct SweepSide {
  std::size_t requests = 0, violated = 0, answers = 0;
  Joules drawn;
  std::size_t switches = 0;
  std::map<serving::Cause, std::size_t> causes;  ///< of the switches

  std::optional<Joules> energy() const;  ///< per answer
  double violations() const;             ///< share of requests
};
struct SweepPoint {
  std::string arrivals;
  double load = 0.0, rate = 0.0;
  SweepSide reference, tuned, adaptive;
  std::vector<double> row_shares;  ///< of time, load-adaptive

  /// Against static tuned. It says nothing where tuned itself breaks the SLO more often than kTolerated.
  enum class Verdict { kMet, kDearer, kLater, kTunedFails };
  static constexpr double kTolerated = 0.01;  ///< share of requests over the SLO that tuned may have
  static constexpr double kEqual = 0.005;     ///< attainment within so much is equal
  static constexpr double kDearer = 0.01;     ///< energy above tuned's by more is dearer
  Verdict verdict() const;
};
const char* to_string(SweepPoint::Verdict verdict);
struct Sweep {
  double capacity = 0.0;  ///< of the reference, back to back, requests a second
  std::vector<SweepPoint> points;
};

/// Rate of the reference's largest batch back to back.
double reference_capacity(const ServingRows& rows);

/// Errors: those of replay, of the arrivals and of LoadTable::make; kTimeout if it was stopped.
Result<Sweep> load_sweep(const SweepOptions& options, const std::function<void(std::size_t done, std::size_t all)>& progress = {});

std::string render_sweep(const SweepOptions& options, const Sweep& sweep);
std::string render_sweep_json(const SweepOptions& options, const Sweep& sweep);

}  // namespace polythrottle
