#include "optimizer/refusal.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle {
namespace {

TEST(RefusalBelief, IsPositiveWhereItBrokeAndNegativeWhereItRan) {
  Eigen::MatrixXd inputs(5, 1);
  inputs << 0.0, 0.25, 0.5, 0.75, 1.0;
  const ConstraintBelief belief = refusal_belief(inputs, {0, 4}, {true, false}, kRefusalLengthScale).value();
  EXPECT_EQ(belief.limit, 0.0);
  EXPECT_NEAR(belief.posterior.mean(0), 1.0, 0.1);
  EXPECT_NEAR(belief.posterior.mean(4), -1.0, 0.1);
  for (Eigen::Index i = 0; i + 1 < 5; ++i) EXPECT_GT(belief.posterior.mean(i), belief.posterior.mean(i + 1));
  const Eigen::VectorXd log_runs = log_probability_at_most(belief.posterior, belief.limit);
  EXPECT_LT(std::exp(log_runs(0)), 0.01);
  EXPECT_GT(std::exp(log_runs(4)), 0.99);
}

TEST(RefusalBelief, IsTheSameOnBothSides) {
  Eigen::MatrixXd inputs(5, 2);
  inputs << 0.0, 0.5, 0.25, 0.5, 0.5, 0.5, 0.75, 0.5, 1.0, 0.5;
  const Posterior middle = refusal_belief(inputs, {2}, {true}, kRefusalLengthScale).value().posterior;
  EXPECT_NEAR(middle.mean(0), middle.mean(4), 1e-12);
  EXPECT_NEAR(middle.mean(1), middle.mean(3), 1e-12);
  EXPECT_NEAR(middle.variance(0), middle.variance(4), 1e-12);
  const Posterior left = refusal_belief(inputs, {0, 4}, {true, false}, kRefusalLengthScale).value().posterior;
  const Posterior right = refusal_belief(inputs, {4, 0}, {true, false}, kRefusalLengthScale).value().posterior;
  EXPECT_LT((left.mean - right.mean.reverse()).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_LT((left.variance - right.variance.reverse()).cwiseAbs().maxCoeff(), 1e-12);
}

TEST(RefusalBelief, ExpectsEverythingToRunBeforeAnythingBroke) {
  Eigen::MatrixXd inputs(3, 1);
  inputs << 0.0, 0.5, 1.0;
  const ConstraintBelief belief = refusal_belief(inputs, {1}, {false}, kRefusalLengthScale).value();
  for (Eigen::Index i = 0; i < 3; ++i) EXPECT_NEAR(belief.posterior.mean(i), -1.0, 1e-12);
}

}  // namespace
}  // namespace polythrottle
