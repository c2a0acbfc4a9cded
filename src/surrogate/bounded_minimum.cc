#include "surrogate/bounded_minimum.h"

#include <cmath>
#include <vector>

namespace polythrottle {
namespace {

constexpr double kGradientTolerance = 1e-5;
constexpr double kValueTolerance = 1e-9;
constexpr double kLongestStep = 1.0;
constexpr double kSufficientDecrease = 1e-4;
constexpr int kHalvings = 20;

Eigen::VectorXd project(const Eigen::VectorXd& x, const Box& box) { return x.cwiseMax(box.lower).cwiseMin(box.upper); }

/// Coordinates that sit on a bound and would leave the box when following the negative gradient.
std::vector<bool> pinned(const Eigen::VectorXd& x, const Eigen::VectorXd& gradient, const Box& box) {
  std::vector<bool> result(static_cast<std::size_t>(x.size()));
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const bool low = x(i) <= box.lower(i) && gradient(i) > 0.0;
    const bool high = x(i) >= box.upper(i) && gradient(i) < 0.0;
    result[static_cast<std::size_t>(i)] = low || high;
  }
  return result;
}

Eigen::VectorXd without(Eigen::VectorXd v, const std::vector<bool>& left_out) {
  for (Eigen::Index i = 0; i < v.size(); ++i) {
    if (left_out[static_cast<std::size_t>(i)]) v(i) = 0.0;
  }
  return v;
}

void update_inverse_hessian(Eigen::MatrixXd& h, const Eigen::VectorXd& step, const Eigen::VectorXd& change) {
  const double curvature = step.dot(change);
  if (curvature <= 1e-12 * step.norm() * change.norm()) return;  // negative curvature would make h indefinite
  const Eigen::VectorXd hy = h * change;
  const double rho = 1.0 / curvature;
  h += rho * (1.0 + rho * change.dot(hy)) * step * step.transpose() - rho * (hy * step.transpose() + step * hy.transpose());
}

}  // namespace

BoundedMinimum minimize_bounded(const ValueAndGradient& f, const Eigen::VectorXd& start, const Box& box, int max_iterations) {
  const Eigen::Index d = start.size();
  BoundedMinimum best{project(start, box), 0.0, 1};
  Eigen::VectorXd gradient = Eigen::VectorXd::Zero(d), next_gradient = Eigen::VectorXd::Zero(d);
  best.value = f(best.x, gradient);
  if (!std::isfinite(best.value) || !gradient.allFinite()) return best;
  Eigen::MatrixXd inverse_hessian = Eigen::MatrixXd::Identity(d, d);
  bool fresh = true;  // the next update also sets the scale of the inverse Hessian
  for (int iteration = 0; iteration < max_iterations; ++iteration) {
    const std::vector<bool> left_out = pinned(best.x, gradient, box);
    const Eigen::VectorXd free_gradient = without(gradient, left_out);
    if (d == 0 || free_gradient.cwiseAbs().maxCoeff() < kGradientTolerance) break;
    Eigen::VectorXd direction = without(-(inverse_hessian * free_gradient), left_out);
    if (direction.dot(free_gradient) >= 0.0) direction = -free_gradient;
    direction *= std::min(1.0, kLongestStep / direction.cwiseAbs().maxCoeff());

    bool moved = false;
    double length = 1.0;
    for (int halving = 0; halving < kHalvings && !moved; ++halving, length *= 0.5) {
      const Eigen::VectorXd x = project(best.x + length * direction, box);
      const Eigen::VectorXd step = x - best.x;
      const double value = f(x, next_gradient);
      ++best.evaluations;
      if (!std::isfinite(value) || !next_gradient.allFinite()) continue;
      if (value > best.value + kSufficientDecrease * gradient.dot(step)) continue;
      moved = true;
      const Eigen::VectorXd change = next_gradient - gradient;
      if (fresh && step.dot(change) > 0.0) {
        inverse_hessian *= step.dot(change) / change.squaredNorm();
        fresh = false;
      }
      update_inverse_hessian(inverse_hessian, step, change);
      const double gain = best.value - value;
      best.x = x;
      best.value = value;
      gradient = next_gradient;
      if (gain < kValueTolerance * (1.0 + std::abs(value))) return best;
    }
    if (!moved) break;
  }
  return best;
}

}  // namespace polythrottle
