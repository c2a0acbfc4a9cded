#pragma once
// Which setting to measure next. Pure: the same problem, history and seed give the same advice; to resume, read the journal.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "space/space.h"
#include "trial/constraint.h"
#include "trial/trial.h"

namespace polythrottle {

struct Problem {
  const Space& space;
  Objective objective;
  std::vector<Constraint> constraints;
  Config reference;
  std::uint64_t seed = 0;
};

struct Recommendation {
  Config config;
  double probability_met = 0.0;  ///< of every constraint together (product)
  bool known_to_meet = false;    ///< probability_met >= kConfidence
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// The next thing to try, or Kind::kStop with the reason ("space exhausted"). `history` holds every trial so far, in order, running and
  /// lost ones included; implementations look at `teaching(history)`. Never proposes a setting that taught something already.
  virtual Result<Advice> ask(const Problem& problem, std::span<const Trial> history) = 0;
};

struct OptimizerDriver {
  std::string_view name;     ///< as in --optimizer
  std::string_view summary;  ///< one line for --help
  std::unique_ptr<Optimizer> (*make)();
  bool exhaustive;  ///< true: without --budget the whole space is measured
};
/// Every file of this folder that ends in a driver constant, in alphabetical order.
std::span<const OptimizerDriver* const> optimizer_drivers();
/// Errors: kInvalid with the list of names.
Result<std::unique_ptr<Optimizer>> make_optimizer(std::string_view name);

/// The best setting visited: the least objective (pooled over repeats) among those with P(all constraints met) >= kConfidence; if there is
/// none, the one with the largest probability, then the least excess over the limits. nullopt if no trial completed with the objective.
std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history);

}  // namespace polythrottle
