#pragma once
// How long a window must be.

#include <functional>
#include <optional>
#include <string>

#include "base/units.h"
#include "meter/window.h"
#include "study/settle.h"
#include "workload/workload.h"

namespace polythrottle {

struct SizingRule {
  Seconds shortest{1};        ///< the window is at least this long
  Seconds limit{20};          ///< and ends at this length, whatever is still missing of the energy
  Seconds settle_limit{0};    ///< what may be left out before it, until the load is steady; 0: nothing is
  double energy_error = 0.0;  ///< relative standard error that is asked of the energy per inference; 0: none is
  std::size_t samples = 0;    ///< latencies that the limits' percentiles need
};

/// What can be said of a load so far, or at its end.
struct Sized {
  SteadyPart part;
  Seconds settling{0};                 ///< left out before the window
  Seconds length{0};                   ///< of the window
  std::optional<double> energy_error;  ///< relative; absent where nothing is known of it
  std::size_t samples = 0;             ///< latencies in the window
  bool at_limit = false;               ///< no more time was allowed
};

/// Pure. `reading` may be of a window that is still open. `from`: the block at which the window was found to begin before; absent: it is
/// looked for.
Sized size_up(const SizingRule& rule, const Work& work, const WindowReading& reading, std::optional<std::size_t> from = {});

/// May it end? Never before the shortest length, never later than at the limit (unless latencies are missing: the workload's budget ends
/// those). Stopping when an estimated error first is small enough favours estimates that are too small; the looks are few (see
/// WindowSizing) and the error stands on about twenty blocks, which keeps that below a tenth of it (the property test of this file).
bool long_enough(const SizingRule& rule, const Sized& sized);

/// What people must know of a window that had all the time it was allowed: not steady, its energy not known well enough. Each a remark of
/// its own, beginning as these do. One that ended early, because its limit was broken beyond doubt, was not meant to tell more.
inline constexpr const char* kNotSteady = "not steady: ";
inline constexpr const char* kUndecidedEnergy = "undecided: ";
std::vector<std::string> remarks_of(const SizingRule& rule, const Sized& sized);

/// The part of a window that is behind its first `from` blocks, and what was done in it: batches that ended in it, also those under way
/// when it began.
WindowReading tail_of(const WindowReading& reading, std::size_t from);
Work tail_of(const Work& work, const WindowReading& tail);

/// Asks while the workload runs, at most once a block and once in every twentieth of the time so far, so that the questions cost little
/// however long a window gets. For Budget::enough.
class WindowSizing {
 public:
  /// `window` is open and outlives it; `block` is its block length.
  WindowSizing(const SizingRule& rule, const Window& window, const Clock& clock, Seconds block);
  bool enough(const Work& so_far);
  /// Where the window was found to begin when it was found long enough; nothing before.
  std::optional<std::size_t> from() const { return from_; }

 private:
  const SizingRule rule_;
  const Window& window_;
  const Clock& clock_;
  const Seconds block_;
  const Clock::TimePoint began_;
  Clock::TimePoint next_;
  std::optional<std::size_t> from_;
};

}  // namespace polythrottle
