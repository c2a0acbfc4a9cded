#pragma once
// What counts as found: a latency limit, and the least energy that is possible within it.

#include <string>

#include "bench/search_problem.h"

namespace polythrottle::bench {

/// A limit as written on the command line.
struct SloRule {
  enum class Kind {
    kReferenceFactor,   ///< "1.2x": times the true latency of the reference setting
    kAbsolute,          ///< "mean=20ms"
    kOptimum,           ///< "rel": 1.1 times the latency of the least energy of the whole space
    kPublishedTight,    ///< "tight72": 1.2 times the least latency at batch 1
    kPublishedRelaxed,  ///< "relaxed72": a factor of the board's own, of the least latency at batch 1
  };
  Kind kind = Kind::kReferenceFactor;
  double number = 0.0;  ///< factor or seconds
  std::string text;     ///< as written
};
/// Errors: kInvalid with what is understood.
Result<SloRule> parse_slo_rule(const std::string& text);

struct Goal {
  std::string slo;             ///< as written
  double limit_seconds = 0.0;  ///< before the tolerance of kSlack
  double best_joules = 0.0;    ///< least true energy among the settings within limit and tolerance
  std::size_t near = 0;        ///< settings within the limit and within 5 % of it

  bool meets(const Truth& truth) const;
};
/// Errors: kInvalid where the rule does not apply to the problem; kOutOfRange if no setting meets the limit.
Result<Goal> goal_of(const SearchProblem& problem, const SloRule& rule);

}  // namespace polythrottle::bench
