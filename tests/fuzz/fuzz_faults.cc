// A fault plan as typed behind --faults: entries that make sense, or one line of complaint.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/simulation/faults.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle::simulation;
  const auto faults = parse_faults(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!faults) {
    if (faults.error().what.empty()) std::abort();
    return 0;
  }
  for (const auto& fault : *faults) {
    if (fault.path.empty() || !(fault.from.count() >= 0.0) || (fault.left && *fault.left < 1)) std::abort();
  }
  return 0;
}
