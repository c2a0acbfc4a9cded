#pragma once
// What a program said of one timed part of its work, and several of them put together.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "workload/reading.h"
#include "workload/workload.h"

namespace polythrottle {

/// Filled from the lines of one execution. Where the program says how long the part was, that decides its beginning; else the line that
/// marks it.
struct TimedPart {
  Clock::TimePoint started;               ///< the program
  std::optional<Clock::TimePoint> began;  ///< the part
  std::optional<Clock::TimePoint> ended;
  std::vector<Completion> completions;  ///< with 0 inferences where it did not say how many
  std::optional<double> inferences, batches, inferences_per_second, batches_per_second;
  std::optional<Seconds> timed;
  std::map<std::string_view, Seconds> summary;  ///< by metric name
  std::set<std::size_t> matched;                ///< patterns that did
  std::size_t lines = 0;                        ///< printed

  void take(const Said& said, Clock::TimePoint at);
  /// Ends it, at `now` if it did not say so, and has its beginning by its length. Errors: kCorrupt if it took no time.
  Status close(Clock::TimePoint now);
  /// Has it said all it can: it ended, and of `patterns` each has matched (without any: it ended)?
  bool complete(std::size_t patterns) const { return ended && matched.size() >= patterns; }
  bool has_count() const;
  /// A latency, by metric name: printed, or to be had from the batches.
  bool has(std::string_view metric) const { return !completions.empty() || summary.contains(metric); }
  Seconds length() const { return *ended - *began; }
  /// Batches (requests) in it; 0: not known. `batch`: inferences in one.
  double batches_in(double batch) const;
  double inferences_in(double batch) const;
};

/// Several of them, closed, in order.
class Parts {
 public:
  void add(const TimedPart& part, double batch);
  std::size_t count() const { return stretches_.size(); }
  /// Latencies that its percentiles stand on.
  std::size_t latencies() const { return static_cast<std::size_t>(latencies_); }
  /// Counts, latencies and the stretches. A latency that was summed up is the mean of what each part said, by its number of batches;
  /// from two parts on with the error of that mean.
  void put_into(Work& work) const;

 private:
  struct Printed {
    double seconds, weight;
  };
  std::vector<Stretch> stretches_;
  std::vector<Completion> completions_;
  std::map<std::string_view, std::vector<Printed>> summary_;
  double inferences_ = 0.0, latencies_ = 0.0;
};

}  // namespace polythrottle
