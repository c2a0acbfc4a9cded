#include "study/proof.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr double kJitter = 0.05;
/// Of the readings: more than an accident.
constexpr double kClearShare = 0.2;
/// Of the readings: a clock that practically never got there.
constexpr double kAlways = 0.95;

constexpr const char* kRemark = "proof: ";

std::string hertz_text(double hertz) {
  return hertz >= 1e9 ? fmt::format("{:.4g} GHz", hertz / 1e9) : fmt::format("{:.4g} MHz", hertz / 1e6);
}

/// What the clock belongs to, for a sentence.
std::string unit_of(const Parameter& parameter) {
  if (parameter.name.starts_with("gpu")) return "the GPU";
  if (parameter.name.starts_with("mem")) return "the memory";
  if (parameter.name.starts_with("cpu")) return "the CPU";
  return "the hardware";
}

/// Parts of the readings below, at and above a clock.
struct Shares {
  double below = 0.0, at = 0.0, above = 0.0;
};

double highest_fit(const ClaimedClock& clock) { return clock.asked + std::max(kJitter * clock.asked, clock.claim.slack); }
double lowest_fit(const ClaimedClock& clock) { return clock.asked * (1.0 - kJitter); }

Shares shares_of(const ClaimedClock& clock) {
  Shares out;
  const auto& readings = clock.trace.hertz;
  const double each = 1.0 / static_cast<double>(readings.size());
  for (const double hertz : readings) {
    (hertz > highest_fit(clock) ? out.above : hertz < lowest_fit(clock) ? out.below : out.at) += each;
  }
  return out;
}

/// The middle one of those readings that lie on the wrong side.
double typical(const ClaimedClock& clock, bool above) {
  std::vector<double> wrong;
  for (const double hertz : clock.trace.hertz) {
    if (above ? hertz > highest_fit(clock) : hertz < lowest_fit(clock)) wrong.push_back(hertz);
  }
  std::sort(wrong.begin(), wrong.end());
  return sorted_quantile(wrong, 0.5);
}

ProofOfClock unseen(const ClaimedClock& clock) {
  const ClockTrace& trace = clock.trace;
  std::string why;
  if (!trace.hertz.empty()) {
    why = fmt::format("its clock was read {} times, too few", trace.hertz.size());
  } else if (trace.error) {
    why = trace.error->what;
  } else {
    why = trace.asleep > 0 ? "no clock is shown for it, asleep or not readable here" : "there was no time to read its clock";
  }
  return {.proof = Proof::kUnseen, .text = fmt::format("{}: {}", clock.parameter.name, why)};
}

ProofOfClock contradicted(const ClaimedClock& clock, bool above, bool held, bool pinned) {
  const double seen = typical(clock, above);
  std::string text = fmt::format("asked for {}={}, it reads back so, but {} ran at {} under load", clock.parameter.name,
                                 hertz_text(clock.asked), unit_of(clock.parameter), hertz_text(seen));
  if (!above && (pinned || held)) text += " (heat, a power cap or another limit may hold it down)";
  return {.proof = Proof::kContradicted, .too_low = !above, .held_for_a_while = held, .text = std::move(text)};
}

}  // namespace

const char* to_string(Proof proof) {
  switch (proof) {
    case Proof::kProved: return "proved";
    case Proof::kNotContradicted: return "not contradicted";
    case Proof::kUnseen: return "not proved";
    case Proof::kContradicted: return "contradicted";
  }
  return "not proved";
}

bool claims_a_clock(const Parameter& parameter) {
  const bool role = parameter.role == Role::kComputeClock || parameter.role == Role::kHostClock || parameter.role == Role::kMemoryClock ||
                    parameter.role == Role::kClockFloor;
  return role && parameter.unit == "Hz";
}

