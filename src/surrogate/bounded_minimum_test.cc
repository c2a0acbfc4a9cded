#include "surrogate/bounded_minimum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace polythrottle {
namespace {

double rosenbrock(const Eigen::VectorXd& x, Eigen::VectorXd& gradient) {
  const double a = 1.0 - x(0), b = x(1) - x(0) * x(0);
  gradient << -2.0 * a - 400.0 * x(0) * b, 200.0 * b;
  return a * a + 100.0 * b * b;
}

Box box(double lower, double upper, Eigen::Index d) { return {Eigen::VectorXd::Constant(d, lower), Eigen::VectorXd::Constant(d, upper)}; }

TEST(BoundedMinimum, FindsTheBottomOfRosenbrocksValley) {
  const BoundedMinimum result = minimize_bounded(rosenbrock, Eigen::Vector2d(-1.2, 1.0), box(-5, 5, 2), 200);
  EXPECT_NEAR(result.x(0), 1.0, 1e-4);
  EXPECT_NEAR(result.x(1), 1.0, 1e-4);
  EXPECT_LT(result.evaluations, 200);
}

TEST(BoundedMinimum, StopsOnTheBoundWhenTheMinimumLiesOutside) {
  const BoundedMinimum result = minimize_bounded(rosenbrock, Eigen::Vector2d(0.0, 0.4), box(-0.5, 0.5, 2), 200);
  EXPECT_DOUBLE_EQ(result.x(0), 0.5);
  EXPECT_NEAR(result.x(1), 0.25, 1e-4);
}

TEST(BoundedMinimum, BringsAStartOutsideTheBoxIntoIt) {
  const BoundedMinimum result = minimize_bounded(rosenbrock, Eigen::Vector2d(90.0, -90.0), box(-2, 2, 2), 300);
  EXPECT_NEAR(result.x(0), 1.0, 1e-3);
}

TEST(BoundedMinimum, StepsBackFromWhereTheFunctionIsNotFinite) {
  const auto logarithm = [](const Eigen::VectorXd& x, Eigen::VectorXd& gradient) {
    gradient(0) = 1.0 - 0.01 / x(0);
    return x(0) > 0.0 ? x(0) - 0.01 * std::log(x(0)) : std::numeric_limits<double>::quiet_NaN();
  };
  const BoundedMinimum result = minimize_bounded(logarithm, Eigen::VectorXd::Constant(1, 3.0), box(-10, 10, 1), 200);
  EXPECT_NEAR(result.x(0), 0.01, 1e-4);
}

TEST(BoundedMinimum, ReturnsTheStartWhereNothingIsFinite) {
  const auto nowhere = [](const Eigen::VectorXd&, Eigen::VectorXd& gradient) {
    gradient.setZero();
    return std::numeric_limits<double>::infinity();
  };
  const BoundedMinimum result = minimize_bounded(nowhere, Eigen::VectorXd::Constant(1, 0.25), box(0, 1, 1), 50);
  EXPECT_DOUBLE_EQ(result.x(0), 0.25);
}

}  // namespace
}  // namespace polythrottle
