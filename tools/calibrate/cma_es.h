#pragma once
// Covariance matrix adaptation evolution strategy (Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772), in the unit cube.

#include <cstdint>
#include <functional>
#include <vector>

namespace polythrottle::calibrate {

struct SearchResult {
  std::vector<double> point;  ///< in [0, 1]
  double value = 0.0;
  int evaluations = 0;
};

/// The least value of `function` found from `start` with first steps of about `step`, the same for the same `seed`. `function` is only
/// called inside the cube; points outside are moved to its wall and pay for the distance.
SearchResult cma_es(const std::function<double(const std::vector<double>&)>& function, const std::vector<double>& start, double step,
                    int evaluations, std::uint64_t seed);

}  // namespace polythrottle::calibrate
