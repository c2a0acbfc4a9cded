#pragma once
// The step protocol: what is said to a program that lives on through a study, and what it answers. For its authors: docs/command.md.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "space/config.h"

namespace polythrottle {

inline constexpr int kStepVersion = 1;

/// Lines to the program.
std::string say_hello();                            ///< {"polythrottle":1}
std::string say_configure(const Config& config);    ///< {"configure":{"batch":4}}
std::string say_begin(int number, Seconds length);  ///< {"begin":7,"seconds":1.0}
std::string say_end(int number);                    ///< {"end":7}

/// A line of the program's.
struct StepAnswer {
  enum class Kind {
    kNone,        ///< no answer: a log line
    kReady,       ///< {"polythrottle":1}
    kConfigured,  ///< {"configured":true}
    kRefused,     ///< {"refused":"why"}: the setting cannot be
    kFailed,      ///< {"failed":"why"}: it could be, and broke
    kBatch,       ///< {"latency_seconds":0.01,"inferences":4}
    kEnded,       ///< {"ended":7,"inferences":123,"latencies_seconds":[0.01,...]}
  } kind = Kind::kNone;
  int number = 0;                    ///< version, or window
  std::string why;                   ///< of kRefused and kFailed
  std::optional<double> inferences;  ///< kBatch: in it; kEnded: in the window, absent: as the batches say
  std::vector<Seconds> latencies;    ///< kBatch: one; kEnded: those not reported as batches
};
/// Errors: kCorrupt for an answer whose members are not what they must be.
Result<StepAnswer> parse_step_answer(std::string_view line);

}  // namespace polythrottle
