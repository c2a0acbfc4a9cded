#pragma once
// A trial as a machine would have measured it: the truth, and what measuring adds.

#include <cstdint>
#include <string>

#include "bench/search_goal.h"
#include "trial/trial.h"

namespace polythrottle::bench {

/// Relative standard deviations of log-normal errors. They are also what the trial reports as its standard errors.
struct Noise {
  double energy = 0.0;
  double latency = 0.0;
  bool outliers = false;  ///< 5 % of trials are disturbed, unannounced: latency x F, F in U(1.05, 1.40), and energy x F^U(0, 1)
};

/// What --noise asked for.
struct NoiseRule {
  enum class Kind {
    kPublished,  ///< the problem's own energy noise, 1 % of latency, outliers
    kFixed,      ///< `fixed`, for every problem
  };
  Kind kind = Kind::kPublished;
  Noise fixed;
  std::string text;  ///< as written

  Noise of(const SearchProblem& problem) const;
};
/// "published", "none", or "ENERGY,LATENCY" as relative standard deviations ("0.02,0.01" or "2%,1%"; no outliers). Errors: kInvalid.
Result<NoiseRule> parse_noise(const std::string& text);

/// What decides a trial's noise: nothing that a method does, so that every method meets the same noise in its n-th trial.
struct NoiseSeed {
  std::uint64_t seed = 0;
  std::uint64_t problem = 0;
  std::uint64_t trial = 0;
};

/// Trial number `seed.trial` (1, 2, ...) at `advice.config`, completed.
/// `stop_early`: exploration that measurably breaks the limit, by more than three reported errors, is aborted and gives its latency alone.
Trial noisy_trial(const SearchProblem& problem, const Goal& goal, const Noise& noise, const NoiseSeed& seed, const Advice& advice,
                  bool stop_early);

}  // namespace polythrottle::bench
