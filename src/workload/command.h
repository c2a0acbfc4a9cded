#pragma once
// Any program as work. How it is told what to do and how it answers: docs/command.md.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/launcher.h"
#include "workload/command_line.h"
#include "workload/reading.h"
#include "workload/steadiness.h"
#include "workload/workload.h"

namespace polythrottle {

/// The exit code by which a program says that it cannot run under a setting.
inline constexpr int kExitNotSupported = 3;

struct CommandOptions {
  CommandLine line;
  std::vector<Parameter> parameters;                 ///< its own knobs; other names in `line` are those of the machine
  Reading reading = reading_of("").value();          ///< how its output is understood
  std::map<std::string, CommandLine> environment{};  ///< variables of its own, with knobs in them
  std::vector<std::string> wanted{};                 ///< latencies without which a trial is worth nothing, by metric name
  Seconds window{1};                                 ///< that it is told: {window.seconds}, POLYTHROTTLE_WINDOW_SECONDS
  Seconds patience{30};                              ///< without anything that says how its work goes, before it counts as hung
  Seconds longest_warm_up = kLongestWarmUp;          ///< from its first batch on
  Seconds grace{2};                                  ///< from SIGTERM to SIGKILL
};

/// Closed loop, in one of three manners, as `reading` says. The program finds the setting in its words and as POLYTHROTTLE_NAME, in
/// capitals, in its environment (the machine's knobs too; not in the third manner), and its own variables.
/// - It goes on until it is stopped: started in `warm_up`, it works on through `run` and is stopped by `finish`. Warm-up and run both end
///   with a batch, so that the window holds whole ones. A Completion is one batch, at the time its line was read.
/// - It does one timed part and ends: `warm_up` starts it and ends as that part begins; `run` starts it again until the budget is met. Only
///   the timed parts count (Work::counted).
/// - It is talked to (steps.h): it lives on through the study, until `close`.
/// Errors of warm_up and run: kUnsupported for exit code kExitNotSupported; kIo for any other end; kTimeout; kCorrupt for a report that
/// cannot be right, or one without what is wanted. They quote what it printed last.
/// `clock` and `launcher` must outlive the workload.
std::unique_ptr<Workload> command_workload(Clock& clock, Launcher& launcher, CommandOptions options);

/// The second and the third manner; called by command_workload.
std::unique_ptr<Workload> execution_workload(Clock& clock, Launcher& launcher, CommandOptions options);
std::unique_ptr<Workload> step_workload(Clock& clock, Launcher& launcher, CommandOptions options);

}  // namespace polythrottle
