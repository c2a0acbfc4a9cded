#pragma once
// What a history of trials says of every candidate: objective, limits, and which measurements it does not believe. The optimizer
// `polythrottle` chooses by it; other questions of the same study are answered from it.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "acquisition/expected_improvement.h"
#include "optimizer/evidence.h"

namespace polythrottle {

/// Belief about one metric at every candidate, in modelled numbers; noise of measuring excluded.
struct MetricBelief {
  Modelled how;
  Posterior posterior;
};

struct Belief {
  MetricBelief objective;
  std::vector<ConstraintBelief>
      limits;                    ///< Problem.constraints in order, those whose metric was ever seen; then that it runs, if anything did not
  Eigen::VectorXd log_feasible;  ///< (candidates): ln P(all of them hold)
  std::vector<Visit> visits;     ///< by candidate
  std::optional<CandidateId> incumbent;  ///< the least posterior mean of the objective among visits with P > 1/2

  double probability(CandidateId id) const { return std::exp(log_feasible(id)); }

  /// The objective at a few candidates together, in modelled numbers: means (m) and covariance (m, m). Differences between settings are
  /// known far better than each of them. Valid while the believer that made this lives and until it is asked again.
  struct Joint {
    Eigen::VectorXd mean;
    Eigen::MatrixXd covariance;
  };
  Joint joint_objective(std::span<const CandidateId> ids) const;

  std::shared_ptr<const Field> objective_field;  ///< behind `objective`
  int objective_output = 0;                      ///< of that field
  bool objective_flipped = false;                ///< the field has it with the other sign
};

class SpacePrior;

/// Makes beliefs; keeps the prior of the space it saw last, which takes most of the time. Used by one thread.
class Believer {
 public:
  Believer();
  ~Believer();
  Believer(Believer&&) noexcept;

  /// Prior seed: `problem.seed`. The order of `history` does not matter; trials away from the space teach nothing.
  /// Errors: kInvalid where the problem makes no sense (no candidate).
  Result<Belief> operator()(const Problem& problem, std::span<const Trial> history);

 private:
  std::uint64_t key_ = 0;  // of the prior
  std::unique_ptr<SpacePrior> prior_;
};

}  // namespace polythrottle
