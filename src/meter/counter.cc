#include "meter/counter.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace polythrottle {
namespace {

constexpr double k32Bits = 4294967296.0;
/// What two reads within one refresh period may differ by, and the time that lies between a read and its time stamp.
constexpr Seconds kSlack{0.01};
constexpr Seconds kStill{2.0}, kStillCoarse{30.0};
constexpr Seconds kNever{86400.0};  ///< nobody looks away for so long
constexpr double kStillRefreshes = 20.0;
/// A power over fewer refresh periods than this says little.
constexpr double kPowerRefreshes = 10.0;
constexpr double kWrapPower = 10.0;  ///< times the power before

/// Difference of two counts, exact also where their difference does not fit.
double difference(long long now, long long before) {
  if (now >= before) return static_cast<double>(static_cast<unsigned long long>(now) - static_cast<unsigned long long>(before));
  return -static_cast<double>(static_cast<unsigned long long>(before) - static_cast<unsigned long long>(now));
}

std::string joules_text(double joules) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g J", joules);
  return text;
}

std::string seconds_text(Seconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", time.count());
  return text;
}

}  // namespace

void Counter::start(long long count, Clock::TimePoint at) {
  last_ = count;
  last_at_ = moved_at_ = at;
  wide_ = traits_.range <= 0.0 && static_cast<double>(count) >= k32Bits;
  power_since_ = at;
  power_joules_ = 0.0;
  watts_.reset();
}

double Counter::wrap_joules() const {
  if (traits_.range > 0.0) return traits_.range * traits_.joules_per_count;
  return wide_ ? std::numeric_limits<double>::infinity() : k32Bits * traits_.joules_per_count;
}

Result<double> Counter::since(long long count, Clock::TimePoint at) const {
  double most = traits_.most_watts * (at - last_at_ + kSlack).count();
  const double forward = difference(count, last_) * traits_.joules_per_count;
  const double energy = forward < 0.0 ? forward + wrap_joules() : forward;
  // Where nobody says that it wraps there, a step back is a wrap only if it goes on about as before.
  if (forward < 0.0 && traits_.range <= 0.0 && watts_) most = std::min(most, kWrapPower * *watts_ * (at - last_at_ + kSlack).count());
  if (energy >= 0.0 && energy <= most) return energy;
  const double before = static_cast<double>(last_) * traits_.joules_per_count;
  const double now = static_cast<double>(count) * traits_.joules_per_count;
  const std::string from_to = " from " + joules_text(before) + " to " + joules_text(now) + " in " + seconds_text(at - last_at_);
  if (forward < 0.0) {
    return fail(Errc::kCorrupt, "read " + traits_.path + ": it went back" + from_to, "the counter was reset, or the machine slept");
  }
  return fail(Errc::kCorrupt, "read " + traits_.path + ": it jumped" + from_to,
              "no such device draws that much: the counter is broken, or its unit changed");
}

void Counter::book(long long count, Clock::TimePoint at) {
  const auto energy = since(count, at);
  power_joules_ += energy.value_or(0.0);
  const Seconds passed = at - power_since_;
  if (!energy || passed >= kPowerRefreshes * traits_.refresh) {
    if (energy) watts_ = power_joules_ / passed.count();
    power_since_ = at;
    power_joules_ = 0.0;
  }
  if (count != last_) moved_at_ = at;
  if (traits_.range <= 0.0 && static_cast<double>(count) >= k32Bits) wide_ = true;
  last_ = count;
  last_at_ = at;
}

Status Counter::moving(long long count, Clock::TimePoint at) const {
  const Seconds still = at - moved_at_;
  if (count != last_ || still < std::max(traits_.step_joules > 0.0 ? kStill : kStillCoarse, kStillRefreshes * traits_.refresh)) return {};
  return fail(Errc::kCorrupt,
              "read " + traits_.path + ": it has stood still at " + joules_text(static_cast<double>(count) * traits_.joules_per_count) +
                  " for " + seconds_text(still),
              "the counter is frozen, or its part has no power: choose another meter");
}

bool Counter::may_have_wrapped_unseen(Clock::TimePoint at) const { return traits_.most_watts * (at - last_at_).count() >= wrap_joules(); }

Seconds Counter::read_within() const {
  const double wrap = wrap_joules();
  const Seconds often(0.5 * wrap / traits_.most_watts);
  return often > kNever ? Seconds(0) : often;
}

double Counter::edge_joules() const {
  const Seconds passed = last_at_ - power_since_;
  const double watts = watts_ ? *watts_ : passed > Seconds(0) ? power_joules_ / passed.count() : 0.0;
  const double late = watts * traits_.refresh.count();
  return std::hypot(late, traits_.step_joules) / std::sqrt(12.0);
}

std::optional<Seconds> observed_refresh(const Host& host, const std::string& path, Seconds patience) {
  constexpr int kMostReads = 2000;  // also where time stands still
  constexpr int kChanges = 5;
  const auto begun = host.clock.now();
  std::optional<long long> last;
  std::optional<Clock::TimePoint> first_change;
  Clock::TimePoint last_change{};
  int changes = 0;
  for (int i = 0; i < kMostReads && changes < kChanges; ++i) {
    const auto count = read_integer(host.files, path);
    const auto at = host.clock.now();
    if (!count || at - begun > patience) break;
    if (last && *count != *last) {
      if (first_change) ++changes;
      if (!first_change) first_change = at;
      last_change = at;
    }
    last = *count;
  }
  if (changes < 2) return std::nullopt;
  return (last_change - *first_change) / static_cast<double>(changes);
}

}  // namespace polythrottle
