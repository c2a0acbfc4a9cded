#pragma once
// Chance, the same on every machine for a seed: only the generator of <random> is used, for its output is prescribed, and none of its
// distributions, whose output is not.

#include <cstdint>
#include <random>
#include <string_view>
#include <unordered_map>

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

/// Numbers that lie near to each other become numbers that do not (finalizer of Steele et al. 2014, "SplitMix").
std::uint64_t mixed(std::uint64_t number);
/// The same on every machine (Fowler, Noll and Vo, FNV-1a).
std::uint64_t hash_of(std::string_view text);

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

/// The scatter of one run. Without noise every factor is 1. How noisy a setting is and how far its power lies off is drawn once for each
/// visit of it, which lasts until clocks are written, and kept however often it is met meanwhile. It follows from the seed, from what the
/// setting is and from how often it was visited: whatever else was visited before changes nothing.
class Noise {
 public:
  Noise(std::uint64_t seed, bool on, NoiseLevels levels = {});

  /// The limits of the clocks have been written: what is met from now on is visited anew.
  void visit() { ++visit_; }
  /// The next batches are of this setting: a hash of the work and of the limits under which it runs.
  void meet(std::uint64_t setting);
  /// For one batch: latency over its true latency.
  double latency_factor();
  /// Board power over its true value, now.
  double power_factor() const { return board_ * now_.power * batch_power_; }

 private:
  struct Setting {
    double latency_cv = 0.0;
    double power_cv = 0.0;
    double power = 1.0;        ///< over its true value
    std::uint64_t visit = 0;   ///< the last one
    std::uint64_t visits = 0;  ///< of this setting
  };

  bool on_;
  NoiseLevels levels_;
  std::uint64_t seed_;
  Chance chance_;  ///< of single batches
  double board_ = 1.0;
  double batch_power_ = 1.0;
  std::uint64_t visit_ = 1;
  std::unordered_map<std::uint64_t, Setting> settings_;
  Setting now_;
};

}  // namespace polythrottle::simulation
