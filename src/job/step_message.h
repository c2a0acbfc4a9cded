#pragma once
// The lines of the step protocol (docs/step-protocol.md), version 1.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "interference/interference.h"

namespace polythrottle::job {

inline constexpr int kStepProtocol = 1;
inline constexpr std::size_t kLongestStepLine = 4096;  ///< bytes, without its end
inline constexpr const char* kStepVariable = "POLYTHROTTLE_STEP_SOCKET";

/// The first line of a job: what a step of it is.
struct StepHello {
  int items = 1;                               ///< of one optimizer step, 1 to 1e6
  std::vector<int> pieces = {1};               ///< descending, `items` first, each a divisor of it and a multiple of the last
  std::optional<long> steps;                   ///< in all, 1 to 1e12; absent: it does not know
  std::optional<interference::WorkCost> cost;  ///< where it says macs, weights, activations and kernels
};
/// It wants to go on, by so many items at most: what is left of its step.
struct StepWant {
  int items = 1;
};
/// It has done what it was let do.
struct StepDone {
  int items = 1;
};
/// It will ask for nothing more.
struct StepEnd {};
using StepMessage = std::variant<StepHello, StepWant, StepDone, StepEnd>;

/// A line without its end. Keys that version 1 does not know are passed over. Errors: kCorrupt saying what is wrong with it; kUnsupported
/// for another version.
Result<StepMessage> parse_step_message(std::string_view line);

/// Lines to the job, with their end.
std::string step_permit(int items);
std::string step_refusal(std::string_view why);

}  // namespace polythrottle::job
