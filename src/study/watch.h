#pragma once
// What the knobs do while a workload runs: where their clocks stand, and whether their settings still do.

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

/// Reads on the clock's ticker: nobody else may touch the knobs meanwhile. Each reading is timed, and one that costs much is made less
/// often, so that all of them together take about a hundredth of the time. The knobs outlive it; destroying it ends it.
class Watch {
 public:
  struct Pace {
    Seconds clocks{0.05};    ///< between two readings of a clock
    Seconds settings{0.2};   ///< between two readings of a setting
    Seconds settling{0.25};  ///< clocks are not judged before: governors ramp, and x86 answers an average of the past
    double share = 0.01;     ///< of the time that all readings may take
  };
  /// Begins. `expected`: what the knobs were set to; a knob whose name is missing is not compared.
  Watch(Clock& clock, std::span<const std::unique_ptr<Knob>> knobs, const Config& expected, const Pace& pace);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  /// Ends it and says what was seen.
  Watched end();

 private:
  struct Reading {
    std::function<void(bool settled)> look;
    Seconds period;
    Clock::TimePoint due;
    Seconds cost{1e300};  ///< the least so far: a thread that had to wait for a CPU looks dear once
  };
  void tick();

  Clock& clock_;
  const Pace pace_;
  const Clock::TimePoint began_;
  std::vector<Reading> readings_;
  Watched seen_;
  std::unique_ptr<Ticker> ticker_;  ///< last: it stops before the rest goes
};

/// The clocks that `config` claims, with what was seen of each; the floor of a clock is judged by that of the ceiling it is written with.
std::vector<ClaimedClock> claimed_clocks(std::span<const std::unique_ptr<Knob>> knobs, const Config& config,
                                         const std::vector<ClockTrace>& clocks);

}  // namespace polythrottle
