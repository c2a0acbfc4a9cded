#include "host/simulation/sensors.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace polythrottle::simulation {
namespace {

constexpr double kConversion = 1.1e-3;  ///< s; bus and shunt each, at the reset value
constexpr double kBusStep = 8e-3;       ///< V
constexpr double kShuntStep = 40e-6;    ///< V
constexpr double kGainError = 0.0025;   ///< largest in the data sheet, taken as two standard deviations
constexpr double kShuntError = 0.01;    ///< of a 1 % resistor, taken as two standard deviations
constexpr double kOffset = 40e-6;       ///< V; typical in the data sheet, half of the largest
constexpr double kScatter = 0.5;        ///< of a step of the shunt converter
constexpr double kSourceOhms = 0.01;    ///< wiring before the shunt: the bus voltage sags a little with the current

/// I with V = volts - ohms * I and V * I = watts.
double amperes(double volts, double watts) {
  const double root = std::sqrt(std::max(0.0, volts * volts - 4.0 * kSourceOhms * watts));
  return (volts - root) / (2.0 * kSourceOhms);
}

}  // namespace

Ina3221::Ina3221(std::vector<Channel> channels, int samples, std::uint64_t seed, bool noise)
    : channels_(std::move(channels)), samples_(samples), chance_(seed), noise_(noise) {
  if (!noise_) return;
  for (double& gain : gain_) gain = 1.0 + 0.5 * kGainError * chance_.normal();
  Chance board(seed ^ 0x5047);
  for (double& gain : gain_) gain *= 1.0 + 0.5 * kShuntError * board.normal();
  for (double& offset : offset_steps_) offset = kOffset / kShuntStep * board.normal();
}

Seconds Ina3221::cycle() const { return Seconds(3.0 * samples_ * 2.0 * kConversion); }

void Ina3221::set_samples(int samples) {
  static constexpr std::array kKnown{1, 4, 16, 64, 128, 256, 512, 1024};
  samples_ = kKnown.front();
  for (const int known : kKnown) {
    if (known <= samples) samples_ = known;
  }
  gathered_.fill(0.0);
  started_ = false;
}

void Ina3221::integrate(Seconds from, Seconds to, const std::array<double, 3>& watts) {
  const double period = cycle().count();
  if (!started_) {
    started_ = true;
    cycle_start_ = from.count();
    if (mean_ == std::array<double, 3>{}) mean_ = watts;
  }
  const double end = to.count();
  double at = from.count();
  if (end >= cycle_start_ + period) {
    const double first = cycle_start_ + period - at;
    for (std::size_t i = 0; i < mean_.size(); ++i) mean_[i] = (gathered_[i] + watts[i] * first) / period;
    // Whole cycles inside the span saw one constant power.
    const double whole = std::floor((end - cycle_start_ - period) / period);
    if (whole >= 1.0) mean_ = watts;
    cycle_start_ += (1.0 + whole) * period;
    at = cycle_start_;
    gathered_.fill(0.0);
  }
  for (std::size_t i = 0; i < gathered_.size(); ++i) gathered_[i] += watts[i] * std::max(0.0, end - at);
}

Ina3221::Registers Ina3221::registers(std::size_t channel) {
  const Channel& wired = channels_[channel];
  const double current = amperes(wired.volts, mean_[channel]);
  const double volts = wired.volts - kSourceOhms * current;
  const double steps =
      current * gain_[channel] * wired.shunt_ohms / kShuntStep + offset_steps_[channel] + (noise_ ? kScatter * chance_.normal() : 0.0);
  Registers now;
  now.millivolts = std::llround(std::round(volts / kBusStep) * kBusStep * 1e3);
  const double shunt = std::max(0.0, std::round(steps)) * kShuntStep;
  now.shunt_millivolts = shunt * 1e3;
  now.milliamperes = std::llround(shunt / wired.shunt_ohms * 1e3);
  return now;
}

}  // namespace polythrottle::simulation
