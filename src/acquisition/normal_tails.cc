#include "acquisition/normal_tails.h"

#include <cmath>
#include <numbers>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr double kTail = -4.0;  // below this the direct formulas cancel or underflow, and the continued fraction is quick

double log_density(double z) { return -0.5 * z * z - 0.5 * std::log(2.0 * std::numbers::pi); }

/// c(t) in Phi(-t) = phi(t) / (t + c), t >= 4: the continued fraction 1/(t + 2/(t + 3/(t + ...))), Abramowitz & Stegun 26.2.14.
/// 40 levels reach rounding error at t = 4; fewer do further out.
double tail_fraction(double t) {
  double c = 0.0;
  for (int k = t < 8.0 ? 40 : 12; k >= 1; --k) c = k / (t + c);
  return c;
}

}  // namespace

double log_normal_cdf(double z) {
  if (z > 0.0) return std::log1p(-normal_cdf(-z));
  if (z > kTail) return std::log(normal_cdf(z));
  return log_density(z) - std::log(-z + tail_fraction(-z));
}

double log_expected_positive_part(double z) {
  if (z > kTail) return std::log(std::exp(log_density(z)) + z * normal_cdf(z));
  // 1 - t Phi(-t) / phi(t) = c / (t + c): no difference of nearly equal numbers is left.
  const double t = -z, c = tail_fraction(t);
  return log_density(z) + std::log(c / (t + c));
}

}  // namespace polythrottle
