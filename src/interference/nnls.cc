#include "interference/nnls.h"

#include <Eigen/QR>
#include <limits>
#include <string>
#include <vector>

namespace polythrottle::interference {
namespace {

/// The unconstrained least squares over some columns; zero elsewhere. Rank-revealing, so that dependent columns are no harm.
Eigen::VectorXd solve_over(const Eigen::MatrixXd& a, const Eigen::VectorXd& b, const std::vector<bool>& passive) {
  std::vector<Eigen::Index> columns;
  for (Eigen::Index j = 0; j < a.cols(); ++j) {
    if (passive[static_cast<std::size_t>(j)]) columns.push_back(j);
  }
  Eigen::VectorXd x = Eigen::VectorXd::Zero(a.cols());
  const Eigen::MatrixXd chosen = a(Eigen::all, columns);
  const Eigen::VectorXd solved = chosen.colPivHouseholderQr().solve(b);
  for (std::size_t k = 0; k < columns.size(); ++k) x(columns[k]) = solved(static_cast<Eigen::Index>(k));
  return x;
}

Status check(const Eigen::MatrixXd& a, const Eigen::VectorXd& b, const Eigen::VectorXd& weights) {
  if (b.size() != a.rows()) {
    return fail(Errc::kInvalid, "least squares: " + std::to_string(a.rows()) + " rows and " + std::to_string(b.size()) + " right sides");
  }
  if (weights.size() != 0 && weights.size() != a.rows()) return fail(Errc::kInvalid, "least squares: not one weight per row");
  if (!a.allFinite() || !b.allFinite() || !weights.allFinite()) return fail(Errc::kInvalid, "least squares: a number is not finite");
  if (weights.size() != 0 && weights.minCoeff() < 0.0) return fail(Errc::kInvalid, "least squares: a weight is negative");
  return {};
}

}  // namespace

Result<NonNegativeSolution> nonnegative_least_squares(const Eigen::MatrixXd& a, const Eigen::VectorXd& b, const Eigen::VectorXd& weights) {
  TRY_STATUS(check(a, b, weights));
  const Eigen::Index n = a.cols();
  NonNegativeSolution out{Eigen::VectorXd::Zero(n), 0.0};
  Eigen::MatrixXd rows = a;
  Eigen::VectorXd right = b;
  if (weights.size() != 0) {
    const Eigen::VectorXd root = weights.cwiseSqrt();
    rows = root.asDiagonal() * a;
    right = root.cwiseProduct(b);
  }
  out.residual = right.norm();
  if (n == 0 || a.rows() == 0) return out;

  // Columns of one length, so that one tolerance serves all of them; then a triangle instead of many rows: the problem stays the same.
  Eigen::VectorXd length = rows.colwise().norm().transpose();
  for (Eigen::Index j = 0; j < n; ++j) length(j) = length(j) > 0.0 ? length(j) : 1.0;
  const Eigen::MatrixXd scaled = rows * length.cwiseInverse().asDiagonal();
  Eigen::MatrixXd triangle = scaled;
  Eigen::VectorXd target = right;
  if (rows.rows() > n) {
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(scaled);
    triangle = qr.matrixQR().topRows(n).triangularView<Eigen::Upper>();
    target = (qr.householderQ().adjoint() * right).eval().head(n);
  }

  const double tolerance = 1e-12 * right.norm() * static_cast<double>(n);
  std::vector<bool> passive(static_cast<std::size_t>(n), false);
  std::vector<bool> refused(static_cast<std::size_t>(n), false);
  Eigen::VectorXd x = Eigen::VectorXd::Zero(n);
  for (Eigen::Index round = 0;; ++round) {
    if (round > 3 * n + 30) return fail(Errc::kTimeout, "least squares with non-negative unknowns did not end");
    const Eigen::VectorXd gain = triangle.transpose() * (target - triangle * x);
    Eigen::Index enter = -1;
    double best = tolerance;
    for (Eigen::Index j = 0; j < n; ++j) {
      const auto k = static_cast<std::size_t>(j);
      if (!passive[k] && !refused[k] && gain(j) > best) best = gain(j), enter = j;
    }
    if (enter < 0) break;
    passive[static_cast<std::size_t>(enter)] = true;
    Eigen::VectorXd next = solve_over(triangle, target, passive);
    if (next(enter) <= 0.0) {
      // Rounding only: the gain says that it must rise. Left out until something else has changed (Lawson and Hanson, section 23.3).
      passive[static_cast<std::size_t>(enter)] = false;
      refused[static_cast<std::size_t>(enter)] = true;
      continue;
    }
    std::fill(refused.begin(), refused.end(), false);
    while (true) {
      // As far towards the new point as nothing becomes negative; what reaches zero leaves.
      double step = 1.0;
      Eigen::Index leave = -1;
      for (Eigen::Index j = 0; j < n; ++j) {
        if (!passive[static_cast<std::size_t>(j)] || next(j) > 0.0) continue;
        const double reach = x(j) / std::max(x(j) - next(j), std::numeric_limits<double>::min());
        if (reach < step || leave < 0) step = std::min(step, reach), leave = j;
      }
      if (leave < 0) break;
      x += step * (next - x);
      for (Eigen::Index j = 0; j < n; ++j) {
        if (j == leave || (passive[static_cast<std::size_t>(j)] && x(j) <= 0.0)) {
          passive[static_cast<std::size_t>(j)] = false;
          x(j) = 0.0;
        }
      }
      next = solve_over(triangle, target, passive);
    }
    x = next;
  }
  out.x = x.cwiseQuotient(length);
  out.residual = (rows * out.x - right).norm();
  return out;
}

}  // namespace polythrottle::interference
