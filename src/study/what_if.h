#pragma once
// The answer under other limits than a study was made for, among all its candidates: what was measured, what is likely better and was not,
// and whether one more trial would change the answer.

#include <optional>

#include "base/result.h"
#include "study/posterior.h"
#include "study/summary.h"

namespace polythrottle {

struct WhatIf {
  struct Option {
    Config config;
    Chance chance;
    Forecast predicted;               ///< of the objective's metric
    std::optional<Predicted> saving;  ///< against `best`; absent where there is none, and of `best` itself
  };
  std::optional<Option> best;  ///< measured and known to meet the limits, as Summary::best
  /// The setting worth a trial, never measured. With `best`: the one with the largest expected constrained improvement over it. Without: of
  /// those that meet the limits with P >= kConfidence the one with the best objective; if there is none, that with the largest P. Absent
  /// where everything is measured.
  std::optional<Option> next;
  double expected_gain = 0.0;  ///< what a trial of `next` is expected to save against `best`, relative, limits included; 0 without `best`
  /// No single trial is expected to save as much as `min_gain`: the answer would not change.
  bool settled = false;
  double min_gain = SearchOptions{}.min_gain;
};

/// `summary`: of the study under the other limits. Errors: those of StudyPosterior::of; kOutOfRange if the best setting is no candidate.
Result<WhatIf> what_if(const Summary& summary);

}  // namespace polythrottle
