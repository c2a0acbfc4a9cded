#include "space/parameter.h"

#include <fmt/format.h>

namespace polythrottle {

const char* to_string(Role role) {
  switch (role) {
    case Role::kComputeClock: return "compute_clock";
    case Role::kMemoryClock: return "memory_clock";
    case Role::kHostClock: return "host_clock";
    case Role::kClockFloor: return "clock_floor";
    case Role::kPowerCap: return "power_cap";
    case Role::kBatch: return "batch";
    case Role::kParallelism: return "parallelism";
    case Role::kCategory: return "category";
    case Role::kOther: return "other";
  }
  return "other";
}

std::string to_text(const Value& value) {
  if (const auto* label = std::get_if<std::string>(&value)) return *label;
  const double number = std::get<double>(value);
  // Clocks in hertz are large whole numbers: print them plainly instead of as 2.2e+09.
  if (number == static_cast<double>(static_cast<long long>(number)) && number > -1e15 && number < 1e15) {
    return fmt::format("{}", static_cast<long long>(number));
  }
  return fmt::format("{}", number);
}

}  // namespace polythrottle
