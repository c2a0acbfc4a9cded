#include "surrogate/gp.h"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <numbers>

namespace polythrottle {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Kernel kKernels[] = {Kernel::kMatern52, Kernel::kSquaredExponential};

VectorXd vector(std::initializer_list<double> values) {
  VectorXd result(static_cast<Eigen::Index>(values.size()));
  std::copy(values.begin(), values.end(), result.begin());
  return result;
}

/// n points that fill [0, 1]^d evenly (Weyl sequence), always the same ones.
MatrixXd spread_points(Eigen::Index n, Eigen::Index d) {
  MatrixXd result(n, d);
  for (Eigen::Index j = 0; j < d; ++j) {
    const double step = std::sqrt(2.0 + static_cast<double>(j) * 1.37);
    for (Eigen::Index i = 0; i < n; ++i) result(i, j) = std::fmod(static_cast<double>(i + 1) * step, 1.0);
  }
  return result;
}

VectorXd smooth_surface(const MatrixXd& x) { return (3.0 * x.col(0).array()).sin() + x.col(x.cols() - 1).array().square(); }

GpParameters parameters(double mean, double signal, double noise, VectorXd lengths) { return {mean, signal, noise, std::move(lengths)}; }

double correlation(Kernel kernel, double r) {
  if (kernel == Kernel::kSquaredExponential) return std::exp(-0.5 * r * r);
  return (1.0 + std::sqrt(5.0) * r + 5.0 / 3.0 * r * r) * std::exp(-std::sqrt(5.0) * r);
}

void expect_sane(const Posterior& posterior) {
  EXPECT_TRUE(posterior.mean.allFinite());
  EXPECT_TRUE(posterior.variance.allFinite());
  EXPECT_GE(posterior.variance.minCoeff(), 0.0);
}

TEST(LogMarginalLikelihood, MatchesTheClosedFormForTwoPoints) {
  for (Kernel kernel : kKernels) {
    const MatrixXd x = vector({0.2, 0.7});
    const double a = 2.0 + 0.3, b = 2.0 * correlation(kernel, 0.5 / 0.4), determinant = a * a - b * b;
    const double r0 = 1.0 - 0.5, r1 = -2.0 - 0.5;
    const double quadratic = (a * r0 * r0 - 2.0 * b * r0 * r1 + a * r1 * r1) / determinant;
    const double expected = -0.5 * quadratic - 0.5 * std::log(determinant) - std::log(2.0 * std::numbers::pi);
    const auto result = log_marginal_likelihood(x, vector({1.0, -2.0}), parameters(0.5, 2.0, 0.3, vector({0.4})), kernel);
    ASSERT_TRUE(result) << result.error().text();
    EXPECT_NEAR(result->value, expected, 1e-12);
  }
}

TEST(LogMarginalLikelihood, GradientMatchesFiniteDifferences) {
  const MatrixXd x = spread_points(12, 3);
  const VectorXd y = smooth_surface(x), fixed = VectorXd::LinSpaced(12, 0.0, 0.02);
  const auto at = [&](Kernel kernel, const VectorXd& theta) {
    return log_marginal_likelihood(x, y, parameters(0.2, std::exp(theta(3)), std::exp(theta(4)), theta.head(3).array().exp()), kernel,
                                   fixed);
  };
  for (Kernel kernel : kKernels) {
    const VectorXd theta = vector({std::log(0.3), std::log(0.8), std::log(1.7), std::log(1.4), std::log(0.05)});
    const VectorXd gradient = at(kernel, theta)->gradient;
    ASSERT_EQ(gradient.size(), 5);
    for (Eigen::Index i = 0; i < theta.size(); ++i) {
      constexpr double kStep = 1e-5;
      VectorXd up = theta, down = theta;
      up(i) += kStep;
      down(i) -= kStep;
      const double difference = (at(kernel, up)->value - at(kernel, down)->value) / (2.0 * kStep);
      EXPECT_NEAR(gradient(i), difference, 1e-6 * (1.0 + std::abs(difference))) << i;
    }
  }
}

TEST(LogMarginalLikelihood, IsZeroWithoutData) {
  EXPECT_EQ(log_marginal_likelihood(MatrixXd(0, 2), VectorXd(), parameters(0.0, 1.0, 0.0, vector({1.0, 1.0})))->value, 0.0);
}

TEST(GaussianProcess, PosteriorMatchesAHandComputation) {
  for (Kernel kernel : kKernels) {
    // One observation: mean = m + k (y - m) / (s + noise), variance = s - k^2 / (s + noise).
    const auto gp = GaussianProcess::with_parameters(vector({0.5}), vector({3.0}), parameters(1.0, 2.0, 0.5, vector({0.4})), kernel);
    ASSERT_TRUE(gp);
    const Posterior posterior = gp->predict(vector({0.5, 0.8}));
    const double k = 2.0 * correlation(kernel, 0.3 / 0.4);
    EXPECT_NEAR(posterior.mean(0), 1.0 + 2.0 * 2.0 / 2.5, 1e-14);
    EXPECT_NEAR(posterior.variance(0), 2.0 - 4.0 / 2.5, 1e-14);
    EXPECT_NEAR(posterior.mean(1), 1.0 + k * 2.0 / 2.5, 1e-14);
    EXPECT_NEAR(posterior.variance(1), 2.0 - k * k / 2.5, 1e-14);
  }
}

TEST(GaussianProcess, PosteriorMatchesDenseAlgebraAcrossBlocks) {
  const MatrixXd x = spread_points(9, 4), points = spread_points(600, 4);
  const VectorXd y = smooth_surface(x), fixed = VectorXd::LinSpaced(9, 0.01, 0.09);
  const GpParameters p = parameters(0.3, 1.5, 0.02, vector({0.4, 0.9, 0.6, 2.0}));
  const auto k = [&](const MatrixXd& a, const MatrixXd& b) {
    MatrixXd result(a.rows(), b.rows());
    for (Eigen::Index i = 0; i < a.rows(); ++i) {
      for (Eigen::Index j = 0; j < b.rows(); ++j) {
        const double r = ((a.row(i) - b.row(j)).transpose().array() / p.length_scales.array()).matrix().norm();
        result(i, j) = p.signal_variance * correlation(Kernel::kMatern52, r);
      }
    }
    return result;
  };
  MatrixXd covariance = k(x, x);
  covariance.diagonal().array() += p.noise_variance;
  covariance.diagonal() += fixed;
  const MatrixXd inverse = covariance.inverse(), cross = k(points, x);
  const VectorXd mean = (cross * inverse * (y.array() - p.mean).matrix()).array() + p.mean;
  const VectorXd variance = p.signal_variance - (cross * inverse).cwiseProduct(cross).rowwise().sum().array();

  const Posterior posterior = GaussianProcess::with_parameters(x, y, p, Kernel::kMatern52, fixed)->predict(points);
  EXPECT_LT((posterior.mean - mean).cwiseAbs().maxCoeff(), 1e-11);
  EXPECT_LT((posterior.variance - variance).cwiseAbs().maxCoeff(), 1e-11);
}

TEST(GaussianProcess, FitReachesAStationaryPointOfTheLikelihood) {
  const MatrixXd x = spread_points(25, 2);
  const VectorXd y = 100.0 + 5.0 * smooth_surface(x).array() + 0.3 * (40.0 * spread_points(25, 1).array()).sin();
  const auto gp = GaussianProcess::fit(x, y);
  ASSERT_TRUE(gp);
  const auto likelihood = log_marginal_likelihood(x, y, gp->parameters());
  const GpOptions options;
  const double variance = (y.array() - y.mean()).square().sum() / 24.0;
  for (Eigen::Index i = 0; i < 2; ++i) {
    const double length = gp->parameters().length_scales(i);
    if (length < options.length_scale.high * 0.999 && length > options.length_scale.low * 1.001) {
      EXPECT_NEAR(likelihood->gradient(i), 0.0, 2e-3);
    }
  }
  const double noise = gp->parameters().noise_variance / variance;
  if (noise > options.noise.low * 1.001) {
    EXPECT_NEAR(likelihood->gradient(3), 0.0, 2e-3);
  }
  // The mean is at its best too: moving it either way costs.
  for (double shift : {-1.0, 1.0}) {
    GpParameters moved = gp->parameters();
    moved.mean += shift;
    EXPECT_LT(log_marginal_likelihood(x, y, moved)->value, likelihood->value);
  }
}

TEST(GaussianProcess, FitBeatsTheStartsItBeganAt) {
  const MatrixXd x = spread_points(30, 3);
  const VectorXd y = smooth_surface(x);
  const auto gp = GaussianProcess::fit(x, y);
  const double best = log_marginal_likelihood(x, y, gp->parameters())->value;
  for (double length : {0.15, 0.5, 2.0}) {
    EXPECT_GT(best, log_marginal_likelihood(x, y, parameters(y.mean(), 1.0, 0.01, VectorXd::Constant(3, length)))->value);
  }
}

TEST(GaussianProcess, FitFindsTheInputThatDoesNotMatter) {
  const MatrixXd x = spread_points(30, 2);
  const auto gp = GaussianProcess::fit(x, (5.0 * x.col(0).array()).sin());
  EXPECT_GT(gp->parameters().length_scales(1), 5.0 * gp->parameters().length_scales(0));
}

TEST(GaussianProcess, FitPredictsASmoothSurface) {
  for (Kernel kernel : kKernels) {
    GpOptions options;
    options.kernel = kernel;
    const MatrixXd x = spread_points(40, 2), unseen = spread_points(200, 2).bottomRows(150) * 0.8 + MatrixXd::Constant(150, 2, 0.1);
    const auto gp = GaussianProcess::fit(x, smooth_surface(x), options);
    EXPECT_LT((gp->predict(unseen).mean - smooth_surface(unseen)).cwiseAbs().maxCoeff(), 0.05);
  }
}

TEST(GaussianProcess, FitDoesNotDependOnUnits) {
  const MatrixXd x = spread_points(15, 2);
  const VectorXd y = smooth_surface(x);
  const auto one = GaussianProcess::fit(x, y), thousand = GaussianProcess::fit(x, 1024.0 * y);
  const Posterior a = one->predict(spread_points(20, 2)), b = thousand->predict(spread_points(20, 2));
  EXPECT_LT((1024.0 * a.mean - b.mean).cwiseAbs().maxCoeff(), 1e-8);
  EXPECT_LT((1024.0 * 1024.0 * a.variance - b.variance).cwiseAbs().maxCoeff(), 1e-8);
}

TEST(GaussianProcess, TrustsAnObservationWithLittleNoiseMore) {
  const MatrixXd x = vector({0.4, 0.4});
  const auto gp = GaussianProcess::with_parameters(x, vector({0.0, 1.0}), parameters(0.5, 1.0, 0.0, vector({0.5})), Kernel::kMatern52,
                                                   vector({1.0, 0.01}));
  EXPECT_GT(gp->predict(vector({0.4})).mean(0), 0.95);
}

TEST(GaussianProcess, IsThePriorWithoutData) {
  const auto gp = GaussianProcess::fit(MatrixXd(0, 3), VectorXd());
  ASSERT_TRUE(gp);
  const Posterior posterior = gp->predict(spread_points(4, 3));
  EXPECT_TRUE((posterior.mean.array() == 0.0).all());
  EXPECT_TRUE((posterior.variance.array() == 1.0).all());
}

TEST(GaussianProcess, SurvivesASingleObservation) {
  const auto gp = GaussianProcess::fit(spread_points(1, 2), vector({5.0}));
  ASSERT_TRUE(gp);
  const Posterior posterior = gp->predict(spread_points(5, 2));
  expect_sane(posterior);
  EXPECT_NEAR(posterior.mean(0), 5.0, 1e-9);
  EXPECT_LT(posterior.variance(0), posterior.variance(1));
}

TEST(GaussianProcess, SurvivesEqualTargets) {
  const MatrixXd x = spread_points(10, 2);
  for (double value : {0.0, 0.1, -3e9}) {
    const auto gp = GaussianProcess::fit(x, VectorXd::Constant(10, value));
    ASSERT_TRUE(gp);
    const Posterior posterior = gp->predict(spread_points(50, 2));
    expect_sane(posterior);
    EXPECT_NEAR(posterior.mean(40), value, 1e-9 * (1.0 + std::abs(value)));
    EXPECT_GT(posterior.variance(40), 0.0);
  }
}

TEST(GaussianProcess, SurvivesRepeatedInputsWithoutNoise) {
  MatrixXd x = spread_points(12, 2);
  x.bottomRows(6) = x.topRows(6);
  VectorXd y = smooth_surface(x);
  GpOptions options;
  options.fit_noise = false;
  for (double disagreement : {0.0, 0.5}) {
    y(11) += disagreement;
    const auto gp = GaussianProcess::fit(x, y, options);
    ASSERT_TRUE(gp);
    expect_sane(gp->predict(spread_points(60, 2)));
  }
  const auto same = GaussianProcess::with_parameters(MatrixXd::Constant(5, 2, 0.5), VectorXd::LinSpaced(5, 0.0, 1.0),
                                                     parameters(0.0, 1.0, 0.0, vector({0.5, 0.5})));
  ASSERT_TRUE(same);
  expect_sane(same->predict(spread_points(9, 2)));
}

TEST(GaussianProcess, SurvivesAnInputThatNeverChanges) {
  MatrixXd x = spread_points(8, 2);
  x.col(1).setZero();
  const auto gp = GaussianProcess::fit(x, smooth_surface(x));
  ASSERT_TRUE(gp);
  expect_sane(gp->predict(x));
}

TEST(GaussianProcess, ReproducesItsDataWithoutNoiseAndNeverHasNegativeVariance) {
  const MatrixXd x = spread_points(30, 2);
  const VectorXd y = smooth_surface(x);
  const auto gp = GaussianProcess::with_parameters(x, y, parameters(0.0, 1.0, 0.0, vector({5.0, 5.0})), Kernel::kSquaredExponential);
  const Posterior posterior = gp->predict(x);
  expect_sane(posterior);
  EXPECT_LT((posterior.mean - y).cwiseAbs().maxCoeff(), 1e-2);
}

TEST(GaussianProcess, KeepsAFixedMeanAndFixedNoise) {
  const MatrixXd x = spread_points(10, 2);
  GpOptions options;
  options.mean = 7.0;
  options.fit_noise = false;
  options.noise_variance = 0.125;
  const auto gp = GaussianProcess::fit(x, smooth_surface(x), options);
  EXPECT_NEAR(gp->parameters().mean, 7.0, 1e-12);
  EXPECT_NEAR(gp->parameters().noise_variance, 0.125, 1e-12);
}

TEST(GaussianProcess, RefusesMalformedData) {
  const MatrixXd x = spread_points(3, 2);
  EXPECT_EQ(GaussianProcess::fit(x, VectorXd::Zero(2)).error().code, Errc::kInvalid);
  EXPECT_EQ(GaussianProcess::fit(x, vector({1.0, NAN, 2.0})).error().code, Errc::kInvalid);
  EXPECT_EQ(GaussianProcess::fit(x, VectorXd::Zero(3), {}, VectorXd::Constant(2, 1.0)).error().code, Errc::kInvalid);
  EXPECT_EQ(GaussianProcess::fit(x, VectorXd::Zero(3), {}, VectorXd::Constant(3, -1.0)).error().code, Errc::kInvalid);
  EXPECT_EQ(GaussianProcess::with_parameters(x, VectorXd::Zero(3), parameters(0.0, 1.0, 0.0, vector({1.0}))).error().code, Errc::kInvalid);
}

TEST(GpOptions, NamesTheFieldThatIsWrong) {
  GpOptions options;
  EXPECT_TRUE(options.validate());
  options.noise.low = 0.0;
  EXPECT_NE(options.validate().error().what.find("noise"), std::string::npos);
  options = {};
  options.length_scale = {2.0, 1.0};
  EXPECT_NE(options.validate().error().what.find("length_scale"), std::string::npos);
  options = {};
  options.max_iterations = 0;
  EXPECT_FALSE(options.validate());
}

}  // namespace
}  // namespace polythrottle
