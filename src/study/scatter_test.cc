#include "study/scatter.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle {
namespace {

Trial look(double batch, double joules, std::optional<double> error) {
  Trial t;
  t.state = t.outcome.state = TrialState::kCompleted;
  t.asked = Config{{"batch", batch}};
  t.outcome.metrics[std::string(kEnergy)] = {joules, error, {}, {}};
  return t;
}

TEST(Scatter, IsWhatRepeatsDifferByBeyondTheirOwnErrors) {
  // Two settings, two looks each, 4 % apart: variance 8e-4 of each pair, of which the stated 1e-4 is taken off.
  const double e = 0.01;
  const std::vector<Trial> trials{look(1, std::exp(0.02), e * std::exp(0.02)), look(1, std::exp(-0.02), e * std::exp(-0.02)),
                                  look(2, 5.0 * std::exp(0.02), 5.0 * e * std::exp(0.02)),
                                  look(2, 5.0 * std::exp(-0.02), 5.0 * e * std::exp(-0.02)), look(4, 9.0, 0.09)};
  EXPECT_NEAR(scatter_between_visits(trials, kEnergy), std::sqrt(8e-4 - 1e-4), 1e-9);
}

TEST(Scatter, IsZeroWhereErrorsExplainItOrNobodyLookedTwice) {
  EXPECT_EQ(scatter_between_visits(std::vector{look(1, 1.0, 0.05), look(1, 1.02, 0.05)}, kEnergy), 0.0);
  EXPECT_EQ(scatter_between_visits(std::vector{look(1, 1.0, 0.01), look(2, 2.0, 0.01)}, kEnergy), 0.0);
  EXPECT_EQ(scatter_between_visits(std::vector{look(1, 1.0, {}), look(1, 2.0, {})}, kEnergy), 0.0);
  EXPECT_EQ(scatter_between_visits({}, kEnergy), 0.0);
}

TEST(Scatter, IsAddedToEveryStatedErrorAndToNoOther) {
  std::vector<Trial> trials{look(1, 1.0, 0.001), look(1, 1.05, 0.001), look(2, 3.0, 0.04), look(4, 3.0, {})};
  const double scatter = scatter_between_visits(trials, kEnergy);
  ASSERT_GT(scatter, 0.03);
  add_scatter(trials);
  EXPECT_NEAR(*trials[2].metrics().at(std::string(kEnergy)).std_error, std::hypot(0.04, 3.0 * scatter), 1e-12);
  EXPECT_FALSE(trials[3].metrics().at(std::string(kEnergy)).std_error);
}

}  // namespace
}  // namespace polythrottle
