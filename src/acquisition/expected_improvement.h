#pragma once
// How much one more trial is expected to gain, and whether it may be used.

#include <Eigen/Core>
#include <span>

#include "surrogate/surrogate.h"

namespace polythrottle {

/// ln E[max(best - xi - f, 0)] at m points, for minimisation. `best` and `xi` in the units of the posterior; the expectation too.
/// Returns (m); minus infinity where the posterior is certain and no better. Cost: O(m).
/// Source: Jones, Schonlau & Welch 1998, equation 15; xi after Lizotte 2008.
Eigen::VectorXd log_expected_improvement(const Posterior& posterior, double best, double xi);

/// ln P(f <= limit) at m points. Returns (m); 0 or minus infinity where the posterior is certain. Cost: O(m).
Eigen::VectorXd log_probability_at_most(const Posterior& posterior, double limit);

/// A quantity that must stay at or below a limit (one that must stay above is negated by the caller).
struct ConstraintBelief {
  Posterior posterior;
  double limit = 0.0;  ///< units of the posterior
};

/// ln of the probability that all limits hold, taken as independent; 0 for no limit. `points` is m.
Eigen::VectorXd log_probability_feasible(std::span<const ConstraintBelief> constraints, Eigen::Index points);

/// ln EIC = ln expected improvement + ln probability feasible. Returns (m).
/// Source: Gardner et al. 2014, "Bayesian optimization with inequality constraints", equation 4.
Eigen::VectorXd log_constrained_expected_improvement(const Posterior& objective, double best, double xi,
                                                     std::span<const ConstraintBelief> constraints);

}  // namespace polythrottle
