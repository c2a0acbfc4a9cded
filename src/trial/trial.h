#pragma once
// One trial, as the journal keeps it.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "space/config.h"
#include "trial/metric.h"

namespace polythrottle {

using TrialId = std::int64_t;

/// Definitions.md says what each teaches. kRunning is what the journal shows of a trial that has begun and not ended.
enum class TrialState { kRunning, kCompleted, kAborted, kRefused, kFailed, kVoid, kLost };
const char* to_string(TrialState state);
Result<TrialState> parse_trial_state(std::string_view text);

/// Why a configuration is tried; journaled with the trial it led to.
struct Advice {
  enum class Kind {
    kReference,  ///< the setting the study starts at
    kFound,      ///< what the machine was set to before us, where that differs
    kTry,        ///< exploration
    kVerify,     ///< the optimizer's second look at a setting already measured: an outlier, or its choice before it stops
    kCheck,      ///< the reference again, to see drift
    kConfirm,    ///< reference and best again in alternation, at the end of a study
    kStop,       ///< nothing more to try; `config` is empty
  };
  Kind kind = Kind::kTry;
  Config config;
  std::string reason;                   ///< one line for people
  std::optional<double> expected_gain;  ///< relative, where the optimizer states one
};
const char* to_string(Advice::Kind kind);
/// Is it another look at a setting that was measured before? Such trials do not count against the budget.
bool repeats(Advice::Kind kind);

/// How a trial ended.
struct Outcome {
  TrialState state = TrialState::kCompleted;
  Config got;                      ///< what the machine then reported; empty where nothing was applied
  Metrics metrics;                 ///< may be empty unless completed
  std::string note;                ///< why it was refused, failed, void; one line
  std::vector<std::string> notes;  ///< further remarks worth keeping
};

struct Trial {
  TrialId id = 0;
  TrialState state = TrialState::kRunning;
  Advice advice;
  Config asked;
  Outcome outcome;        ///< `outcome.state` equals `state`
  double started = 0.0;   ///< seconds since the Unix epoch
  double finished = 0.0;  ///< 0 while running
  std::uint64_t seed = 0;
  const Metrics& metrics() const { return outcome.metrics; }
};

/// The history as an optimizer may see it: void, running and lost trials left out, except that a setting lost twice counts as failed
/// (docs/terms.md). Order kept.
std::vector<Trial> teaching(std::span<const Trial> history);

/// Estimates of all completed trials at `config`, pooled: means by the random-effects model where every trial states an error, else plain
/// ones; errors combined and never smaller than the repeats scatter; shared errors averaged. Empty if there is none.
Metrics pooled(std::span<const Trial> history, const Config& config);

}  // namespace polythrottle
