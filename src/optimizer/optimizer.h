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

/// How far from what is known to meet the limits the search may go.
enum class Explore {
  kSafe,    ///< where P(every limit holds) is high; elsewhere only for much more gain, the price of a broken limit paid
  kStrict,  ///< never anywhere else: stops instead
  kBold,    ///< wherever most is expected
};
const char* to_string(Explore explore);
/// "safe", "strict", "bold". Errors: kInvalid with the list.
Result<Explore> parse_explore(std::string_view text);

/// What another study measured, used as prior knowledge: always relative to that study's own reference, knobs matched by name and role.
struct EarlierStudy {
  std::string name;  ///< for people
  std::vector<Parameter> parameters;
  Config reference;
  std::vector<Trial> history;
};

/// How the user wants the search to go on. Honoured by drivers that are `steered`; the others ignore it.
struct SearchOptions {
  Explore explore = Explore::kSafe;
  double min_gain = 0.004;                   ///< stop when one more trial is expected to save less, relative; 0: only when all is measured
  std::optional<double> horizon_inferences;  ///< stop when one more trial costs more energy than it is expected to save within so many
  std::vector<EarlierStudy> earlier;
};

struct Problem {
  const Space& space;
  Objective objective;
  std::vector<Constraint> constraints;
  Config reference;
  std::uint64_t seed = 0;
  SearchOptions search = {};
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
  /// lost ones included; implementations look at `teaching(history)`. Never tries a setting that taught something already;
  /// kVerify advice, a second look at a setting that did, may come from implementations that re-measure what they doubt.
  virtual Result<Advice> ask(const Problem& problem, std::span<const Trial> history) = 0;
  /// The setting it would use now. Default: `polythrottle::recommend`, from what was measured alone.
  virtual std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history);
};

struct OptimizerDriver {
  std::string_view name;     ///< as in --optimizer
  std::string_view summary;  ///< one line for --help
  std::unique_ptr<Optimizer> (*make)();
  bool exhaustive = false;  ///< true: without --budget the whole space is measured
  bool steered = false;     ///< true: honours SearchOptions
};
/// Every file of this folder that ends in a driver constant, in alphabetical order.
std::span<const OptimizerDriver* const> optimizer_drivers();
/// Errors: kInvalid with the list of names.
Result<std::unique_ptr<Optimizer>> make_optimizer(std::string_view name);

/// The best setting visited: the least objective (pooled over repeats) among those with P(all constraints met) >= kConfidence; if there is
/// none, the one with the largest probability, then the least excess over the limits. nullopt if no trial completed with the objective.
std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history);

}  // namespace polythrottle
