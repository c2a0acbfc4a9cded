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

std::uint64_t mixed(std::uint64_t number) {
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9ULL;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebULL;
  return number ^ (number >> 31);
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  return hash;
}

Noise::Noise(std::uint64_t seed, bool on, NoiseLevels levels) : on_(on), levels_(levels), seed_(seed), chance_(seed) {
  if (on_) board_ = around_one(chance_, levels_.board_power);
}

void Noise::meet(std::uint64_t setting) {
  if (!on_) return;
  Setting& met = settings_[setting];
  if (met.visit != visit_) {
    met.visit = visit_;
    Chance chance(mixed(mixed(seed_ ^ mixed(setting)) + ++met.visits));
    met.latency_cv = log_normal(chance, levels_.latency_median, levels_.latency_p95);
    met.power_cv = log_normal(chance, levels_.energy_median, levels_.energy_p95);
    met.power = around_one(chance, std::min(kSettingShare * met.power_cv, levels_.energy_median));
  }
  now_ = met;
}

double Noise::latency_factor() {
  if (!on_) return 1.0;
  double factor = around_one(chance_, now_.latency_cv);
  if (chance_.uniform() < levels_.outlier_share) factor *= 1.0 + levels_.outlier_longest * chance_.uniform();
  batch_power_ = around_one(chance_, now_.power_cv);
  return factor;
}

}  // namespace polythrottle::simulation
