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
#include "optimizer/optimizer.h"
#include "surrogate/field.h"

namespace polythrottle {

/// How a metric's values become the numbers that are modelled: less is better, and 0 is the reference.
struct Modelled {
  bool negated = false;   ///< more of the metric is better
  bool logarithm = true;  ///< ln(value / zero); else (value - zero) / scale
  double zero = 1.0;      ///< the metric's unit
  double scale = 1.0;     ///< the metric's unit
  double of(double value) const;
  double deviation(double value, double std_error) const;
  double back(double modelled) const;
};

/// Belief about one metric at every candidate, in modelled numbers; noise of measuring excluded.
struct MetricBelief {
  Modelled how;
  Posterior posterior;
};

/// A setting that was measured.
struct Visit {
  CandidateId id = 0;
  bool complete = false;   ///< the objective is known
  bool broken = false;     ///< refused, failed, or stopped early for no limit's sake
  bool decided = true;     ///< every limit's metric is there, with as large a sample as its percentile needs
  bool doubted = false;    ///< measured once, and so far above what all else says that it should be measured again
  std::size_t looks = 0;   ///< completed trials
  std::size_t trials = 0;  ///< those, and trials that were stopped early, refused or failed
  bool has_error = false;  ///< its trials state an error, so that another look can differ
};

struct Belief {
  MetricBelief objective;
  std::vector<ConstraintBelief> limits;  ///< of Problem.constraints in order, then that it runs at all, if anything has ever not run
  Eigen::VectorXd log_feasible;          ///< (candidates): ln P(all of them hold)
  std::vector<Visit> visits;             ///< by candidate
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
};

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
  struct Prior;
  std::unique_ptr<Prior> prior_;
};

}  // namespace polythrottle
