#pragma once
// Any program as work: it prints one line for each batch it has finished. The protocol for its authors: docs/command.md.

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "host/launcher.h"
#include "workload/command_line.h"
#include "workload/steadiness.h"
#include "workload/workload.h"

namespace polythrottle {

/// The exit code by which a program says that it cannot run under a setting.
inline constexpr int kExitNotSupported = 3;

/// One line of the protocol: {"latency_seconds": 0.0123, "inferences": 4}. Other members are ignored.
struct BatchReport {
  Seconds latency{0};
  std::optional<std::size_t> inferences;  ///< nullopt: not said
};
/// Nothing for a line that is no JSON object or has no latency_seconds. Errors: kCorrupt for a latency that is no number of seconds above
/// zero, or inferences that are no whole number from 1.
Result<std::optional<BatchReport>> parse_batch_report(std::string_view line);

struct CommandOptions {
  CommandLine line;
  std::vector<Parameter> parameters;         ///< its own knobs; other names in `line` are those of the machine
  Seconds patience{30};                      ///< without a batch, before the command counts as hung
  Seconds longest_warm_up = kLongestWarmUp;  ///< from its first batch on
  Seconds grace{2};                          ///< from SIGTERM to SIGKILL
};

/// Closed loop. The program is started in `warm_up`, under the new setting, goes on through `run`, and is stopped by `finish`. Warm-up and
/// run both end with a batch, so that the window holds whole ones. A Completion is one batch, at the time its line was read; its inferences
/// are those reported, else the level of `batch`, else 1. It finds the setting in its words and as POLYTHROTTLE_NAME, in capitals, in its
/// environment (the machine's knobs too). Errors of warm_up and run: kUnsupported for exit code kExitNotSupported; kIo for any other end;
/// kTimeout; kCorrupt for a report that cannot be right. They quote what it printed last.
/// `clock` and `launcher` must outlive the workload.
std::unique_ptr<Workload> command_workload(Clock& clock, Launcher& launcher, CommandOptions options);

}  // namespace polythrottle
