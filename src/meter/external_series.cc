#include "meter/external_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polythrottle {
namespace {

/// Clocks of computers drift by less than 100 us in a second: 6 ms over this time.
constexpr double kAlignOver = 60.0;
constexpr std::size_t kMemory = 32;  ///< readings that the means remember

}  // namespace

Status ExternalSeries::add(const ExternalReading& reading, Clock::TimePoint arrived) {
  if (readings_ > 0 && reading.seconds <= last_.seconds) {
    return fail(Errc::kCorrupt,
                reading.seconds == last_.seconds ? fmt::format("two readings at the same time, {} s", reading.seconds)
                                                 : fmt::format("time went back from {} s to {} s", last_.seconds, reading.seconds),
                "SECONDS is the time of a reading, each later than the one before");
  }
  const double offset = arrived.time_since_epoch().count() - reading.seconds;
  while (!least_.empty() && least_.back().ours >= offset) least_.pop_back();
  least_.push_back({reading.seconds, offset});
  while (least_.front().seconds < reading.seconds - kAlignOver) least_.pop_front();

  const double share = 1.0 / static_cast<double>(std::min(readings_ + 1, kMemory));
  mean_delay_ += share * (Seconds(offset - least_.front().ours) - mean_delay_);
  if (readings_ > 0) {
    const double step_share = 1.0 / static_cast<double>(std::min(readings_, kMemory));
    mean_distance_ += step_share * (Seconds(reading.seconds - last_.seconds) - mean_distance_);
    mean_square_step_ += step_share * (std::pow(reading.watts - last_.watts, 2) - mean_square_step_);
  }
  integral_.add(Clock::TimePoint(Seconds(reading.seconds)), Watts(reading.watts));
  last_ = reading;
  arrived_ = arrived;
  ++readings_;
  return {};
}

MeterSample ExternalSeries::sample(Clock::TimePoint now) const {
  MeterSample out = integral_.sample();
  const double since = std::max(0.0, now.time_since_epoch().count() - least_.front().ours - last_.seconds);
  out.at = now;
  out.energy += Joules(last_.watts * since);
  // The last reading's own deviation, and what power may have done since: half of the squared step of neighbours is the variance of each.
  const double unseen = std::sqrt(0.5 * mean_square_step_) * since;
  // The least of n delays is about a mean one over n above what is possible.
  const double misplaced = last_.watts * mean_delay_.count() / static_cast<double>(std::min(readings_, kMemory));
  out.edge = Joules(std::hypot(out.edge.si(), unseen, misplaced));
  return out;
}

}  // namespace polythrottle
