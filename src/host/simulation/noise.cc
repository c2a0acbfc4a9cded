#include "host/simulation/noise.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace polythrottle::simulation {
namespace {

constexpr double kNinetyFifth = 1.6448536269514722;  ///< standard normal quantile

/// Of a setting's own share of the scatter in power: the rest is drawn anew for each batch.
constexpr double kSettingShare = 0.5;
/// A scatter beyond this is another regime, not noise; it also keeps a factor from becoming negative.
constexpr double kLargestCv = 0.25;

double log_normal(Chance& chance, double median, double p95) {
  return std::min(kLargestCv, median * std::exp(std::log(p95 / median) / kNinetyFifth * chance.normal()));
}

/// Mean 1, coefficient of variation `cv`.
double around_one(Chance& chance, double cv) {
  const double sigma = std::sqrt(std::log1p(cv * cv));
  return std::exp(sigma * chance.normal() - 0.5 * sigma * sigma);
}

}  // namespace

double Chance::uniform() { return static_cast<double>(generator_() >> 11) * 0x1.0p-53; }

double Chance::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

Noise::Noise(std::uint64_t seed, bool on, NoiseLevels levels) : on_(on), levels_(levels), chance_(seed) {
  if (!on_) return;
  board_ = around_one(chance_, levels_.board_power);
  visit();
}

void Noise::visit() {
  if (!on_) return;
  latency_cv_ = log_normal(chance_, levels_.latency_median, levels_.latency_p95);
  power_cv_ = log_normal(chance_, levels_.energy_median, levels_.energy_p95);
  setting_power_ = around_one(chance_, std::min(kSettingShare * power_cv_, levels_.energy_median));
  batch_power_ = 1.0;
}

double Noise::latency_factor() {
  if (!on_) return 1.0;
  double factor = around_one(chance_, latency_cv_);
  if (chance_.uniform() < levels_.outlier_share) factor *= 1.0 + levels_.outlier_longest * chance_.uniform();
  batch_power_ = around_one(chance_, power_cv_);
  return factor;
}

}  // namespace polythrottle::simulation
