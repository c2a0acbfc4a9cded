#include "cma_es.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace polythrottle::calibrate {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

SearchResult cma_es(const std::function<double(const std::vector<double>&)>& function, const std::vector<double>& start, double step,
                    int evaluations, std::uint64_t seed) {
  constexpr double kWall = 30.0;  // price of a squared distance outside the cube
  const auto n = static_cast<Index>(start.size());
  const double dimension = static_cast<double>(n);
  const int offspring = 4 + static_cast<int>(3.0 * std::log(dimension));
  const int parents = offspring / 2;

  VectorXd weights(parents);
  for (int i = 0; i < parents; ++i) weights[i] = std::log(parents + 0.5) - std::log(i + 1.0);
  weights /= weights.sum();
  const double mass = 1.0 / weights.squaredNorm();
  const double path_rate = (4.0 + mass / dimension) / (dimension + 4.0 + 2.0 * mass / dimension);
  const double sigma_rate = (mass + 2.0) / (dimension + mass + 5.0);
  const double rank_one = 2.0 / ((dimension + 1.3) * (dimension + 1.3) + mass);
  const double rank_many = std::min(1.0 - rank_one, 2.0 * (mass - 2.0 + 1.0 / mass) / ((dimension + 2.0) * (dimension + 2.0) + mass));
  const double damping = 1.0 + 2.0 * std::max(0.0, std::sqrt((mass - 1.0) / (dimension + 1.0)) - 1.0) + sigma_rate;
  const double expected_norm = std::sqrt(dimension) * (1.0 - 1.0 / (4.0 * dimension) + 1.0 / (21.0 * dimension * dimension));

  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  VectorXd mean = Eigen::Map<const VectorXd>(start.data(), n);
  MatrixXd covariance = MatrixXd::Identity(n, n);
  MatrixXd axes = MatrixXd::Identity(n, n);
  VectorXd scales = VectorXd::Ones(n);
  VectorXd path = VectorXd::Zero(n);
  VectorXd sigma_path = VectorXd::Zero(n);
  double sigma = step;

  SearchResult best{start, function(start), 1};
  for (int generation = 1; best.evaluations + offspring <= evaluations && sigma > 1e-7; ++generation) {
    MatrixXd points(n, offspring);
    std::vector<double> values(static_cast<std::size_t>(offspring));
    for (int k = 0; k < offspring; ++k) {
      VectorXd z(n);
      for (Index i = 0; i < n; ++i) z[i] = normal(random);
      points.col(k) = mean + sigma * (axes * scales.cwiseProduct(z));
      const VectorXd inside = points.col(k).cwiseMax(0.0).cwiseMin(1.0);
      const std::vector<double> trial(inside.data(), inside.data() + n);
      const double value = function(trial);
      ++best.evaluations;
      if (value < best.value) {
        best.value = value;
        best.point = trial;
      }
      values[static_cast<std::size_t>(k)] = value + kWall * (points.col(k) - inside).squaredNorm();
    }
    std::vector<int> order(static_cast<std::size_t>(offspring));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](int a, int b) { return values[static_cast<std::size_t>(a)] < values[static_cast<std::size_t>(b)]; });

    const VectorXd old_mean = mean;
    mean.setZero();
    for (int i = 0; i < parents; ++i) mean += weights[i] * points.col(order[static_cast<std::size_t>(i)]);
    const VectorXd moved = (mean - old_mean) / sigma;
    sigma_path = (1.0 - sigma_rate) * sigma_path +
                 std::sqrt(sigma_rate * (2.0 - sigma_rate) * mass) * (axes * (axes.transpose() * moved).cwiseQuotient(scales));
    const double expected = std::sqrt(1.0 - std::pow(1.0 - sigma_rate, 2.0 * generation)) * expected_norm;
    const bool small = sigma_path.norm() / expected < 1.4 + 2.0 / (dimension + 1.0);
    path = (1.0 - path_rate) * path + (small ? std::sqrt(path_rate * (2.0 - path_rate) * mass) : 0.0) * moved;
    const double lost = small ? 0.0 : path_rate * (2.0 - path_rate);
    covariance = (1.0 - rank_one - rank_many + rank_one * lost) * covariance + rank_one * path * path.transpose();
    for (int i = 0; i < parents; ++i) {
      const VectorXd y = (points.col(order[static_cast<std::size_t>(i)]) - old_mean) / sigma;
      covariance += rank_many * weights[i] * y * y.transpose();
    }
    sigma *= std::exp(std::min(1.0, sigma_rate / damping * (sigma_path.norm() / expected_norm - 1.0)));
    if (generation % 10 == 0) {
      covariance = 0.5 * (covariance + covariance.transpose().eval());
      const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(covariance);
      axes = solver.eigenvectors();
      scales = solver.eigenvalues().cwiseMax(1e-14).cwiseSqrt();
    }
  }
  return best;
}

}  // namespace polythrottle::calibrate
