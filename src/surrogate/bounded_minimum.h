#pragma once
// Minimum of a smooth function inside a box: what fitting hyper-parameters needs.

#include <Eigen/Core>
#include <functional>

namespace polythrottle {

/// Value at x (d); writes the gradient (d, already sized). A value that is not finite means "not here".
using ValueAndGradient = std::function<double(const Eigen::VectorXd& x, Eigen::VectorXd& gradient)>;

struct Box {
  Eigen::VectorXd lower;  ///< (d)
  Eigen::VectorXd upper;  ///< (d), at least `lower`
};

struct BoundedMinimum {
  Eigen::VectorXd x;
  double value = 0.0;
  int evaluations = 0;
};

/// A local minimum of f in the box by projected BFGS with backtracking; deterministic. Stops when the projected gradient is below 1e-5 in
/// every coordinate, when a step gains less than 1e-9 (1 + |f|), or after `max_iterations`. No coordinate moves by more than 1 in a step:
/// the coordinates are meant to be logarithms.
/// Cost: about one evaluation and O(d^2) for an iteration. Source: Bertsekas 1982, "Projected Newton methods", two-metric projection.
BoundedMinimum minimize_bounded(const ValueAndGradient& f, const Eigen::VectorXd& start, const Box& box, int max_iterations);

}  // namespace polythrottle
