#pragma once
// Least squares with unknowns that cannot be negative.

#include <Eigen/Core>

#include "base/result.h"

namespace polythrottle::interference {

struct NonNegativeSolution {
  Eigen::VectorXd x;      ///< at least 0
  double residual = 0.0;  ///< Euclidean norm of the weighted A x - b
};

/// The x >= 0 with the least sum of weights (A x - b)^2, by the active-set method of Lawson and Hanson, "Solving Least Squares Problems"
/// (1974), chapter 23. Where several x are equally good (dependent columns) one of them. `weights`, one per row and at least 0; empty: all
/// are 1. Cost: O(m n^2) once, then O(n^3) for each column that becomes positive; it allocates.
/// Errors: kInvalid for sizes that do not fit, and for numbers that are not finite; kTimeout if it does not end (3 n + 30 columns entered
/// and left), which no problem is known to cause.
Result<NonNegativeSolution> nonnegative_least_squares(const Eigen::MatrixXd& a, const Eigen::VectorXd& b,
                                                      const Eigen::VectorXd& weights = Eigen::VectorXd());

}  // namespace polythrottle::interference
