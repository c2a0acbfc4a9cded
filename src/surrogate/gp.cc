#include "surrogate/gp.h"

#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "surrogate/bounded_minimum.h"
#include "surrogate/kernel.h"

namespace polythrottle {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Factor = Eigen::LLT<MatrixXd>;

constexpr Index kBlock = 256;  // points predicted at once: block x n doubles stay in the second-level cache
constexpr double kDefaultLength = 0.5;
constexpr double kDefaultNoise = 0.01;

Status check(const MatrixXd& inputs, const VectorXd& targets, const VectorXd& fixed_noise) {
  if (inputs.rows() != targets.size()) {
    return fail(Errc::kInvalid, fmt::format("Gaussian process: {} inputs but {} targets", inputs.rows(), targets.size()));
  }
  if (fixed_noise.size() != 0 && fixed_noise.size() != targets.size()) {
    return fail(Errc::kInvalid, fmt::format("Gaussian process: {} targets but {} noise variances", targets.size(), fixed_noise.size()));
  }
  if (!inputs.allFinite() || !targets.allFinite()) return fail(Errc::kInvalid, "Gaussian process: an input or target is not finite");
  if (!fixed_noise.allFinite() || (fixed_noise.array() < 0.0).any()) {
    return fail(Errc::kInvalid, "Gaussian process: a noise variance is negative or not finite");
  }
  return {};
}

Status check(const GpParameters& parameters, Index dimension) {
  if (parameters.length_scales.size() != dimension) {
    return fail(Errc::kInvalid,
                fmt::format("Gaussian process: {} length scales for {} inputs", parameters.length_scales.size(), dimension));
  }
  const bool positive = (parameters.length_scales.array() > 0.0).all() && parameters.signal_variance > 0.0;
  const bool finite = parameters.length_scales.allFinite() && std::isfinite(parameters.mean + parameters.signal_variance);
  if (!positive || !finite || !(parameters.noise_variance >= 0.0)) {
    return fail(Errc::kInvalid, "Gaussian process: length scales and signal variance must be positive, the noise not negative");
  }
  return {};
}

/// Cholesky factor of a covariance; adds jitter to the diagonal, from 1e-12 of its mean by factors of 10, until it is safely positive.
Factor factorise(MatrixXd covariance) {
  const double scale = covariance.diagonal().mean();
  const double least = 4.0 * std::numeric_limits<double>::epsilon() * static_cast<double>(covariance.rows()) * scale;
  double added = 0.0;
  for (double jitter = 1e-12;; jitter *= 10.0) {
    Factor factor(covariance);
    // A pivot of rounding size passes the library's test and would then be divided by.
    if (factor.info() == Eigen::Success && factor.matrixLLT().diagonal().array().square().minCoeff() > least) return factor;
    if (jitter > 1.0) return factor;
    covariance.diagonal().array() += jitter * scale - added;
    added = jitter * scale;
  }
}

/// The data in the form in which the likelihood wants them many times over: squared differences of every pair, once.
class Likelihood {
 public:
  Likelihood(const MatrixXd& inputs, const VectorXd& targets, const VectorXd& fixed_noise, Kernel kernel)
      : targets_(targets), fixed_noise_(fixed_noise.size() ? fixed_noise : VectorXd::Zero(targets.size())), kernel_(kernel) {
    const Index n = inputs.rows();
    squared_.resize(n * (n - 1) / 2, inputs.cols());
    Index pair = 0;
    for (Index j = 0; j < n; ++j) {
      for (Index i = j + 1; i < n; ++i) squared_.row(pair++) = (inputs.row(i) - inputs.row(j)).array().square();
    }
  }

