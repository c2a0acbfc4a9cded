#include "meter/power_integral.h"

#include <algorithm>
#include <cmath>

namespace polythrottle {
namespace {

/// Readings that the scatter remembers: its own error is then about a quarter, and a change of the load is forgotten within seconds.
constexpr double kMemory = 32.0;

double square(double value) { return value * value; }

}  // namespace

void PowerIntegral::add(Clock::TimePoint at, Watts power) {
  const double watts = std::max(power.si(), 0.0);
  if (readings_ > 0) {
    const double spacing = std::max((at - at_).count(), 0.0);
    const double difference = watts - watts_;
    remember(difference, spacing);
    const double scatter = square(scatter_watts());
    // What is told lies `age` back: the power since then is taken as the last one told.
    const double shift = std::min(sensor_.age.count(), 0.5 * spacing);
    energy_ += 0.5 * (watts_ + watts) * spacing + difference * shift;

    const double step = std::max(square(difference) - 2.0 * scatter, 0.0);
    const double step_variance = step * square(spacing) / 12.0;
    // Everything up to the middle of this interval is inside from now on: the reading before with its whole weight, and steps.
    if (readings_ > 1) variance_ += scatter * square(0.5 * (spacing_ + spacing));
    variance_ += 0.5 * (step_variance_ + step_variance);
    // What happened since the moment that a reading tells of nobody has seen: steps come as they have come before. How long ago that moment
    // is varies by a refresh.
    const double unseen = step_rate() * shift * (square(shift) + 0.25 * square(sensor_.refresh.count())) / 3.0;
    edge_variance_ = scatter * (square(0.5 * spacing) + square(shift)) + 0.5 * step_variance + unseen;
    spacing_ = spacing;
    difference_ = difference;
    step_variance_ = step_variance;
  }
  watts_ = watts;
  at_ = at;
  ++readings_;
}

void PowerIntegral::remember(double difference, double spacing) {
  const double keep = 1.0 - 1.0 / kMemory;
  weight_ = keep * weight_ + 1.0;
  seconds_ = keep * seconds_ + spacing;
  squares_ = keep * squares_ + 0.5 * square(difference);
  if (readings_ < 2) return;
  product_weight_ = keep * product_weight_ + 1.0;
  products_ = keep * products_ - difference * difference_;
}

double PowerIntegral::scatter_watts() const {
  const double floor = sensor_.step.si() / std::sqrt(12.0);
  if (weight_ <= 0.0) return floor;
  const double most = squares_ / weight_;  // all of it scatter, no steps
  const double variance = product_weight_ > 0.0 ? std::clamp(products_ / product_weight_, 0.0, most) : most;
  return std::max(floor, std::sqrt(variance));
}

/// W^2 by which steps move the level in a second.
double PowerIntegral::step_rate() const {
  if (seconds_ <= 0.0) return 0.0;
  return std::max(0.0, 2.0 * (squares_ - weight_ * square(scatter_watts()))) / seconds_;
}

MeterSample PowerIntegral::sample() const {
  return {.at = at_, .energy = Joules(energy_), .edge = Joules(std::sqrt(edge_variance_)), .sampling_variance = variance_};
}

}  // namespace polythrottle
