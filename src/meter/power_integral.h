#pragma once
// Energy from readings of power, and how far it may be off because nobody saw the power between them.

#include "base/units.h"
#include "host/host.h"
#include "meter/meter.h"

namespace polythrottle {

/// What is known of a power sensor.
struct PowerSensor {
  /// Smallest difference between two readings that differ; 0 if it is not known.
  Watts step{0};
  /// How often the reading changes.
  Seconds refresh{0};
  /// How long before a reading is taken, on average, lies what it tells. A sensor that shows the mean of its last refresh: one refresh
  /// (half of one to the middle, half of one that the number has waited); one that shows a momentary value once per refresh: half a
  /// refresh.
  Seconds age{0};
};

/// Integrates by trapezoid. The errors follow from the readings themselves, whatever they are due to: the sensor's noise, or a load that
/// varies faster than it is read.
///
/// The readings are taken as a slowly varying level with steps, plus scatter that two neighbouring readings do not share (the local level
/// model of Harvey 1989, section 2.3): with d the difference of neighbouring readings, E[d d'] = -scatter^2 for two differences in a row
/// and E[d^2] = 2 scatter^2 + step^2. (Half the mean of d^2 alone, von Neumann 1941, would take every step for scatter.) Scatter enters
/// with each reading's weight in the sum; a step is somewhere between its two readings, so that the trapezoid misses a uniformly
/// distributed area of variance step^2 spacing^2 / 12. Scatter is an exponentially weighted mean over about the last thirty readings, so
/// that a window of two readings knows it too. What no reading shows is not in it: a load in step with the readings must be met with
/// readings that are not evenly spaced (Window does so).
///
/// One thread at a time.
class PowerIntegral {
 public:
  explicit PowerIntegral(PowerSensor sensor) : sensor_(sensor) {}

  /// A reading, at the moment it was had; readings come in the order of time. The first begins the integral. Less than 0 W counts as 0.
  void add(Clock::TimePoint at, Watts power);

  /// `at`, `energy`, `edge` and `sampling_variance` as of the last reading; the driver adds what its readings share. `edge` is half of what
  /// is uncertain about the last interval: the integral from one reading to the next has an edge at either end.
  MeterSample sample() const;
  Joules energy() const { return Joules(energy_); }

  /// Standard deviation of a reading about the level. W
  Watts scatter() const { return Watts(scatter_watts()); }

 private:
  void remember(double difference, double spacing);
  double scatter_watts() const;
  double step_rate() const;

  PowerSensor sensor_;
  Clock::TimePoint at_;
  std::size_t readings_ = 0;
  double watts_ = 0.0;
  double spacing_ = 0.0;     ///< s, to the reading before
  double difference_ = 0.0;  ///< W, to the reading before
  double energy_ = 0.0;      ///< J
  double edge_variance_ = 0.0;
  double variance_ = 0.0;       ///< up to the middle of the last interval, J^2
  double step_variance_ = 0.0;  ///< of the last interval, J^2
  // Exponentially weighted sums and their weights.
  double weight_ = 0.0;
  double seconds_ = 0.0;  ///< of spacing
  double squares_ = 0.0;  ///< of d^2 / 2
  double product_weight_ = 0.0;
  double products_ = 0.0;  ///< of -d d'
};

}  // namespace polythrottle
