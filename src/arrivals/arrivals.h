#pragma once
// When requests come.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle {

/// An endless schedule of requests, in seconds from its start. Never decreasing; several requests may come at one moment. Copies are
/// independent and go on from where the original was. The same arguments give the same schedule on every machine.
class Arrivals {
 public:
  /// One request every 1/rate seconds, the first at 0. Errors: kInvalid unless 0 < rate < infinity.
  static Result<Arrivals> uniform(double rate_per_second);
  /// Independent exponential gaps of mean 1/rate. Errors: as `uniform`.
  static Result<Arrivals> poisson(double rate_per_second, std::uint64_t seed);
  /// Plays `times` (seconds, in order, any origin) from 0, and again from its first request when it is exhausted, one mean gap after the
  /// last. With a rate, the time axis is scaled so that the mean rate is that. Errors: kInvalid if empty, unordered or not finite, or if
  /// all times are equal and no rate is given.
  static Result<Arrivals> recorded(std::vector<double> times, std::optional<double> rate_per_second = {});
  /// The burstiest part of a trace, as `recorded` at this rate: of runs of as many requests as come in `duration` at `rate`, each stretched
  /// to last that long, the one whose counts in 30 equal bins (1 s each of 30 s) vary most; the earliest of equals. So every run is judged
  /// at the rate at which it would be played: the unevenness decides, not how busy the trace was there. Runs begin every thirtieth of their
  /// length. Without a rate, the trace's own mean. Errors: those of `recorded`; kInvalid for a duration that is not positive, or if the
  /// trace has fewer requests than that, or they are fewer than 2.
  static Result<Arrivals> bursty_segment(std::vector<double> times, Seconds duration, std::optional<double> rate_per_second = {});
  /// `load_arrival_times`, then `recorded`. Errors: those of the two.
  static Result<Arrivals> load(const std::string& path, std::optional<double> rate_per_second = {});

  /// The next request.
  Seconds next();
  /// Starts over: the same schedule again.
  void restart();
  /// Mean number of requests a second.
  double rate() const { return rate_; }

 private:
  enum class Kind { kUniform, kPoisson, kRecorded };
  Arrivals(Kind kind, double rate, std::uint64_t seed) : kind_(kind), rate_(rate), seed_(seed), random_(seed) {}

  Kind kind_;
  double rate_;
  std::uint64_t seed_;
  std::mt19937_64 random_;
  std::vector<double> times_;  // recorded: seconds from the first, scaled
  double period_ = 0.0;        // recorded: from one round to the next
  std::size_t index_ = 0;      // uniform: requests so far; recorded: position in times_
  std::size_t round_ = 0;      // recorded
  double last_ = 0.0;          // poisson
};

/// `parse_arrivals` on a file of the user's, which errors name. Errors: kNotFound, kPermission, kIo, kCorrupt.
Result<std::vector<double>> load_arrival_times(const std::string& path);

/// Times of a trace, as seconds from its first request. Either one number a line, or CSV with a header line whose column "TIMESTAMP",
/// "timestamp", "time" or "arrival_seconds" (the first of these that is there) holds seconds or ISO date-times such as
/// "2023-11-16 18:17:03.9799600" ("T" between, a fraction, and "Z" or an offset "+01:00" behind are optional). Empty lines are skipped.
/// Errors: kCorrupt with the line number: empty, malformed, or a time before its predecessor.
Result<std::vector<double>> parse_arrivals(std::string_view text);

}  // namespace polythrottle
