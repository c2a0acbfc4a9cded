#include "study/read_back.h"

#include <algorithm>

#include "study/proof.h"

namespace polythrottle {

bool Missed::lower() const { return claims_a_clock(knob.parameter()) && got < asked; }

std::vector<Missed> missed(std::span<const std::unique_ptr<Knob>> knobs, const Config& asked, const Config& got) {
  std::vector<Missed> out;
  for (const auto& knob : knobs) {
    const auto wanted = asked.get(knob->parameter().name), now = got.get(knob->parameter().name);
    if (wanted && now && *wanted != *now) out.push_back({*knob, *wanted, *now});
  }
  return out;
}

bool only_lower(const std::vector<Missed>& misses) {
  return !misses.empty() && std::all_of(misses.begin(), misses.end(), [](const Missed& miss) { return miss.lower(); });
}

bool held_before(std::span<const Trial> history, const Missed& miss, const Config& config, std::span<const std::unique_ptr<Knob>> knobs) {
  return std::any_of(history.begin(), history.end(), [&](const Trial& t) {
    if (t.state != TrialState::kCompleted || t.asked.get(miss.knob.parameter().name) != miss.asked) return false;
    return std::all_of(knobs.begin(), knobs.end(), [&](const auto& mate) {
      const Parameter& p = mate->parameter();
      const bool matters = miss.knob.group() != nullptr && mate->group() == miss.knob.group() && !claims_a_clock(p);
      return !matters || t.asked.get(p.name) == config.get(p.name);
    });
  });
}

}  // namespace polythrottle
