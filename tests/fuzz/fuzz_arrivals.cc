// A trace of arrivals from anywhere: ordered times, or one line of complaint.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "arrivals/arrivals.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const auto times = parse_arrivals(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!times) return 0;
  for (std::size_t i = 0; i < times->size(); ++i) {
    if (!std::isfinite((*times)[i]) || (i > 0 && (*times)[i] < (*times)[i - 1])) std::abort();
  }
  return 0;
}
