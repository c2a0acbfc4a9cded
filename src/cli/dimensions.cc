#include "cli/dimensions.h"

#include <fmt/format.h>

#include <cmath>

#include "cli/cli.h"

namespace polythrottle {

Result<std::map<std::string, std::int64_t>> parse_dimensions(std::span<const std::string> texts) {
  std::map<std::string, std::int64_t> out;
  for (const auto& text : texts) {
    TRY(const auto pairs, parse_pairs(text));
    for (const auto& [name, value] : pairs) {
      TRY(const double number, to_number(value, "--dim " + name));
      if (number < 1.0 || number > 1e9 || number != std::floor(number)) {
        return fail(Errc::kInvalid, fmt::format("--dim {}={}: a size is a whole number from 1", name, value));
      }
      out[name] = static_cast<std::int64_t>(number);
    }
  }
  return out;
}

}  // namespace polythrottle
