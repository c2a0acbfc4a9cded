#pragma once
// Belief about the metrics of every candidate.

#include <Eigen/Core>
#include <optional>
#include <span>

#include "base/result.h"

namespace polythrottle {

/// Of one quantity at m points: means (m) and variances (m, never negative), observation noise excluded, in the units of the targets.
struct Posterior {
  Eigen::VectorXd mean;
  Eigen::VectorXd variance;
};

}  // namespace polythrottle
