#pragma once
// Exact Gaussian process for one quantity: prior with a constant mean and a stationary kernel, hyper-parameters by maximum likelihood.

#include <Eigen/Core>
#include <optional>

#include "base/result.h"
#include "surrogate/surrogate.h"

namespace polythrottle {

/// With r^2 = sum_j (x_j - x'_j)^2 / length_j^2.
enum class Kernel {
  kMatern52,            ///< (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r): twice differentiable
  kSquaredExponential,  ///< exp(-r^2 / 2): smooth
};

struct GpParameters {
  double mean = 0.0;              ///< of the prior, units of the targets
  double signal_variance = 1.0;   ///< prior variance of the function, units of the targets squared
  double noise_variance = 0.0;    ///< added to every observation, units of the targets squared
  Eigen::VectorXd length_scales;  ///< (d), units of the inputs
};

struct GpOptions {
  struct Range {
    double low = 0.0;
    double high = 0.0;
  };
  Kernel kernel = Kernel::kMatern52;
  std::optional<double> mean;      ///< fixed prior mean, units of the targets; absent: maximum likelihood
  bool fit_noise = true;           ///< false: `noise_variance` for all observations
  double noise_variance = 0.0;     ///< units of the targets squared; unused where the noise is fitted
  Range length_scale{0.05, 20.0};  ///< for inputs in [0, 1]
  Range signal{1e-2, 1e2};         ///< signal variance / sample variance of the targets
  Range noise{1e-6, 1.0};          ///< noise variance / sample variance of the targets
  int max_iterations = 60;         ///< of each start of the fit

  /// Errors: kInvalid, naming the field: ranges must be positive and ascending, the noise variance not negative.
  Status validate() const;
};

struct LogLikelihood {
  double value = 0.0;
  /// (d + 2): with respect to ln length_scales, ln signal_variance and ln noise_variance, the mean held fixed.
  Eigen::VectorXd gradient;
};

/// ln p(targets | inputs, parameters). inputs: (n, d). targets: (n). fixed_noise: (n) variances known for each observation, added to
/// parameters.noise_variance; or empty. n = 0 gives 0. Cost: O(n^3 + n^2 d).
/// Errors: kInvalid for shapes that do not fit, values that are not finite, a negative noise.
/// Source: Rasmussen & Williams 2006, equations 2.30 and 5.9.
Result<LogLikelihood> log_marginal_likelihood(const Eigen::MatrixXd& inputs, const Eigen::VectorXd& targets, const GpParameters& parameters,
                                              Kernel kernel = Kernel::kMatern52, const Eigen::VectorXd& fixed_noise = {});

class GaussianProcess {
 public:
  /// Hyper-parameters by maximum likelihood: the best of three fixed starts, so the same data give the same process; the mean in closed
  /// form for each. With fewer than two different targets nothing can be learnt about scales, and these stay: lengths 0.5, signal variance
  /// 1 (or the square of the one target value), noise 1 % of it unless fixed.
  /// Shapes and errors as `log_marginal_likelihood`, and those of GpOptions::validate. Cost: about 100 times O(n^3 + n^2 d).
  static Result<GaussianProcess> fit(const Eigen::MatrixXd& inputs, const Eigen::VectorXd& targets, const GpOptions& options = {},
                                     const Eigen::VectorXd& fixed_noise = {});

  /// With these hyper-parameters. If the covariance is singular (repeated inputs without noise), the least sufficient jitter is added to
  /// its diagonal. Shapes and errors as `log_marginal_likelihood`. Cost: O(n^3).
  static Result<GaussianProcess> with_parameters(const Eigen::MatrixXd& inputs, const Eigen::VectorXd& targets,
                                                 const GpParameters& parameters, Kernel kernel = Kernel::kMatern52,
                                                 const Eigen::VectorXd& fixed_noise = {});

  /// Posterior of the function at points (m, d), observation noise excluded; the prior if there are no observations.
  /// Cost: O(n^2 m + n m d). Source: Rasmussen & Williams 2006, Algorithm 2.1, lines 4 to 6.
  Posterior predict(const Eigen::MatrixXd& points) const;

  const GpParameters& parameters() const { return parameters_; }

 private:
  GaussianProcess() = default;

  GpParameters parameters_;
  Kernel kernel_ = Kernel::kMatern52;
  Eigen::MatrixXd scaled_inputs_;  // (n, d), divided by the length scales
  Eigen::MatrixXd lower_;          // Cholesky factor of the covariance of the observations
  Eigen::VectorXd weights_;        // K^-1 (y - mean)
};

}  // namespace polythrottle
