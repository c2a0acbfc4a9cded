#pragma once
// Logarithms of normal integrals, exact to rounding however far out in the tail.

namespace polythrottle {

/// ln Phi(z), the logarithm of the standard normal distribution function; finite for every finite z with z^2 finite.
double log_normal_cdf(double z);

/// ln h(z) with h(z) = phi(z) + z Phi(z), the expected positive part of a normal variable with mean z and variance 1.
/// Source: Ament et al. 2023, "Unexpected improvements to expected improvement", section 4.1; the tail here is by continued fraction.
double log_expected_positive_part(double z);

}  // namespace polythrottle
