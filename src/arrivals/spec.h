#pragma once
// Arrivals as people write them.

#include <optional>
#include <string>
#include <string_view>

#include "arrivals/arrivals.h"

namespace polythrottle {

/// "uniform", "poisson", "FILE" (a trace) or "FILE#bursty" (its burstiest segment). A file that is called like a word is "./poisson".
struct ArrivalSpec {
  enum class Kind { kUniform, kPoisson, kTrace, kBurstySegment };
  Kind kind = Kind::kPoisson;
  std::string path;  ///< of the traces

  /// Errors: kInvalid for no text, or no file before "#bursty".
  static Result<ArrivalSpec> parse(std::string_view text);
  /// What `parse` reads.
  std::string text() const;

  /// The schedule. `rate` in requests a second: needed by uniform and poisson; a trace keeps its own without. `segment`: how long a bursty
  /// segment is; it is played again when it ends, as every trace is. Errors: kInvalid without a needed rate, and those of Arrivals.
  Result<Arrivals> open(std::optional<double> rate, std::uint64_t seed, Seconds segment = Seconds(30.0)) const;
};

}  // namespace polythrottle
