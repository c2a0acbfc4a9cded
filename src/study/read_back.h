#pragma once
// What a machine reports of its knobs against what it was asked for.

#include <memory>
#include <span>
#include <vector>

#include "knob/knob.h"
#include "trial/trial.h"

namespace polythrottle {

/// A knob that reports something else than it was asked for. The knob outlives it.
struct Missed {
  const Knob& knob;
  Value asked, got;
  /// A clock that is below what was asked for: heat and power limits do that.
  bool lower() const;
};

/// In the order of the knobs; those that `asked` or `got` does not name are left out.
std::vector<Missed> missed(std::span<const std::unique_ptr<Knob>> knobs, const Config& asked, const Config& got);

/// Was something missed, and all of it lower?
bool only_lower(const std::vector<Missed>& misses);

/// Did a trial complete in which this knob had the value that it now missed in `config`? A switch that it is written with, such as turbo,
/// has to have stood as it does in `config`; other knobs do not count.
bool held_before(std::span<const Trial> history, const Missed& miss, const Config& config, std::span<const std::unique_ptr<Knob>> knobs);

}  // namespace polythrottle
