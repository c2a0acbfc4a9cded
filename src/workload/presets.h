#pragma once
// Programs whose output is known: the one table from which --read, its help and docs/command.md are made.

#include <span>
#include <string_view>

#include "workload/reading.h"

namespace polythrottle {

struct Preset {
  std::string_view name;              ///< as typed behind --read
  std::string_view tool;              ///< what prints so, and since when
  std::string_view wants;             ///< the flags it needs, for a line of complaint
  std::span<const Pattern> patterns;  ///< or:
  Result<Said> (*read)(std::string_view line) = nullptr;
};
std::span<const Preset> presets();

}  // namespace polythrottle
