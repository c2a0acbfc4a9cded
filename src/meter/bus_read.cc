#include "meter/bus_read.h"

namespace polythrottle {

Result<double> read_scaled(const Files& files, const std::string& path, double unit) {
  constexpr int kTries = 3;
  for (int i = 1;; ++i) {
    const auto number = read_integer(files, path);
    if (number) return static_cast<double>(*number) * unit;
    if (number.error().code != Errc::kBusy || i == kTries) return tl::unexpected<Error>(number.error());
  }
}

}  // namespace polythrottle
