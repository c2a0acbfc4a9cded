#pragma once

#include <string>
#include <string_view>

namespace polythrottle {

/// `text` as a string of gnuplot's language in single quotes, in which it neither expands nor runs anything; a quote is written twice, a
/// control character becomes a space.
inline std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += c;
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + '\'';
}

}  // namespace polythrottle
