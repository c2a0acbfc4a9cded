#include "base/stats.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace polythrottle {
namespace {

/// Regularized incomplete beta function by its continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22), evaluated
/// by Lentz's method. Converges fast for x < (a + 1) / (a + b + 2); the symmetry I_x(a, b) = 1 - I_{1-x}(b, a) covers the rest.
double incomplete_beta(double a, double b, double x) {
  if (x <= 0.0) return 0.0;
  if (x >= 1.0) return 1.0;
  if (x > (a + 1.0) / (a + b + 2.0)) return 1.0 - incomplete_beta(b, a, 1.0 - x);
  constexpr double kTiny = 1e-300;
  const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)), c = 1.0, fraction = d;
  for (int m = 1; m < 1000; ++m) {
    const double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
    double step = 1.0;
    for (const double term : {even, odd}) {
      d = 1.0 / away_from_zero(1.0 + term * d);
      c = away_from_zero(1.0 + term / c);
      step = c * d;
      fraction *= step;
    }
    if (std::abs(step - 1.0) < 1e-15) break;
  }
  const double log_front = std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  return std::exp(log_front) * fraction / a;
}

}  // namespace

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double normal_quantile(double p) {
  // Bisection to a good start, then Newton: slow and simple, and never on a hot path.
  double low = -40.0, high = 40.0;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (normal_cdf(middle) < p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

double student_quantile(double p, double degrees) {
  if (p < 0.5) return -student_quantile(1.0 - p, degrees);
  if (degrees > 1e7) return normal_quantile(p);
  // Above t lies half of I_x(degrees / 2, 1 / 2), x = degrees / (degrees + t^2): Abramowitz and Stegun 26.7.1 with 26.5.27.
  const auto above = [&](double t) { return 0.5 * incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + t * t)); };
  double low = 0.0, high = 1.0;
  while (above(high) > 1.0 - p && high < 1e300) low = high, high *= 2.0;
  for (int i = 0; i < 10; ++i) {
    const double middle = 0.5 * (low + high);
    (above(middle) > 1.0 - p ? low : high) = middle;
  }
  // Newton from below, where the tail is convex and no step goes past the root.
  const double log_front = std::lgamma(0.5 * (degrees + 1.0)) - std::lgamma(0.5 * degrees) - 0.5 * std::log(degrees * std::numbers::pi);
  for (int i = 0; i < 50; ++i) {
    const double density = std::exp(log_front - 0.5 * (degrees + 1.0) * std::log1p(low * low / degrees));
    const double step = (above(low) - (1.0 - p)) / density;
    low += step;
    if (std::abs(step) <= 1e-12 * low) break;
  }
  return low;
}

double mean(std::span<const double> values) {
  if (values.empty()) return 0.0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double variance(std::span<const double> values) {
  if (values.size() < 2) return 0.0;
  const double m = mean(values);
  double sum = 0.0;
  for (double v : values) sum += (v - m) * (v - m);
  return sum / static_cast<double>(values.size() - 1);
}

double sorted_quantile(std::span<const double> ascending, double q) {
  const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  const double weight = position - static_cast<double>(below);
  return ascending[below] * (1.0 - weight) + ascending[above] * weight;
}

std::optional<double> sorted_quantile_std_error(std::span<const double> ascending, double q) {
  const auto n = static_cast<double>(ascending.size());
  if (ascending.size() < 2) return std::nullopt;
  const double sigma = std::sqrt(n * q * (1.0 - q));
  // At least half a rank on each side, so that the extreme quantile of a small sample does not come out as exact.
  const double low = n * q - std::max(sigma, 0.5), high = n * q + std::max(sigma, 0.5);
  const auto rank = [&](double r) { return sorted_quantile(ascending, std::clamp(r / n, 0.0, 1.0)); };
  const double beyond = high - n;  // ranks past the largest value: the upper half is unseen, so count the lower one twice
  const double lower = sorted_quantile(ascending, q) - rank(low);
  const double upper = beyond > 0 ? std::max(lower, rank(n) - sorted_quantile(ascending, q)) : rank(high) - sorted_quantile(ascending, q);
  return 0.5 * (lower + upper);
}

double binomial_cdf(std::size_t k, std::size_t n, double p) {
  if (k >= n) return 1.0;
  if (p <= 0.0) return 1.0;
  if (p >= 1.0) return 0.0;
  double sum = 0.0;
  const double log_p = std::log(p), log_q = std::log1p(-p), log_n = std::lgamma(static_cast<double>(n) + 1.0);
  for (std::size_t i = 0; i <= k; ++i) {
    const auto x = static_cast<double>(i), rest = static_cast<double>(n - i);
    sum += std::exp(log_n - std::lgamma(x + 1.0) - std::lgamma(rest + 1.0) + x * log_p + rest * log_q);
  }
  return std::min(sum, 1.0);
}

std::size_t minimum_quantile_sample(double q) { return static_cast<std::size_t>(std::ceil(std::log(0.05) / std::log(q))); }

std::optional<double> ratio_std_error(std::span<const double> numerators, std::span<const double> denominators) {
  const std::size_t blocks = std::min(numerators.size(), denominators.size());
  if (blocks < 3) return std::nullopt;
  const double total = std::accumulate(denominators.begin(), denominators.end(), 0.0);
  if (total <= 0.0) return std::nullopt;
  const double ratio = std::accumulate(numerators.begin(), numerators.end(), 0.0) / total;
  double sum = 0.0;
  for (std::size_t i = 0; i < blocks; ++i) {
    const double residual = numerators[i] - ratio * denominators[i];
    sum += residual * residual;
  }
  const auto b = static_cast<double>(blocks);
  return std::sqrt(sum * b / (b - 1.0)) / total;
}

}  // namespace polythrottle
