#pragma once
// What is asked of a stored study: which file, and under which limits.

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "study/summary.h"

namespace polythrottle {

struct Question {
  std::string study;                     ///< file
  std::string slo;                       ///< as typed; empty: the study's own
  std::vector<std::string> constraints;  ///< as typed; with a new SLO, or with any of these, the study's own do not count
};

/// Adds STUDY, --slo and --constraint, bound to `question`, which must outlive `command`.
void bind_question(CLI::App& command, Question& question);

/// The other limits asked about; nullopt: none. Without an SLO among them the study's own is still to be put first. Errors: kInvalid.
Result<std::optional<std::vector<ConstraintSpec>>> other_limits(const Question& question);

/// The summary of the study under those limits. Errors: those of reading the file.
Result<Summary> summarize_file(const Question& question, std::optional<std::vector<ConstraintSpec>> limits);

}  // namespace polythrottle
