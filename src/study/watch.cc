#include "study/watch.h"

#include <algorithm>

namespace polythrottle {
namespace {

void note_clock(Knob& knob, bool settled, ClockTrace& trace) {
  const auto now = knob.actual();
  if (!settled) return;
  if (!now) {
    if (!trace.error) trace.error = now.error();
  } else if (const auto* hertz = *now ? std::get_if<double>(&**now) : nullptr) {
    trace.hertz.push_back(*hertz);
  } else {
    ++trace.asleep;
  }
}

/// A setting that cannot be read for a moment says nothing; if it stays so, the reading after the window fails.
void note_setting(Knob& knob, const Value& expected, std::vector<ForeignChange>& changed) {
  const auto now = knob.read();
  if (!now || *now == expected) return;
  const Parameter& parameter = knob.parameter();
  const bool known = std::any_of(changed.begin(), changed.end(), [&](const auto& c) { return c.parameter.name == parameter.name; });
  if (!known) changed.push_back({parameter, expected, *now});
}

}  // namespace

Watch::Watch(Clock& clock, std::span<const std::unique_ptr<Knob>> knobs, const Config& expected, const Pace& pace)
    : clock_(clock), pace_(pace), began_(clock.now()) {
  seen_.clocks.reserve(knobs.size());  // the readings point into it
  for (const auto& knob : knobs) {
    if (!claims_a_clock(knob->parameter())) continue;
    ClockTrace& trace = seen_.clocks.emplace_back(ClockTrace{.knob = knob->parameter().name});
    readings_.push_back({[&knob, &trace](bool settled) { note_clock(*knob, settled, trace); }, pace_.clocks, began_, true});
  }
  for (const auto& knob : knobs) {
    const auto value = expected.get(knob->parameter().name);
    if (!value) continue;
    readings_.push_back({[this, &knob, value = *value](bool) { note_setting(*knob, value, seen_.changed); }, pace_.settings, began_});
  }
  if (!readings_.empty()) ticker_ = clock_.every(pace_.clocks, [this] { tick(); });
}

Watch::~Watch() = default;

Watched Watch::end() {
  ticker_.reset();  // waits for a reading in progress
  return std::move(seen_);
}

void Watch::tick() {
  const auto now = clock_.now();
  const bool settled = judging_ && now - began_ >= pace_.settling;
  for (Reading& reading : readings_) {
    // Half a tick early is nearer than the next tick.
    if (now < reading.due - pace_.clocks / 2.0) continue;
    const auto from = clock_.now();
    reading.look(settled);
    const Seconds cost = clock_.now() - from;
    reading.cost = reading.cost ? std::min(*reading.cost, cost) : cost;
    reading.due = now + period_of(reading);
  }
}

Seconds Watch::period_of(const Reading& reading) const {
  const Seconds fair = std::max(reading.period, *reading.cost * static_cast<double>(readings_.size()) / pace_.share);
  if (!reading.of_clock || pace_.window <= Seconds(0)) return fair;
  Seconds round{0};  // of all clocks
  for (const Reading& other : readings_) {
    if (other.of_clock) round += other.cost.value_or(Seconds(0));
  }
  // One more than needed: the first of them may be due just before the window opens.
  const Seconds needed = pace_.window / static_cast<double>(kFewestReadings + 1);
  return std::max(reading.period, std::min(fair, std::max(needed, round / pace_.most_share)));
}

std::vector<ClaimedClock> claimed_clocks(std::span<const std::unique_ptr<Knob>> knobs, const Config& config,
                                         const std::vector<ClockTrace>& clocks) {
  const auto trace_of = [&](const Knob& knob) {
    const auto own = std::find_if(clocks.begin(), clocks.end(), [&](const auto& t) { return t.knob == knob.parameter().name; });
    return own == clocks.end() ? ClockTrace{.knob = knob.parameter().name} : *own;
  };
  const auto bounds_one_clock = [](const Knob& a, const Knob& b) {
    const auto ceiling = [](const Knob& k) { return k.parameter().role == Role::kComputeClock || k.parameter().role == Role::kHostClock; };
    const auto floor = [](const Knob& k) { return k.parameter().role == Role::kClockFloor; };
    return a.group() != nullptr && a.group() == b.group() && ((ceiling(a) && floor(b)) || (floor(a) && ceiling(b)));
  };
  std::vector<ClaimedClock> out;
  for (const auto& knob : knobs) {
    const auto asked = config.number(knob->parameter().name);
    if (!asked || !claims_a_clock(knob->parameter())) continue;
    ClaimedClock claim{
        .parameter = knob->parameter(), .asked = *asked, .floor = std::nullopt, .claim = knob->claim(), .trace = trace_of(*knob)};
    for (const auto& mate : knobs) {
      if (!bounds_one_clock(*knob, *mate)) continue;
      if (knob->parameter().role != Role::kClockFloor) {
        claim.floor = config.number(mate->parameter().name);
      } else if (claim.trace.hertz.empty()) {
        claim.trace = trace_of(*mate);
      }
    }
    out.push_back(std::move(claim));
  }
  return out;
}

}  // namespace polythrottle
