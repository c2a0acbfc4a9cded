// A file of co-runs from anywhere: samples that a predictor can be fitted to, or one line of complaint.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "interference/calibration.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  using namespace polythrottle::interference;
  const auto calibration = parse_calibration(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!calibration) return calibration.error().what.empty() ? (std::abort(), 0) : 0;
  const std::string text = render_calibration(*calibration);
  const auto again = parse_calibration(text);
  if (!again || render_calibration(*again) != text) std::abort();
  const auto predictor = fitted(*calibration);
  if (!predictor) return 0;
  for (const auto& seen : calibration->samples.batches) {
    const double seconds = (*predictor)->batch(seen.at).mean.count();
    if (!(seconds >= 0.0)) std::abort();
  }
  return 0;
}
