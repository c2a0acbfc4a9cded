#pragma once
// Statistics used on both sides of the program: summaries of samples, and when a sample is enough to judge a limit.

#include <cstddef>
#include <optional>
#include <span>

namespace polythrottle {

/// Standard normal distribution function. Accurate to about 1e-15 relative down to z = -37.
double normal_cdf(double z);
/// Its inverse. p in (0, 1); error below 1e-9.
double normal_quantile(double p);
/// Quantile of Student's t with `degrees` > 0 degrees of freedom, which need not be a whole number. p in (0, 1); error below 1e-8 of its size.
double student_quantile(double p, double degrees);

/// Arithmetic mean; 0 for an empty sample.
double mean(std::span<const double> values);
/// Unbiased sample variance; 0 for fewer than two values.
double variance(std::span<const double> values);

/// The q-quantile (0 <= q <= 1) of an ascending, non-empty sample: linear interpolation between order statistics (Hyndman & Fan type 7,
/// the default of R and NumPy).
double sorted_quantile(std::span<const double> ascending, double q);

/// Standard error of `sorted_quantile`, from the width of the binomial order-statistic interval at +-1 sigma (distribution-free).
/// nullopt for fewer than two values.
std::optional<double> sorted_quantile_std_error(std::span<const double> ascending, double q);

/// P(X <= k) for X ~ Binomial(n, p).
double binomial_cdf(std::size_t k, std::size_t n, double p);

/// Smallest sample in which the largest value bounds the q-quantile from above with 95 % confidence: 59 for p95, 299 for p99.
std::size_t minimum_quantile_sample(double q);

/// Standard error of sum(numerator) / sum(denominator) over blocks of one run, by the ratio estimator (Cochran 1977, eq. 2.39). The
/// blocks absorb correlation shorter than a block. nullopt for fewer than three blocks or a zero denominator.
std::optional<double> ratio_std_error(std::span<const double> numerators, std::span<const double> denominators);

}  // namespace polythrottle
