#pragma once
// Does the hardware do what its settings say? Judged by what the clocks did under load: a limit that reads back proves little.
// Why: on kernels with PM QoS any number is accepted and shown (Linux drivers/devfreq/devfreq.c, drivers/cpufreq/cpufreq.c), NVIDIA's clock
// locks cannot be read back at all (nvml.h), and firmware, heat and power caps have the last word.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "knob/knob.h"
#include "space/config.h"
#include "space/parameter.h"
#include "trial/trial.h"

namespace polythrottle {

/// Fewer readings than this prove nothing.
inline constexpr std::size_t kFewestReadings = 5;

/// What one clock was seen to do under load in one trial.
struct ClockTrace {
  std::string knob;            ///< whose `Knob::actual` it is
  std::vector<double> hertz;   ///< readings after the settling time, in order
  std::size_t asleep = 0;      ///< answers that there is no clock (rail-gated, or nothing to read)
  std::optional<Error> error;  ///< the first refused reading
};

/// A setting that should show in a clock.
struct ClaimedClock {
  Parameter parameter;
  double asked = 0.0;           ///< Hz
  std::optional<double> floor;  ///< of a ceiling: the floor it was set with, Hz
  ClockClaim claim;             ///< lock or ceiling, and what it leaves open
  ClockTrace trace;             ///< of this knob, or of the one it shares its clock with
};

enum class Proof {
  kProved,           ///< the clock ran at the limit or lock
  kNotContradicted,  ///< it stayed within the limit, at which the load did not need it
  kUnseen,           ///< no clock could be read, or too few times
  kContradicted,     ///< the clock did not obey
};
const char* to_string(Proof proof);

struct ProofOfClock {
  Proof proof = Proof::kUnseen;
  bool too_low = false;           ///< contradicted from below: held down, perhaps by heat or a power cap
  bool held_for_a_while = false;  ///< contradicted, though within this trial the clock also did as it was told: throttled, not deaf
  std::string text;               ///< one line for people where it is contradicted or unseen
};

/// Is it a clock that can be judged: a ceiling, floor or lock in Hz?
bool claims_a_clock(const Parameter& parameter);

/// The verdict on one clock. A ceiling is contradicted by a clock above it in a clear share of the readings; one whose floor stands beside
/// it also by a clock below; a lock by either; a floor by a clock that stays below it. The highest ceiling is no limit of ours: a clock
/// that is above or below it contradicts nothing. `always_busy`: there is no pause in the load in which a clock might rest (closed loop);
/// else only a clock that never gets there is too low. x86 answers an average since the last look (arch_freq_get_on_cpu), which jitters: 5
/// % are allowed, and above a ceiling no less than ClockClaim::slack.
ProofOfClock prove(const ClaimedClock& clock, bool always_busy);

/// All clocks of one trial taken together.
struct TrialProof {
  Proof proof = Proof::kProved;    ///< the worst of them: contradicted, unseen, not contradicted, proved
  bool held_for_a_while = false;   ///< of the contradicted one
  std::string text;                ///< the contradiction, or what is unseen
  std::vector<std::string> knobs;  ///< whose values were contradicted
};
/// nullopt where no setting of the trial claims a clock.
std::optional<TrialProof> prove(std::span<const ClaimedClock> clocks, bool always_busy);

/// The remark that keeps a trial's proof in the journal, and back; nullopt where a trial has none.
std::string proof_remark(const TrialProof& proof);
std::optional<Proof> proof_of(const Trial& trial);
/// Why a trial's setting is not proved, by knob ("cpu_hz: no clock is shown ..."); empty where it is, or there is nothing to prove.
std::string unproved_text(const Trial& trial);

/// "306 MHz", "1.3 GHz" for a parameter in Hz, else the plain value: a setting as a sentence wants it.
std::string spoken(const Parameter& parameter, const Value& value);

}  // namespace polythrottle
