#include "arrivals/statistics.h"

#include <fmt/format.h>

#include <cmath>

namespace polythrottle {

Result<ArrivalStatistics> arrival_statistics(Arrivals schedule, Seconds duration, Seconds window) {
  constexpr double kMost = 1e8;
  const double length = duration.count(), each = window.count();
  if (!(length > 0.0) || !std::isfinite(length) || !(each > 0.0)) {
    return fail(Errc::kInvalid, fmt::format("statistics of arrivals in {} s by windows of {} s", length, each), "both must be above 0");
  }
  if (length / each > kMost || length * schedule.rate() > kMost) {
    return fail(Errc::kInvalid, fmt::format("statistics of arrivals in {} s by windows of {} s: too many", length, each),
                "take a shorter time");
  }
  schedule.restart();
  ArrivalStatistics out;
  const double windows = std::floor(length / each);
  double counted = 0.0, squares = 0.0, here = 0.0, place = 0.0;
  for (double time = schedule.next().count(); time < length; time = schedule.next().count()) {
    ++out.requests;
    const double next = std::floor(time / each);
    if (next >= windows) continue;
    if (next != place) {
      squares += here * here;
      here = 0.0;
    }
    place = next;
    ++here;
    ++counted;
  }
  squares += here * here;
  out.rate = static_cast<double>(out.requests) / length;
  if (windows >= 2.0 && counted > 0.0) {
    const double mean = counted / windows;
    out.dispersion = (squares / windows - mean * mean) * windows / (windows - 1.0) / mean;
  }
  return out;
}

}  // namespace polythrottle
