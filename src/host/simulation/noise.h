#pragma once
// Chance, the same on every machine for a seed: only the generator of <random> is used, for its output is prescribed, and none of its
// distributions, whose output is not.

#include <cstdint>
#include <random>

namespace polythrottle::simulation {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : generator_(seed) {}
  /// In [0, 1).
  double uniform();
  /// Mean 0, standard deviation 1 (Box and Muller 1958).
  double normal();
  std::uint64_t bits() { return generator_(); }

 private:
  std::mt19937_64 generator_;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

/// How measurements scatter on real boards. Source: docs/simulation.md, "Noise seen elsewhere". The percentiles there are of the
/// scatter of single settings, so a setting first draws how noisy it is (log-normal through median and 95th percentile), then its batches
/// scatter by that much.
struct NoiseLevels {
  double latency_median = 0.013;  ///< coefficient of variation of a setting's batch latencies
  double latency_p95 = 0.075;
  double energy_median = 0.012;  ///< of the power while a setting is visited
  double energy_p95 = 0.13;
  double board_power = 0.028;    ///< of a whole run: two runs of a module differ by 4 % RMS, which is sqrt(2) times this
  double outlier_share = 0.003;  ///< of batches that something else on the board holds up ...
  double outlier_longest = 2.0;  ///< ... by up to this many times their latency
};

/// The scatter of one run. Without noise every factor is 1.
class Noise {
 public:
  Noise(std::uint64_t seed, bool on, NoiseLevels levels = {});

  /// A new setting, or a new load: draws how noisy it is and how far its power lies off.
  void visit();
  /// For one batch: latency over its true latency.
  double latency_factor();
  /// Board power over its true value, now.
  double power_factor() const { return board_ * setting_power_ * batch_power_; }

 private:
  bool on_;
  NoiseLevels levels_;
  Chance chance_;
  double board_ = 1.0;
  double setting_power_ = 1.0;
  double batch_power_ = 1.0;
  double latency_cv_ = 0.0;
  double power_cv_ = 0.0;
};

}  // namespace polythrottle::simulation