  /// `mean` replaces parameters.mean; absent: the most likely one. Leaves the mean used in parameters.mean.
  LogLikelihood evaluate(GpParameters& parameters, std::optional<double> mean) const {
    const Index n = targets_.size(), d = squared_.cols();
    const VectorXd inverse_squared = parameters.length_scales.array().square().inverse();
    const VectorXd distance = squared_ * inverse_squared;
    Eigen::ArrayXXd correlation = distance.array();
    correlation_in_place(kernel_, correlation);
    const double signal = parameters.signal_variance;

    MatrixXd covariance(n, n);  // only the lower triangle is read
    covariance.diagonal() = (fixed_noise_.array() + (signal + parameters.noise_variance)).matrix();
    Index pair = 0;
    for (Index j = 0; j < n; ++j) {
      const Index below = n - j - 1;
      covariance.col(j).tail(below) = signal * correlation.col(0).segment(pair, below).matrix();
      pair += below;
    }
    const Factor factor = factorise(std::move(covariance));
    MatrixXd weight = factor.solve(MatrixXd::Identity(n, n));  // K^-1, and further down alpha alpha' - K^-1
    const VectorXd ones = weight.rowwise().sum();
    // By the envelope theorem the gradient is the same whether the mean is fixed or at its best.
    parameters.mean = mean ? *mean : ones.dot(targets_) / ones.sum();
    const VectorXd residual = targets_.array() - parameters.mean;
    const VectorXd alpha = factor.solve(residual);
    weight = alpha * alpha.transpose() - weight;

    LogLikelihood result;
    const double log_determinant = 2.0 * factor.matrixLLT().diagonal().array().log().sum();
    result.value = -0.5 * (residual.dot(alpha) + log_determinant + static_cast<double>(n) * std::log(2.0 * std::numbers::pi));
    VectorXd pairs(squared_.rows());
    pair = 0;
    for (Index j = 0; j < n; ++j) {
      const Index below = n - j - 1;
      pairs.segment(pair, below) = weight.col(j).tail(below);
      pair += below;
    }
    result.gradient.resize(d + 2);
    const VectorXd slope = pairs.array() * correlation_slope(kernel_, distance.array()) * signal;
    result.gradient.head(d) = (squared_.transpose() * slope).cwiseProduct(inverse_squared);
    result.gradient(d) = signal * (0.5 * weight.trace() + (pairs.array() * correlation.col(0)).sum());
    result.gradient(d + 1) = 0.5 * parameters.noise_variance * weight.trace();
    return result;
  }

 private:
  VectorXd targets_;
  VectorXd fixed_noise_;
  Kernel kernel_;
  MatrixXd squared_;  // (n (n - 1) / 2, d)
};

/// Where the search for the best hyper-parameters begins; variances relative to the sample variance.
struct Start {
  double length;
  double noise;
};
constexpr std::array kStarts{Start{0.5, 1e-2}, Start{0.15, 1e-3}, Start{2.0, 1e-1}};

/// Maximum likelihood for targets of unit sample variance.
GpParameters most_likely(const Likelihood& likelihood, Index d, const GpOptions& options, std::optional<double> mean,
                         double noise_variance) {
  const Index free = options.fit_noise ? d + 2 : d + 1;
  const auto unpack = [&](const VectorXd& theta) {
    GpParameters p;
    p.length_scales = theta.head(d).array().exp();
    p.signal_variance = std::exp(theta(d));
    p.noise_variance = options.fit_noise ? std::exp(theta(d + 1)) : noise_variance;
    return p;
  };
  const auto negative = [&](const VectorXd& theta, VectorXd& gradient) {
    GpParameters p = unpack(theta);
    const LogLikelihood l = likelihood.evaluate(p, mean);
    gradient = -l.gradient.head(free);
    return -l.value;
  };
  const auto pack = [&](double length, double signal, double noise) {
    VectorXd theta(free);
    theta.head(d).setConstant(std::log(length));
    theta(d) = std::log(signal);
    if (options.fit_noise) theta(d + 1) = std::log(noise);
    return theta;
  };
  const Box box{pack(options.length_scale.low, options.signal.low, options.noise.low),
                pack(options.length_scale.high, options.signal.high, options.noise.high)};
  std::optional<BoundedMinimum> best;
  for (const Start& start : kStarts) {
    const BoundedMinimum found = minimize_bounded(negative, pack(start.length, 1.0, start.noise), box, options.max_iterations);
    if (!best || found.value < best->value) best = found;
  }
  GpParameters result = unpack(best->x);
  likelihood.evaluate(result, mean);  // sets the mean
  return result;
}

}  // namespace

Status GpOptions::validate() const {
  const auto ascending = [](const Range& range) { return range.low > 0.0 && range.low <= range.high && std::isfinite(range.high); };
  if (!ascending(length_scale)) return fail(Errc::kInvalid, "GpOptions.length_scale: not a positive, ascending range");
  if (!ascending(signal)) return fail(Errc::kInvalid, "GpOptions.signal: not a positive, ascending range");
  if (!ascending(noise)) return fail(Errc::kInvalid, "GpOptions.noise: not a positive, ascending range");
  if (!(noise_variance >= 0.0)) return fail(Errc::kInvalid, "GpOptions.noise_variance: negative");
  if (mean && !std::isfinite(*mean)) return fail(Errc::kInvalid, "GpOptions.mean: not finite");
  if (max_iterations < 1) return fail(Errc::kInvalid, "GpOptions.max_iterations: less than 1");
  return {};
}

