#pragma once
// What the files of OneTrial share. For them alone.

#include <fmt/format.h>

#include <optional>
#include <span>
#include <string>
#include <utility>

#include "study/one_trial.h"
#include "study/sizing.h"

namespace polythrottle {

/// A trial in progress.
struct OneTrial::Attempt {
  const Advice& advice;
  std::uint64_t seed;
  std::span<const Trial> history;
  const Problem* problem;
  Metrics costs;  ///< of the trial, whatever its outcome
  Config got;
  std::vector<std::string> notes;  ///< remarks that a completed trial keeps
  std::optional<Watch> watch;      ///< while the workload runs
  Watched watched;
  SizingRule rule;
};

namespace one_trial {

inline Outcome ended(TrialState state, std::string note) { return Outcome{state, {}, {}, std::move(note), {}}; }

/// A machine that says no refuses the setting; one that stutters says nothing of it; a workload that breaks has failed there.
inline Outcome refused(const Error& e, TrialState otherwise) {
  const bool said_no =
      e.code == Errc::kOutOfRange || e.code == Errc::kUnsupported || e.code == Errc::kInvalid || e.code == Errc::kPermission;
  return ended(said_no ? TrialState::kRefused : otherwise, e.text());
}

/// `config` with what the machine reports of its knobs.
inline Config overlaid(Config config, const Config& reported) {
  for (const auto& [name, value] : reported.entries()) {
    if (config.get(name)) config.set(name, value);
  }
  return config;
}

}  // namespace one_trial
}  // namespace polythrottle
