#include "base/stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace polythrottle {
namespace {

TEST(Normal, CdfAndQuantileAgreeWithTables) {
  EXPECT_NEAR(normal_cdf(1.959963984540054), 0.975, 1e-12);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-9);
  EXPECT_NEAR(normal_quantile(0.5), 0.0, 1e-9);
  EXPECT_GT(normal_cdf(-37.0), 0.0);
}

TEST(Quantile, InterpolatesBetweenOrderStatistics) {
  const std::vector<double> x{1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(sorted_quantile(x, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(sorted_quantile(x, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(sorted_quantile(x, 1.0), 4.0);
  EXPECT_DOUBLE_EQ(sorted_quantile(x, 0.95), 3.85);
}

TEST(Quantile, NeedsTheSamplesOfTheDefinitions) {
  EXPECT_EQ(minimum_quantile_sample(0.95), 59U);
  EXPECT_EQ(minimum_quantile_sample(0.99), 299U);
}

TEST(Quantile, StandardErrorAgreesWithRepeatedSampling) {
  std::mt19937_64 random(3);
  std::exponential_distribution<double> exponential(1.0);
  std::vector<double> p95s, stated;
  for (int repeat = 0; repeat < 400; ++repeat) {
    std::vector<double> x(400);
    for (double& v : x) v = exponential(random);
    std::sort(x.begin(), x.end());
    p95s.push_back(sorted_quantile(x, 0.95));
    stated.push_back(*sorted_quantile_std_error(x, 0.95));
  }
  EXPECT_NEAR(mean(stated) / std::sqrt(variance(p95s)), 1.0, 0.15);
}

TEST(StudentQuantile, AgreesWithPublishedTables) {
  // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: upper critical values, to three digits behind the point.
  const struct {
    double degrees, at_975, at_95;
  } rows[]{{1, 12.706, 6.314}, {2, 4.303, 2.920},  {3, 3.182, 2.353},  {4, 2.776, 2.132},
           {9, 2.262, 1.833},  {30, 2.042, 1.697}, {100, 1.984, 1.660}};
  for (const auto& row : rows) {
    EXPECT_NEAR(student_quantile(0.975, row.degrees), row.at_975, 6e-4) << row.degrees;
    EXPECT_NEAR(student_quantile(0.95, row.degrees), row.at_95, 6e-4) << row.degrees;
    EXPECT_NEAR(student_quantile(0.05, row.degrees), -row.at_95, 6e-4) << row.degrees;
  }
  EXPECT_NEAR(student_quantile(0.5, 5.0), 0.0, 1e-9);
}

TEST(StudentQuantile, HasClosedFormsForOneAndTwoDegrees) {
  for (const double p : {0.6, 0.9, 0.975, 0.9999}) {
    EXPECT_NEAR(student_quantile(p, 1.0) / std::tan(M_PI * (p - 0.5)), 1.0, 1e-8) << p;
    EXPECT_NEAR(student_quantile(p, 2.0) / ((2.0 * p - 1.0) / std::sqrt(2.0 * p * (1.0 - p))), 1.0, 1e-8) << p;
  }
}

TEST(StudentQuantile, BecomesTheNormalOne) {
  for (const double degrees : {1e5, 1e7, 1e9, static_cast<double>(INFINITY)})
    EXPECT_NEAR(student_quantile(0.975, degrees), 1.959964, 3e-5) << degrees;
  double before = INFINITY;
  for (double degrees = 0.5; degrees < 1e8; degrees *= 1.7) {
    const double now = student_quantile(0.975, degrees);
    EXPECT_LT(now, before + 1e-9) << degrees;
    before = now;
  }
}

TEST(Binomial, TailAgreesWithHandComputedValues) {
  EXPECT_NEAR(binomial_cdf(0, 59, 0.05), std::pow(0.95, 59), 1e-12);
  EXPECT_NEAR(binomial_cdf(1, 2, 0.5), 0.75, 1e-12);
  EXPECT_EQ(binomial_cdf(5, 5, 0.3), 1.0);
}

TEST(RatioStdError, AgreesWithRepeatedSampling) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> noise(0.0, 1.0);
  std::vector<double> ratios, stated;
  for (int repeat = 0; repeat < 500; ++repeat) {
    std::vector<double> energy, count;
    double e = 0, n = 0;
    for (int block = 0; block < 20; ++block) {
      count.push_back(50.0 + std::round(3.0 * noise(random)));
      energy.push_back(2.0 * count.back() + 5.0 * noise(random));
      e += energy.back(), n += count.back();
    }
    ratios.push_back(e / n);
    stated.push_back(*ratio_std_error(energy, count));
  }
  EXPECT_NEAR(mean(stated) / std::sqrt(variance(ratios)), 1.0, 0.12);
  EXPECT_FALSE(ratio_std_error(std::vector<double>{1, 2}, std::vector<double>{1, 2}));
}

}  // namespace
}  // namespace polythrottle
