#include "acquisition/normal_tails.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "base/stats.h"

namespace polythrottle {
namespace {

double density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi); }

/// Simpson's rule; the integrands die within 12 of their origin.
double integrate(const std::function<double(double)>& f, double low, double high) {
  constexpr int kIntervals = 20000;
  const double step = (high - low) / kIntervals;
  double sum = f(low) + f(high);
  for (int i = 1; i < kIntervals; ++i) sum += (i % 2 ? 4.0 : 2.0) * f(low + i * step);
  return sum * step / 3.0;
}

/// ln of sum_k (-1)^k a_k / t^(2k), the asymptotic series, cut at its sixth term.
double log_series(double t, std::initializer_list<double> coefficients) {
  double sum = 0.0, power = 1.0;
  for (double a : coefficients) {
    sum += a * power;
    power /= -t * t;
  }
  return std::log(sum);
}

TEST(LogExpectedPositivePart, MatchesQuadrature) {
  for (double z : {-7.0, -5.0, -4.01, -3.99, -2.0, -0.5, 0.0, 1.0, 3.0, 6.0}) {
    const double expected = integrate([&](double x) { return x * density(x - z); }, 0.0, std::max(0.0, z) + 14.0);
    EXPECT_NEAR(log_expected_positive_part(z), std::log(expected), 1e-9) << z;
  }
}

TEST(LogExpectedPositivePart, MatchesTheAsymptoticSeriesInTheFarTail) {
  for (double t : {30.0, 40.0, 100.0, 1e4}) {
    const double expected =
        -0.5 * t * t - 0.5 * std::log(2.0 * std::numbers::pi) - 2.0 * std::log(t) + log_series(t, {1, 3, 15, 105, 945, 10395});
    EXPECT_NEAR(log_expected_positive_part(-t), expected, 1e-12 * t * t) << t;
  }
}

TEST(LogExpectedPositivePart, ApproachesItsArgumentFarAboveZero) { EXPECT_NEAR(log_expected_positive_part(40.0), std::log(40.0), 1e-15); }

TEST(LogExpectedPositivePart, HasNoStepWhereTheFormulaChanges) {
  const double below = log_expected_positive_part(-4.0 - 1e-9), above = log_expected_positive_part(-4.0 + 1e-9);
  EXPECT_NEAR(below, above, 1e-7);
  EXPECT_LT(below, above);
}

TEST(LogNormalCdf, MatchesTheLogarithmWhereThatExists) {
  for (double z : {-36.0, -20.0, -8.001, -7.999, -4.001, -3.999, -1.0, 0.0, 0.5, 2.0}) {
    EXPECT_NEAR(log_normal_cdf(z), std::log(normal_cdf(z)), 1e-12 * (1.0 + z * z)) << z;
  }
}

TEST(LogNormalCdf, IsFiniteAndExactAtMinusForty) { EXPECT_NEAR(log_normal_cdf(-40.0), -804.6084420137538, 1e-11); }

TEST(LogNormalCdf, MatchesTheAsymptoticSeriesInTheFarTail) {
  for (double t : {30.0, 100.0, 1e6}) {
    const double expected = -0.5 * t * t - 0.5 * std::log(2.0 * std::numbers::pi) - std::log(t) + log_series(t, {1, 1, 3, 15, 105, 945});
    EXPECT_NEAR(log_normal_cdf(-t), expected, 1e-12 * t * t) << t;
  }
}

TEST(LogNormalCdf, KeepsTheSmallDifferenceFromZeroAtTheTop) { EXPECT_NEAR(log_normal_cdf(10.0), -7.619853024160527e-24, 1e-37); }

}  // namespace
}  // namespace polythrottle
