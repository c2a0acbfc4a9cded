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
  auto segment = Arrivals::bursty_segment(*times, Seconds(3.0), 2.0);
  if (!segment) return segment.error().what.empty() ? (std::abort(), 0) : 0;
  double before = 0.0;
  for (int i = 0; i < 6; ++i) {
    const double time = segment->next().count();
    if (!(time >= before && time <= 3.0)) std::abort();
    before = time;
  }
  return 0;
}
