#include "acquisition/expected_improvement.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "acquisition/normal_tails.h"

namespace polythrottle {

Eigen::VectorXd log_expected_improvement(const Posterior& posterior, double best, double xi) {
  Eigen::VectorXd result(posterior.mean.size());
  for (Eigen::Index i = 0; i < result.size(); ++i) {
    const double improvement = best - xi - posterior.mean(i), stddev = std::sqrt(posterior.variance(i));
    result(i) = stddev > 0.0 ? std::log(stddev) + log_expected_positive_part(improvement / stddev) : std::log(std::max(improvement, 0.0));
  }
  return result;
}

Eigen::VectorXd log_probability_at_most(const Posterior& posterior, double limit) {
  Eigen::VectorXd result(posterior.mean.size());
  for (Eigen::Index i = 0; i < result.size(); ++i) {
    const double room = limit - posterior.mean(i), stddev = std::sqrt(posterior.variance(i));
    const double certain = room >= 0.0 ? 0.0 : -std::numeric_limits<double>::infinity();
    result(i) = stddev > 0.0 ? log_normal_cdf(room / stddev) : certain;
  }
  return result;
}

Eigen::VectorXd log_probability_feasible(std::span<const ConstraintBelief> constraints, Eigen::Index points) {
  Eigen::VectorXd result = Eigen::VectorXd::Zero(points);
  for (const ConstraintBelief& constraint : constraints) result += log_probability_at_most(constraint.posterior, constraint.limit);
  return result;
}

Eigen::VectorXd log_constrained_expected_improvement(const Posterior& objective, double best, double xi,
                                                     std::span<const ConstraintBelief> constraints) {
  return log_expected_improvement(objective, best, xi) + log_probability_feasible(constraints, objective.mean.size());
}

}  // namespace polythrottle
