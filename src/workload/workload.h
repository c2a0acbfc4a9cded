#pragma once
// Useful work, counted.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/host.h"
#include "space/config.h"
#include "space/parameter.h"
#include "trial/metric.h"

namespace polythrottle {

/// How long to work.
struct Budget {
  Seconds at_least{1};       ///< go on at least this long
  Seconds at_most{20};       ///< and never longer, however few the samples
  std::size_t samples = 30;  ///< latencies wanted
  /// Latency limit of the SLO, if any: work may end early once the quantile (0: the mean) is certainly above it.
  std::optional<Seconds> limit;
  double quantile = 0.0;
  std::uint64_t seed = 0;  ///< of this trial: which repeat of a recorded cell is drawn
  /// Where given, work goes on after `at_least` and `samples` until this says so, or `at_most`; a limit that is certainly broken ends it
  /// all the same. Asked after a batch, on one of the threads that work, never by two at once, with what is done so far (`began`,
  /// `inferences`, `completions` in about the order of completion); must be quick.
  std::function<bool(const struct Work&)> enough;
};

/// One answered request (open loop) or one finished batch (closed loop).
struct Completion {
  Clock::TimePoint at;
  Seconds latency{0};
  std::size_t inferences = 1;  ///< 0: not answered when the window closed (see Work::saturated), and latency is a lower bound
};

/// A part of the time that a window was open.
struct Stretch {
  Clock::TimePoint began, ended;
};

struct Work {
  std::size_t inferences = 0;
  Clock::TimePoint began, ended;        ///< of the counted stretch
  std::vector<Completion> completions;  ///< in order of completion
  /// Latencies that the program itself summed up, by metric name, where it does not tell each; then `completions` may be empty.
  Metrics summary;
  /// Where given, only these parts count, in order and apart: `inferences` were done in them, at an even rate, and the energy and time
  /// between them are none of the work's (a program that loads its network again). The first may begin a little before the window opened.
  std::vector<Stretch> counted;
  std::optional<Metrics> ready;  ///< recorded tables: metrics as somebody measured them; then no window is opened
  bool cut_short = false;        ///< ended early because the limit was certainly broken
  bool saturated = false;        ///< open loop: requests came faster than the device answered; latency grows with the window
  std::vector<std::string> notes;
};

/// Used by one thread; may run several inside.
class Workload {
 public:
  virtual ~Workload() = default;
  /// Its own knobs: batch, threads, instances, whatever a command takes.
  virtual std::span<const Parameter> parameters() const = 0;
  /// Takes its part of a Config (other names are ignored). Errors: kOutOfRange, kUnsupported: the setting is refused; others: it failed.
  virtual Status configure(const Config& config) = 0;
  /// Until latency is steady, or `stop`. Nothing before `run` is counted. Errors, here and in `run`: kUnsupported: the setting is refused;
  /// others: it failed.
  virtual Status warm_up(std::stop_token stop) = 0;
  virtual Result<Work> run(const Budget& budget, std::stop_token stop) = 0;
  /// The trial is over, its window closed: nothing of it works on. Also after an error.
  virtual void finish() {}
  /// What a program that does the work printed since this was asked last, and how it ended; as text for a file. Empty where none does.
  virtual std::string take_printed() { return {}; }
  /// The study is over: what stayed between trials goes. Before the machine is given back; also after an error.
  virtual void close() {}
};

}  // namespace polythrottle
