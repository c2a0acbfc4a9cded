// The first part of a trial: the setting is written and read back, on a machine that is cool.

#include <algorithm>

#include "knob/cooling.h"
#include "study/one_trial_parts.h"
#include "study/read_back.h"

namespace polythrottle {

using namespace one_trial;

namespace {

/// A trial waits no longer for a machine that holds its clocks down.
constexpr Seconds kLongestCooling{60.0};

bool same(const Config& reported, const Config& config) { return overlaid(config, reported) == config; }

}  // namespace

/// Sets the machine's part and reads it back. Answers how the trial ended if it cannot go on.
std::optional<Outcome> OneTrial::set(Attempt& trial) {
  if (lease_ == nullptr) return std::nullopt;
  const Config& config = trial.advice.config;
  const auto began = device_.host.clock.now();
  const WriteTotals before = device_.host.files.written();
  auto applied = lease_->apply(config);
  if (applied && !same(*applied, config)) applied = lease_->apply(config);  // once more: a rival may just have written
  const WriteTotals after = device_.host.files.written();
  const Config now = overlaid(lease_->found(), config);
  if (after.count > before.count || !(now == set_to_)) {
    trial.costs[std::string(kActuation)] = {(device_.host.clock.now() - began).count(), {}, 1, {}};
  }
  if (const std::size_t writes = after.count - before.count; writes > 0) {
    trial.costs[std::string(kWrite)] = {(after.time - before.time).count() / static_cast<double>(writes), {}, writes, {}};
  }
  set_to_ = now;
  if (applied && only_lower(missed(device_.knobs, config, *applied)) && waited_for_clocks()) applied = lease_->apply(config);
  if (stop_.stop_requested()) return ended(TrialState::kVoid, kInterruptedNote);
  if (!applied) return refused(applied.error(), TrialState::kVoid);
  trial.got = overlaid(config, *applied);
  if (trial.got == config) return std::nullopt;
  const auto misses = missed(device_.knobs, config, trial.got);
  const auto all = [&](auto what) { return std::all_of(misses.begin(), misses.end(), what); };
  // A limit of the kernel's against heat is the lower one of the two that are read: it goes, and says nothing of the setting.
  const std::string heat = only_lower(misses) ? held_down_text() : "";
  // Where the values held before, somebody else is writing; where they never did, the machine rounds or refuses them.
  const bool held = all([&](const Missed& miss) { return held_before(trial.history, miss, config, device_.knobs); });
  const bool spoiled = held || !heat.empty();
  Outcome outcome = ended(
      spoiled ? TrialState::kVoid : TrialState::kRefused,
      fmt::format("asked for {}, the machine reports {}{}", config.text(), trial.got.text(), heat.empty() && held ? running_here() : heat));
  outcome.got = trial.got;
  return outcome;
}

/// Without load a hot machine cools; tried again at once, a setting would be void until the study ends. False where there was nothing to
/// wait for.
bool OneTrial::waited_for_clocks() const {
  return wait_until(device_.host.clock, stop_, kLongestCooling, [&] { return cooling_now(device_.host.files).empty(); }) > Seconds(0);
}

/// Waits for the temperature that the study started at.
void OneTrial::cool_down(Attempt& trial) {
  Gauge* thermometer = thermometer_of(device_.gauges);
  const auto waited = cooling_.wait(device_.host.clock, thermometer, plan_.cool_down > Seconds(0) ? start_temperature_ : std::nullopt,
                                    plan_.cool_down, stop_);
  if (waited.temperature) trial.costs[std::string(kStartTemperature)] = {*waited.temperature, {}, 1, {}};
  if (waited.time > Seconds(0)) trial.costs[std::string(kCoolDownTime)] = {waited.time.count(), {}, {}, {}};
  if (!waited.remark.empty()) trial.notes.push_back(waited.remark);
}

/// ": held down by heat (cpufreq-cpu0)"; empty while no clock is.
std::string OneTrial::held_down_text() const {
  const auto devices = cooling_now(device_.host.files);
  return devices.empty() ? std::string() : fmt::format(": held down by heat ({})", fmt::join(devices, ", "));
}

/// " (running here: tuned, tlp)".
std::string OneTrial::running_here() const {
  const auto names = device_.suspects ? device_.suspects() : std::vector<std::string>();
  return names.empty() ? std::string() : fmt::format(" (running here: {})", fmt::join(names, ", "));
}

}  // namespace polythrottle
