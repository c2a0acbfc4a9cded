#pragma once
// When a search, or a measurement, is enough, as people write it.

#include <string_view>

#include "base/result.h"

namespace polythrottle {

/// The least relative saving that is worth another trial: "0.4%", or the ratio "0.004". From 0 to below 1. A ratio of 0.1 or more is
/// refused, because "0.4" is sooner meant as 0.4 %. Errors: kInvalid, naming what to write.
Result<double> parse_min_gain(std::string_view text);

/// The relative standard error at which the energy of a window is known well enough: "1%" or "0.01", as a gain is written; 0: never asked.
/// Errors: kInvalid, naming what to write.
Result<double> parse_energy_error(std::string_view text);

/// How long the answer will be used, in inferences: a plain count ("1e6"), or a time at a rate ("1d@8/s"; s, m, h, d, w). Finite, at
/// least 1. Errors: kInvalid, naming what to write.
Result<double> parse_horizon(std::string_view text);

}  // namespace polythrottle