ProofOfClock prove(const ClaimedClock& clock, bool always_busy) {
  if (clock.trace.hertz.size() < kFewestReadings) return unseen(clock);
  const Shares shares = shares_of(clock);
  const bool too_high = shares.above >= kClearShare;
  const bool too_low = shares.below >= (always_busy ? kClearShare : kAlways);
  if (clock.parameter.role == Role::kClockFloor) {
    if (shares.below >= kAlways) return contradicted(clock, false, false, false);
    return {.proof = shares.at >= kClearShare ? Proof::kProved : Proof::kNotContradicted};
  }
  if (clock.claim.held) {
    if (too_high || too_low) return contradicted(clock, too_high, shares.at >= kClearShare, false);
    return {.proof = shares.at >= 1.0 - kClearShare ? Proof::kProved : Proof::kNotContradicted};
  }
  const bool pinned = clock.floor && *clock.floor >= clock.asked;
  // The highest level is no limit of ours: some hardware boosts above what its table says (acpi-cpufreq).
  const auto* highest = clock.parameter.levels.empty() ? nullptr : std::get_if<double>(&clock.parameter.levels.back());
  const bool limits = highest == nullptr || clock.asked < *highest;
  const double reached = shares.at + (limits ? 0.0 : shares.above);
  // A governor passes the ceiling on its way: that it was there proves nothing for a clock that goes above it.
  if (limits && too_high) return contradicted(clock, true, pinned && reached >= kClearShare, pinned);
  if (pinned && too_low) return contradicted(clock, false, reached >= kClearShare, true);
  return {.proof = reached >= kClearShare ? Proof::kProved : Proof::kNotContradicted};
}

std::optional<TrialProof> prove(std::span<const ClaimedClock> clocks, bool always_busy) {
  if (clocks.empty()) return std::nullopt;
  TrialProof out;
  // Floors last: where a clock contradicts both its ceiling and its floor, the ceiling says it better. And a floor that the load stayed
  // above takes nothing from the proof of the ceiling that shares its clock.
  for (const bool floors : {false, true}) {
    for (const ClaimedClock& clock : clocks) {
      if ((clock.parameter.role == Role::kClockFloor) != floors) continue;
      auto one = prove(clock, always_busy);
      const bool shared = std::any_of(clocks.begin(), clocks.end(), [&](const ClaimedClock& other) {
        return other.parameter.role != Role::kClockFloor && other.trace.knob == clock.trace.knob;
      });
      if (floors && shared && one.proof != Proof::kContradicted) continue;
      if (one.proof == Proof::kContradicted) {
        // A clock that is too low was promised by ceiling and floor together.
        for (const ClaimedClock& other : clocks) {
          const bool promised = other.parameter.name == clock.parameter.name || (one.too_low && other.trace.knob == clock.trace.knob);
          if (promised && std::find(out.knobs.begin(), out.knobs.end(), other.parameter.name) == out.knobs.end()) {
            out.knobs.push_back(other.parameter.name);
          }
        }
      }
      if (one.proof > out.proof) {
        out.proof = one.proof;
        out.held_for_a_while = one.held_for_a_while;
        out.text = std::move(one.text);
      } else if (one.proof == out.proof && one.proof == Proof::kUnseen) {
        out.text += "; " + one.text;
      }
    }
  }
  return out;
}

std::string proof_remark(const TrialProof& proof) {
  return kRemark + std::string(to_string(proof.proof)) + (proof.text.empty() ? "" : ": " + proof.text);
}

std::optional<Proof> proof_of(const Trial& trial) {
  for (const auto& remark : trial.outcome.notes) {
    if (!remark.starts_with(kRemark)) continue;
    for (const auto proof : {Proof::kProved, Proof::kNotContradicted, Proof::kUnseen, Proof::kContradicted}) {
      const std::string words = kRemark + std::string(to_string(proof));
      if (remark == words || remark.starts_with(words + ":")) return proof;
    }
  }
  return std::nullopt;
}

std::string unproved_text(const Trial& trial) {
  const std::string words = kRemark + std::string(to_string(Proof::kUnseen)) + ": ";
  for (const auto& remark : trial.outcome.notes) {
    if (remark.starts_with(words)) return remark.substr(words.size());
  }
  return {};
}

std::string spoken(const Parameter& parameter, const Value& value) {
  const auto* number = std::get_if<double>(&value);
  return number != nullptr && parameter.unit == "Hz" ? hertz_text(*number) : to_text(value);
}

}  // namespace polythrottle
