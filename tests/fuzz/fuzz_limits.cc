// Whatever is typed behind --slo, --constraint, --min-gain and --horizon: a number that makes sense, or one line of complaint.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "trial/constraint.h"
#include "trial/search_limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& parsed : {parse_slo(text), parse_constraint(text)}) {
    if (!parsed) {
      if (parsed.error().what.empty()) std::abort();
      continue;
    }
    if (!(parsed->limit > 0.0) || !std::isfinite(parsed->limit) || find_metric(parsed->metric) == nullptr) std::abort();
  }
  if (const auto gain = parse_min_gain(text); gain && !(*gain >= 0.0 && *gain < 1.0)) std::abort();
  if (const auto horizon = parse_horizon(text); horizon && !(*horizon >= 1.0 && std::isfinite(*horizon))) std::abort();
  (void)parse_objective(text);
  return 0;
}
