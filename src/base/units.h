#pragma once
// Physical quantities that cannot be mixed up. Inside the program everything is SI; a vendor's integer unit dies on the line it is read.

#include <chrono>

namespace polythrottle {

using Seconds = std::chrono::duration<double>;

/// A number with a dimension. Explicit in, `.si()` out; only sums of like quantities, scaling, and the products below exist.
template <class Tag>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(double si) : si_(si) {}
  constexpr double si() const { return si_; }

  constexpr Quantity operator+(Quantity other) const { return Quantity(si_ + other.si_); }
  constexpr Quantity operator-(Quantity other) const { return Quantity(si_ - other.si_); }
  constexpr Quantity operator*(double factor) const { return Quantity(si_ * factor); }
  constexpr Quantity operator/(double divisor) const { return Quantity(si_ / divisor); }
  constexpr double operator/(Quantity other) const { return si_ / other.si_; }
  constexpr Quantity& operator+=(Quantity other) {
    si_ += other.si_;
    return *this;
  }
  constexpr auto operator<=>(const Quantity&) const = default;

 private:
  double si_ = 0.0;
};

using Joules = Quantity<struct JoulesTag>;
using Watts = Quantity<struct WattsTag>;
using Hertz = Quantity<struct HertzTag>;
using Celsius = Quantity<struct CelsiusTag>;

constexpr Joules operator*(Watts power, Seconds time) { return Joules(power.si() * time.count()); }
constexpr Joules operator*(Seconds time, Watts power) { return power * time; }
constexpr Watts operator/(Joules energy, Seconds time) { return Watts(energy.si() / time.count()); }

}  // namespace polythrottle
