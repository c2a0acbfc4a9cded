#pragma once
// --dim: sizes of a network's free axes.

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/result.h"

namespace polythrottle {

/// "NAME=VALUE", each text one or several of them with commas between; of a name given twice the last counts. Errors: kInvalid for a size
/// that is no whole number from 1 to 1e9.
Result<std::map<std::string, std::int64_t>> parse_dimensions(std::span<const std::string> texts);

}  // namespace polythrottle
