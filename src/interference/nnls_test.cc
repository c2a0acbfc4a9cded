#include "interference/nnls.h"

#include <gtest/gtest.h>

#include <Eigen/QR>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/sanitized.h"

namespace polythrottle::interference {
namespace {

class Random {
 public:
  explicit Random(std::uint64_t seed) : generator_(seed) {}
  double uniform() { return static_cast<double>(generator_() >> 11) * 0x1p-53; }
  double normal() { return std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(6.283185307179586 * uniform()); }
  Eigen::Index below(int n) { return static_cast<Eigen::Index>(generator_() % static_cast<std::uint64_t>(n)); }

 private:
  std::mt19937_64 generator_;
};

/// The least residual over all sets of columns whose unconstrained solution is not negative. With dependent columns a basic solution of
/// the best face is among them.
double least_by_enumeration(const Eigen::MatrixXd& a, const Eigen::VectorXd& b) {
  double best = b.norm();
  for (unsigned set = 1; set < (1U << a.cols()); ++set) {
    std::vector<Eigen::Index> columns;
    for (Eigen::Index j = 0; j < a.cols(); ++j) {
      if (set & (1U << j)) columns.push_back(j);
    }
    const Eigen::MatrixXd chosen = a(Eigen::all, columns);
    const Eigen::VectorXd x = chosen.colPivHouseholderQr().solve(b);
    if (x.minCoeff() >= -1e-12) best = std::min(best, (chosen * x - b).norm());
  }
  return best;
}

/// Karush, Kuhn and Tucker: no unknown is negative, none that is zero would help, and none that is positive could be better.
void expect_optimal(const Eigen::MatrixXd& a, const Eigen::VectorXd& b, const Eigen::VectorXd& x, int problem) {
  const Eigen::VectorXd gain = a.transpose() * (b - a * x);
  for (Eigen::Index j = 0; j < a.cols(); ++j) {
    const double tolerance = 1e-8 * (1.0 + a.col(j).norm() * b.norm());
    EXPECT_GE(x(j), 0.0) << problem;
    EXPECT_LE(gain(j), tolerance) << problem;
    if (x(j) > 0.0) {
      EXPECT_NEAR(gain(j), 0.0, tolerance) << problem;
    }
  }
}

TEST(NonNegativeLeastSquares, IsTheBestOfAllActiveSets) {
  Random random(1);
  for (int problem = 0; problem < static_cast<int>(repetitions(4000)); ++problem) {
    const Eigen::Index n = 1 + random.below(6), m = 1 + random.below(9);
    Eigen::MatrixXd a(m, n);
    for (Eigen::Index i = 0; i < a.size(); ++i) a.data()[i] = problem % 2 == 0 ? random.normal() : random.uniform();
    Eigen::VectorXd b(m);
    for (Eigen::Index i = 0; i < m; ++i) b(i) = random.normal() + (problem % 5 == 0 ? 2.0 : 0.0);
    // Equal columns, columns that are sums of others, columns of nothing, fewer rows than columns.
    if (problem % 4 == 1 && n > 1) a.col(n - 1) = 2.0 * a.col(0);
    if (problem % 4 == 2 && n > 2) a.col(n - 1) = a.col(0) + a.col(1);
    if (problem % 16 == 3) a.col(random.below(static_cast<int>(n))).setZero();
    const auto solved = nonnegative_least_squares(a, b);
    ASSERT_TRUE(solved) << problem << ": " << solved.error().text();
    expect_optimal(a, b, solved->x, problem);
    EXPECT_NEAR(solved->residual, least_by_enumeration(a, b), 1e-8 * (1.0 + b.norm())) << problem;
    EXPECT_NEAR(solved->residual, (a * solved->x - b).norm(), 1e-12) << problem;
  }
}

TEST(NonNegativeLeastSquares, AgreesWithScipy) {
  std::ifstream file(std::string(POLYTHROTTLE_SOURCE_DIR) + "/src/interference/nnls_test.json");
  const auto json = nlohmann::json::parse(file);
  ASSERT_EQ(json["problems"].size(), 40U);
  for (const auto& problem : json["problems"]) {
    const auto rows = static_cast<Eigen::Index>(problem["a"].size()), columns = static_cast<Eigen::Index>(problem["x"].size());
    Eigen::MatrixXd a(rows, columns);
    Eigen::VectorXd b(rows);
    for (Eigen::Index i = 0; i < rows; ++i) {
      for (Eigen::Index j = 0; j < columns; ++j) a(i, j) = problem["a"][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
      b(i) = problem["b"][static_cast<std::size_t>(i)];
    }
    const auto solved = nonnegative_least_squares(a, b);
    ASSERT_TRUE(solved);
    for (Eigen::Index j = 0; j < columns; ++j) {
      const double x = problem["x"][static_cast<std::size_t>(j)];
      EXPECT_NEAR(solved->x(j), x, 1e-8 * (std::abs(x) + b.norm() / a.col(j).norm()));
    }
    EXPECT_NEAR(solved->residual, problem["residual"].get<double>(), 1e-8 * b.norm());
  }
}

TEST(NonNegativeLeastSquares, AWeightIsThatManyEqualRows) {
  Random random(2);
  for (int problem = 0; problem < 200; ++problem) {
    Eigen::MatrixXd a(6, 3), repeated(12, 3);
    Eigen::VectorXd b(6), weights(6), many(12);
    Eigen::Index at = 0;
    for (Eigen::Index i = 0; i < 6; ++i) {
      for (Eigen::Index j = 0; j < 3; ++j) a(i, j) = random.normal();
      b(i) = random.normal();
      weights(i) = static_cast<double>(1 + i % 3);
      for (int copy = 0; copy < static_cast<int>(weights(i)); ++copy, ++at) repeated.row(at) = a.row(i), many(at) = b(i);
    }
    ASSERT_EQ(at, 12);
    const auto weighted = nonnegative_least_squares(a, b, weights), plain = nonnegative_least_squares(repeated, many);
    ASSERT_TRUE(weighted && plain);
    EXPECT_NEAR((weighted->x - plain->x).norm(), 0.0, 1e-9);
    EXPECT_NEAR(weighted->residual, plain->residual, 1e-9);
  }
}

TEST(NonNegativeLeastSquares, RefusesWhatIsNoProblem) {
  const Eigen::MatrixXd a = Eigen::MatrixXd::Ones(2, 1);
  const Eigen::VectorXd b = Eigen::VectorXd::Ones(2);
  EXPECT_EQ(nonnegative_least_squares(a, Eigen::VectorXd::Ones(3)).error().code, Errc::kInvalid);
  EXPECT_EQ(nonnegative_least_squares(a, b, Eigen::VectorXd::Ones(1)).error().code, Errc::kInvalid);
  EXPECT_EQ(nonnegative_least_squares(a, b, -b).error().code, Errc::kInvalid);
  EXPECT_EQ(nonnegative_least_squares(a * std::numeric_limits<double>::quiet_NaN(), b).error().code, Errc::kInvalid);
  EXPECT_DOUBLE_EQ(nonnegative_least_squares(a, b)->x(0), 1.0);
  EXPECT_DOUBLE_EQ(nonnegative_least_squares(a, -b)->x(0), 0.0);
  EXPECT_EQ(nonnegative_least_squares(Eigen::MatrixXd(0, 0), Eigen::VectorXd(0))->x.size(), 0);
}

}  // namespace
}  // namespace polythrottle::interference
