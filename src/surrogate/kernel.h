#pragma once
// Correlation functions of the Gaussian process, for whole arrays at once.

#include <Eigen/Core>
#include <cmath>

#include "surrogate/gp.h"

namespace polythrottle {

/// Correlation at squared scaled distances (values >= 0); same shape.
inline void correlation_in_place(Kernel kernel, Eigen::Ref<Eigen::ArrayXXd> squared) {
  if (kernel == Kernel::kSquaredExponential) {
    squared = (-0.5 * squared).exp();
    return;
  }
  // The root is evaluated into memory: an expression would take it three times.
  Eigen::ArrayXXd root = (5.0 * squared).sqrt();
  squared = (1.0 + root + (5.0 / 3.0) * squared) * (-root).exp();
}

/// -2 d correlation / d (r^2), so that d correlation / d ln length_j = slope * (x_j - x'_j)^2 / length_j^2. Finite at r = 0.
inline Eigen::ArrayXd correlation_slope(Kernel kernel, const Eigen::ArrayXd& squared) {
  if (kernel == Kernel::kSquaredExponential) return (-0.5 * squared).exp();
  const Eigen::ArrayXd root = (5.0 * squared).sqrt();
  return (5.0 / 3.0) * (1.0 + root) * (-root).exp();
}

}  // namespace polythrottle
