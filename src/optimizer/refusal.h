#pragma once
// Where settings are refused or fail: they have no metrics to teach, only that they did not run.

#include <Eigen/Core>
#include <vector>

#include "acquisition/expected_improvement.h"
#include "base/result.h"
#include "surrogate/kernel.h"

namespace polythrottle {

/// How far a refusal is felt, inputs in [0, 1].
inline constexpr double kRefusalLengthScale = 0.5;

/// Belief about "does not run" at every row of `inputs` (m, d), with the limit that makes its probability P(runs). `broken[i]` is what
/// happened at row places[i]. Least-squares classification (Rasmussen & Williams 2006, section 6.5): +1 did not run, -1 ran, prior mean
/// "runs"; too few refusals to fit scales, so these are fixed. Errors: those of GaussianProcess.
inline Result<ConstraintBelief> refusal_belief(const Eigen::MatrixXd& inputs, const std::vector<Eigen::Index>& places,
                                               const std::vector<bool>& broken, double length_scale, Kernel kernel = Kernel::kMatern52) {
  Eigen::VectorXd labels(static_cast<Eigen::Index>(broken.size()));
  for (std::size_t i = 0; i < broken.size(); ++i) labels(static_cast<Eigen::Index>(i)) = broken[i] ? 1.0 : -1.0;
  const GpParameters fixed{.mean = -1.0,
                           .signal_variance = 1.0,
                           .noise_variance = 0.01,
                           .length_scales = Eigen::VectorXd::Constant(inputs.cols(), length_scale)};
  const Eigen::MatrixXd observed = inputs(places, Eigen::all);
  TRY(const GaussianProcess gp, GaussianProcess::with_parameters(observed, labels, fixed, kernel));
  return ConstraintBelief{gp.predict(inputs), 0.0};
}

}  // namespace polythrottle
