// A profile from somebody else's hands: it is one and reads back the same, or it is refused in one line.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "report/profile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const auto profile = parse_profile(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!profile) {
    if (profile.error().what.empty()) std::abort();
    return 0;
  }
  const auto again = parse_profile(render_profile(*profile));
  if (!again || !(again->settings == profile->settings) || again->machine != profile->machine) std::abort();
  return 0;
}
