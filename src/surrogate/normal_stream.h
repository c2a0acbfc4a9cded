#pragma once
// Random numbers that do not depend on the standard library: it prescribes the engine, not its distributions.

#include <cmath>
#include <cstdint>
#include <random>

namespace polythrottle {

class NormalStream {
 public:
  explicit NormalStream(std::uint64_t seed) : engine_(seed) {}

  /// In [0, 1).
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * unit(); }
  double log_uniform(double low, double high) { return std::exp(uniform(std::log(low), std::log(high))); }
  /// Standard normal (Box & Muller 1958).
  double normal() {
    const double u = (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53;
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * unit());
  }
  /// median x exp(sigma x standard normal).
  double log_normal(double median, double sigma) { return median * std::exp(sigma * normal()); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace polythrottle
