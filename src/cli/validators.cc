#include "cli/validators.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace polythrottle {

CLI::Validator whole_number() {
  return {[](std::string& text) {
            const bool digits =
                !text.empty() && text.size() <= 18 && std::all_of(text.begin(), text.end(), [](char x) { return x >= '0' && x <= '9'; });
            return digits ? std::string() : fmt::format("'{}' is no whole number from 0", text);
          },
          "", "whole number"};
}

CLI::Validator duration_number() {
  return {[](std::string& text) {
            double value = 0.0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            const bool fine = error == std::errc{} && end == text.data() + text.size() && value >= 0.0 && value <= 1e7;
            return fine ? std::string() : fmt::format("'{}' is no number from 0 to 10,000,000", text);
          },
          "", "number"};
}

}  // namespace polythrottle
