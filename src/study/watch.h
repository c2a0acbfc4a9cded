#pragma once
// What the knobs do while a workload runs: where their clocks stand, and whether their settings still do.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/host.h"
#include "knob/knob.h"
#include "study/proof.h"

namespace polythrottle {

/// A setting that somebody else changed.
struct ForeignChange {
  Parameter parameter;
  Value expected;
  Value seen;
};

/// What a watch saw.
struct Watched {
  std::vector<ClockTrace> clocks;      ///< one for each knob that claims a clock
  std::vector<ForeignChange> changed;  ///< the first change of each knob, also where it was changed back
};

/// Reads on the clock's ticker: nobody else may touch the knobs meanwhile. Settings are compared from the beginning; clocks are judged only
/// from `judge_from_now` on, since a workload that loads leaves its unit idle or gated. The knobs outlive it; destroying it ends it.
/// Each reading is timed, and one that costs much is made less often, so that all of them together take about a hundredth of the time
/// (`share`). Where that leaves fewer readings of the clocks than a verdict needs in the shortest window (tegra194-cpufreq busy-waits half
/// a millisecond for each policy), they are made as often as it takes, as long as a round of all clocks stays under `most_share`.
class Watch {
 public:
  struct Pace {
    Seconds clocks{0.05};      ///< between two readings of a clock
    Seconds settings{0.2};     ///< between two readings of a setting
    Seconds settling{0.25};    ///< clocks are not judged before: governors ramp, and x86 answers an average of the past
    double share = 0.01;       ///< of the time that all readings may take
    double most_share = 0.03;  ///< of the time that the clocks' readings may take for a verdict
    Seconds window{0};         ///< the shortest in which clocks are to be judged; 0: none
  };
  /// Begins. `expected`: what the knobs were set to; a knob whose name is missing is not compared.
  Watch(Clock& clock, std::span<const std::unique_ptr<Knob>> knobs, const Config& expected, const Pace& pace);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  /// The load begins: from now on, and behind the settling time, clocks are judged.
  void judge_from_now() { judging_ = true; }
  /// Ends it and says what was seen.
  Watched end();

 private:
  struct Reading {
    std::function<void(bool settled)> look;
    Seconds period;
    Clock::TimePoint due;
    bool of_clock = false;
    std::optional<Seconds> cost{};  ///< the least so far: a thread that had to wait for a CPU looks dear once
  };
  void tick();
  Seconds period_of(const Reading& reading) const;

  Clock& clock_;
  const Pace pace_;
  const Clock::TimePoint began_;
  std::atomic<bool> judging_{false};
  std::vector<Reading> readings_;
  Watched seen_;
  std::unique_ptr<Ticker> ticker_;  ///< last: it stops before the rest goes
};

/// The clocks that `config` claims, with what was seen of each; the floor of a clock is judged by that of the ceiling it is written with.
std::vector<ClaimedClock> claimed_clocks(std::span<const std::unique_ptr<Knob>> knobs, const Config& config,
                                         const std::vector<ClockTrace>& clocks);

}  // namespace polythrottle
