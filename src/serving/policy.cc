#include "serving/policy.h"

namespace polythrottle::serving {

Result<const PolicyDriver*> find_policy(std::string_view name) {
  std::string known;
  for (const PolicyDriver* driver : serving_drivers()) {
    if (driver->name == name) return driver;
    known += (known.empty() ? "" : ", ") + std::string(driver->name);
  }
  return fail(Errc::kInvalid, "unknown policy '" + std::string(name) + "'", "one of " + known);
}

}  // namespace polythrottle::serving
