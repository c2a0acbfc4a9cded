#include "acquisition/expected_improvement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

Posterior posterior(std::initializer_list<double> means, std::initializer_list<double> variances) {
  Posterior result{Eigen::VectorXd(static_cast<Eigen::Index>(means.size())), Eigen::VectorXd(static_cast<Eigen::Index>(variances.size()))};
  std::copy(means.begin(), means.end(), result.mean.begin());
  std::copy(variances.begin(), variances.end(), result.variance.begin());
  return result;
}

TEST(ExpectedImprovement, MatchesQuadratureInTheUnitsOfTheTarget) {
  const double mean = 7.0, stddev = 2.0, best = 6.0, xi = 0.3;
  double expected = 0.0;
  constexpr int kSteps = 200000;
  for (int i = 0; i < kSteps; ++i) {
    const double f = mean + stddev * (-10.0 + 20.0 * (i + 0.5) / kSteps);
    const double u = (f - mean) / stddev;
    expected += std::max(best - xi - f, 0.0) * std::exp(-0.5 * u * u) / std::sqrt(2.0 * std::numbers::pi) * 20.0 / kSteps;
  }
  const Eigen::VectorXd result = log_expected_improvement(posterior({mean}, {stddev * stddev}), best, xi);
  EXPECT_NEAR(result(0), std::log(expected), 1e-8);
}

TEST(ExpectedImprovement, RanksCandidatesThatAreFortyDeviationsAway) {
  const Eigen::VectorXd result = log_expected_improvement(posterior({40.0, 41.0, 4000.0}, {1.0, 1.0, 1.0}), 0.0, 0.0);
  EXPECT_TRUE(result.allFinite());
  EXPECT_GT(result(0), result(1));
  EXPECT_GT(result(1), result(2));
}

TEST(ExpectedImprovement, IsThePlainGainWhereThePosteriorIsCertain) {
  const Eigen::VectorXd result = log_expected_improvement(posterior({1.0, 5.0}, {0.0, 0.0}), 3.0, 0.5);
  EXPECT_DOUBLE_EQ(result(0), std::log(1.5));
  EXPECT_EQ(result(1), kMinusInfinity);
}

TEST(ExpectedImprovement, FallsAsXiGrows) {
  const Posterior p = posterior({1.0}, {1.0});
  EXPECT_GT(log_expected_improvement(p, 1.0, 0.0)(0), log_expected_improvement(p, 1.0, 0.1)(0));
}

TEST(ProbabilityAtMost, IsTheNormalDistributionFunction) {
  const Eigen::VectorXd result = log_probability_at_most(posterior({10.0, 40.0}, {4.0, 1.0}), 12.0);
  EXPECT_NEAR(std::exp(result(0)), normal_cdf(1.0), 1e-14);
  EXPECT_TRUE(std::isfinite(result(1)));
}

TEST(ProbabilityAtMost, IsSureWhereThePosteriorIsCertain) {
  const Eigen::VectorXd result = log_probability_at_most(posterior({1.0, 2.0, 3.0}, {0.0, 0.0, 0.0}), 2.0);
  EXPECT_EQ(result(0), 0.0);
  EXPECT_EQ(result(1), 0.0);
  EXPECT_EQ(result(2), kMinusInfinity);
}

TEST(ConstrainedExpectedImprovement, IsTheProductOfGainAndProbabilities) {
  const Posterior objective = posterior({1.0, 2.0}, {1.0, 4.0});
  const std::vector<ConstraintBelief> constraints{{posterior({0.0, 1.0}, {1.0, 1.0}), 0.5}, {posterior({3.0, 3.0}, {1.0, 4.0}), 2.0}};
  const Eigen::VectorXd result = log_constrained_expected_improvement(objective, 1.5, 0.1, constraints);
  const Eigen::VectorXd gain = log_expected_improvement(objective, 1.5, 0.1);
  EXPECT_NEAR(std::exp(result(0)), std::exp(gain(0)) * normal_cdf(0.5) * normal_cdf(-1.0), 1e-14);
  EXPECT_NEAR(std::exp(result(1)), std::exp(gain(1)) * normal_cdf(-0.5) * normal_cdf(-0.5), 1e-14);
}

TEST(ConstrainedExpectedImprovement, WithoutLimitsIsTheExpectedImprovement) {
  const Posterior objective = posterior({1.0}, {1.0});
  EXPECT_EQ(log_constrained_expected_improvement(objective, 1.0, 0.1, {})(0), log_expected_improvement(objective, 1.0, 0.1)(0));
}

}  // namespace
}  // namespace polythrottle
