#pragma once
// What fake_command can stand in for beside a program of its own: tools that do one timed part and end, and one that is talked to.

#include <string>

namespace fake {

struct Task {
  int batch = 1;
  double latency = 2e-3;  ///< seconds of a batch
  double load = 0.0;      ///< seconds before it begins
  double duration = 0.1;  ///< seconds of its timed part
};

/// Works for so long: a quarter of the time on the CPU.
void work(double seconds);
double now();

/// Prints as the tool does; the exit code, or -1 for a mode that is none of these.
///   trtexec, trtexec-8.4 (one percentile), perf_analyzer, llama-bench, llama-bench-2 (two tests), no-begin, no-count, never
int print_like(const std::string& mode, const Task& task);

/// Speaks the step protocol on standard input and output; the exit code. `how`: steps (ends a window by itself, with all latencies),
/// steps-batches (works until told, a line for each batch), and those that do it wrong: steps-dies, steps-deaf, steps-wrong, steps-mute,
/// steps-refuses (batch 4), steps-fails (batch 4), steps-version
int speak(const std::string& how, const Task& task);

}  // namespace fake
