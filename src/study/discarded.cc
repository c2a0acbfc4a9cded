#include "study/discarded.h"

#include <algorithm>
#include <string_view>

#include "study/cool_down.h"
#include "study/sizing.h"

namespace polythrottle {
namespace {

void add(Remarked& remarked, const Trial& trial, std::string_view word) {
  for (const std::string& note : trial.outcome.notes) {
    if (!note.starts_with(word)) continue;
    remarked.trials.push_back(trial.id);
    if (remarked.first.empty()) remarked.first = note.substr(word.size());
    return;
  }
}

}  // namespace

Discarded discarded(std::span<const Trial> history) {
  Discarded out;
  for (const Trial& trial : history) {
    const auto seconds = [&](std::string_view metric) {
      const auto at = trial.metrics().find(metric);
      return at == trial.metrics().end() ? 0.0 : at->second.value;
    };
    const double warm_up = seconds(kWarmUpTime), cool_down = seconds(kCoolDownTime);
    out.warm_up_seconds += warm_up;
    out.most_warm_up_seconds = std::max(out.most_warm_up_seconds, warm_up);
    out.window_seconds += seconds(kWindowTime);
    out.cool_down_seconds += cool_down;
    out.cool_downs += cool_down > 0.0 ? 1 : 0;
    add(out.undecided, trial, kUndecidedEnergy);
    add(out.unsteady, trial, kNotSteady);
    add(out.warm, trial, kStillWarm);
  }
  return out;
}

}  // namespace polythrottle
