#pragma once
// The readings of an external meter on our clock, and their energy.

#include <deque>
#include <optional>

#include "host/host.h"
#include "meter/external_line.h"
#include "meter/meter.h"
#include "meter/power_integral.h"

namespace polythrottle {

/// A reading counts at its own time, however late it arrives. The script's clock is laid on ours by the least delay that was seen within
/// the last minute between a reading's time and its arrival: a delay that is always there cannot be noticed and shifts everything by it.
/// Between the last reading and now, power is taken as that of the last reading.
class ExternalSeries {
 public:
  /// Errors: kCorrupt where its time is not behind that of the reading before.
  Status add(const ExternalReading& reading, Clock::TimePoint arrived);

  std::size_t readings() const { return readings_; }
  /// Mean distance of the latest ones; 0 before the second.
  Seconds refresh() const { return mean_distance_; }
  /// When the last one arrived.
  Clock::TimePoint arrived() const { return arrived_; }
  /// Mean time by which readings come later than the fastest one.
  Seconds delay() const { return mean_delay_; }

  /// Up to `now`, not before the last arrival; `energy` since the first reading, `edge` with what is not known yet: the power since the
  /// last reading, and how far the clocks are laid wrong. Needs a reading.
  MeterSample sample(Clock::TimePoint now) const;

 private:
  struct Offset {
    double seconds;  ///< the script's time
    double ours;     ///< arrival on our clock less that
  };

  PowerIntegral integral_{{}};
  std::size_t readings_ = 0;
  ExternalReading last_;
  Clock::TimePoint arrived_;
  std::deque<Offset> least_;  ///< of the last minute, rising: the first is the least
  Seconds mean_distance_{0}, mean_delay_{0};
  double mean_square_step_ = 0.0;  ///< W^2, of neighbouring readings
};

}  // namespace polythrottle
