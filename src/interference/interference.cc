#include "interference/interference.h"

#include <cmath>

namespace polythrottle::interference {

double intensity(const WorkCost& cost, double items) {
  const double moved = cost.weights + cost.activations * items;
  return moved > 0.0 ? cost.macs * items / moved : 0.0;
}

Seconds Prediction::upper(double probability) const {
  // Quantile of Student's t with 4 degrees of freedom in closed form (W. T. Shaw, "Sampling Student's T distribution", Journal of
  // Computational Finance 9(4), 2006), over its standard deviation, the square root of 2.
  const double a = std::sqrt(4.0 * probability * (1.0 - probability));
  const double size = std::sqrt(2.0 * std::max(0.0, std::cos(std::acos(std::min(1.0, a)) / 3.0) / a - 1.0));
  return mean * std::exp(log_stddev * std::copysign(size, probability - 0.5));
}

Result<const PredictorDriver*> find_predictor(std::string_view name) {
  std::string known;
  for (const PredictorDriver* driver : interference_drivers()) {
    if (driver->name == name) return driver;
    known += (known.empty() ? "" : ", ") + std::string(driver->name);
  }
  return fail(Errc::kInvalid, "predictor '" + std::string(name) + "': unknown", "one of " + known);
}

}  // namespace polythrottle::interference
