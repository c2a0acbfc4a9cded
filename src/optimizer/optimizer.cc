#include "optimizer/optimizer.h"

#include <fmt/format.h>

namespace polythrottle {

Result<std::unique_ptr<Optimizer>> make_optimizer(std::string_view name) {
  std::string names;
  for (const OptimizerDriver* driver : optimizer_drivers()) {
    if (driver->name == name) return driver->make();
    names += fmt::format("{}{}", names.empty() ? "" : ", ", driver->name);
  }
  return fail(Errc::kInvalid, fmt::format("unknown optimizer '{}'", name), "one of " + names);
}

}  // namespace polythrottle
