#include "optimizer/optimizer.h"

#include <fmt/format.h>

#include <array>

namespace polythrottle {
namespace {
constexpr std::array kExplore{Explore::kSafe, Explore::kStrict, Explore::kBold};
}  // namespace

const char* to_string(Explore explore) {
  switch (explore) {
    case Explore::kSafe: return "safe";
    case Explore::kStrict: return "strict";
    case Explore::kBold: return "bold";
  }
  return "safe";
}

Result<Explore> parse_explore(std::string_view text) {
  for (const Explore explore : kExplore) {
    if (text == to_string(explore)) return explore;
  }
  return fail(Errc::kInvalid, fmt::format("unknown way to explore '{}'", text), "one of safe, strict, bold");
}

std::optional<Recommendation> Optimizer::recommend(const Problem& problem, std::span<const Trial> history) {
  return polythrottle::recommend(problem, history);
}

Result<std::unique_ptr<Optimizer>> make_optimizer(std::string_view name) {
  std::string names;
  for (const OptimizerDriver* driver : optimizer_drivers()) {
    if (driver->name == name) return driver->make();
    names += fmt::format("{}{}", names.empty() ? "" : ", ", driver->name);
  }
  return fail(Errc::kInvalid, fmt::format("unknown optimizer '{}'", name), "one of " + names);
}

}  // namespace polythrottle
