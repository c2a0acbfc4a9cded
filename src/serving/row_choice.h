#pragma once
// Which configuration the server is in while it serves.

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/units.h"
#include "serving/decision.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// What the driver saw go wrong; the core hands it on.
enum class Alarm { kDrift, kHot, kRival };

/// Stateful, and deterministic in what it was told. Used by the core's thread.
class RowChoice {
 public:
  virtual ~RowChoice() = default;
  struct Answer {
    std::size_t row = 0;
    DecisionRecord about;
  };
  /// Asked after every event, unless a row is being applied. nullopt: stay.
  virtual std::optional<Answer> choose(const ServingState& state) = 0;
  /// A request was answered this late after its deadline (negative: in time), or dropped (nullopt).
  virtual void answered(Time now, std::optional<Seconds> lateness) = 0;
  virtual void alarm(Time now, Alarm alarm) = 0;
  /// When it wants to be asked next though nothing happens: without requests there are no events. As of the last `choose`.
  virtual std::optional<Time> wake() const { return std::nullopt; }

 protected:
  RowChoice() = default;
};

}  // namespace polythrottle::serving