Result<LogLikelihood> log_marginal_likelihood(const MatrixXd& inputs, const VectorXd& targets, const GpParameters& parameters,
                                              Kernel kernel, const VectorXd& fixed_noise) {
  TRY_STATUS(check(inputs, targets, fixed_noise));
  TRY_STATUS(check(parameters, inputs.cols()));
  if (targets.size() == 0) return LogLikelihood{0.0, VectorXd::Zero(inputs.cols() + 2)};
  GpParameters copy = parameters;
  return Likelihood(inputs, targets, fixed_noise, kernel).evaluate(copy, parameters.mean);
}

Result<GaussianProcess> GaussianProcess::fit(const MatrixXd& inputs, const VectorXd& targets, const GpOptions& options,
                                             const VectorXd& fixed_noise) {
  TRY_STATUS(options.validate());
  TRY_STATUS(check(inputs, targets, fixed_noise));
  const Index n = targets.size(), d = inputs.cols();
  const double centre = n > 0 ? targets.mean() : 0.0;
  const double spread = n > 1 ? std::sqrt((targets.array() - centre).square().sum() / static_cast<double>(n - 1)) : 0.0;
  // Equal targets leave rounding errors of the mean behind, which are no spread.
  if (!(spread > 1e-12 * std::abs(centre))) {
    GpParameters p;
    p.mean = options.mean.value_or(centre);
    p.signal_variance = centre != 0.0 ? centre * centre : 1.0;
    p.noise_variance = options.fit_noise ? kDefaultNoise * p.signal_variance : options.noise_variance;
    p.length_scales = VectorXd::Constant(d, std::clamp(kDefaultLength, options.length_scale.low, options.length_scale.high));
    return with_parameters(inputs, targets, p, options.kernel, fixed_noise);
  }
  const double variance = spread * spread;
  std::optional<double> mean;
  if (options.mean) mean = (*options.mean - centre) / spread;
  const Likelihood likelihood(inputs, (targets.array() - centre) / spread, fixed_noise / variance, options.kernel);
  GpParameters p = most_likely(likelihood, d, options, mean, options.noise_variance / variance);
  p.mean = centre + spread * p.mean;
  p.signal_variance *= variance;
  p.noise_variance *= variance;
  return with_parameters(inputs, targets, p, options.kernel, fixed_noise);
}

Result<GaussianProcess> GaussianProcess::with_parameters(const MatrixXd& inputs, const VectorXd& targets, const GpParameters& parameters,
                                                         Kernel kernel, const VectorXd& fixed_noise) {
  TRY_STATUS(check(inputs, targets, fixed_noise));
  TRY_STATUS(check(parameters, inputs.cols()));
  GaussianProcess gp;
  gp.parameters_ = parameters;
  gp.kernel_ = kernel;
  const Index n = targets.size();
  gp.scaled_inputs_ = inputs * parameters.length_scales.cwiseInverse().asDiagonal();
  if (n == 0) return gp;
  Eigen::ArrayXXd covariance(n, n);
  for (Index i = 0; i < n; ++i) {
    covariance.col(i) = (gp.scaled_inputs_.rowwise() - gp.scaled_inputs_.row(i)).rowwise().squaredNorm();
  }
  correlation_in_place(kernel, covariance);
  covariance *= parameters.signal_variance;
  covariance.matrix().diagonal().array() += parameters.noise_variance;
  if (fixed_noise.size() != 0) covariance.matrix().diagonal() += fixed_noise;
  const Factor factor = factorise(covariance.matrix());
  gp.lower_ = factor.matrixL();
  gp.weights_ = factor.solve((targets.array() - parameters.mean).matrix());
  return gp;
}

Posterior GaussianProcess::predict(const MatrixXd& points) const {
  const Index m = points.rows(), n = scaled_inputs_.rows(), d = scaled_inputs_.cols();
  Posterior result{VectorXd::Constant(m, parameters_.mean), VectorXd::Constant(m, parameters_.signal_variance)};
  if (n == 0) return result;
  const VectorXd inverse = parameters_.length_scales.cwiseInverse();
  Eigen::ArrayXXd buffer;
  for (Index first = 0; first < m; first += kBlock) {
    const Index count = std::min(kBlock, m - first);
    const MatrixXd block = points.middleRows(first, count) * inverse.asDiagonal();
    buffer.setZero(count, n);
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < d; ++j) buffer.col(i) += (block.col(j).array() - scaled_inputs_(i, j)).square();
    }
    correlation_in_place(kernel_, buffer);
    buffer *= parameters_.signal_variance;
    result.mean.segment(first, count) += buffer.matrix() * weights_;
    MatrixXd solved = buffer.matrix();
    lower_.transpose().triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(solved);
    result.variance.segment(first, count) -= solved.rowwise().squaredNorm();
  }
  result.variance = result.variance.cwiseMax(0.0);
  return result;
}

}  // namespace polythrottle
