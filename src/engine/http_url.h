#pragma once
// Where an HTTP server is, as people write it.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace polythrottle {

/// http://HOST[:PORT][/PREFIX]
struct HttpUrl {
  std::string host;    ///< a name, or an address without brackets
  std::string prefix;  ///< "/before" what is asked for, without a slash at its end; or ""
  std::uint16_t port = 80;

  /// Errors: kInvalid for anything else, https included.
  static Result<HttpUrl> parse(const std::string& text);
  /// "HOST:PORT", an IPv6 address in brackets.
  std::string authority() const;
  /// The host's addresses as numbers, best first; the host itself if it is one. "localhost" is 127.0.0.1, which servers listen on. Blocks
  /// while it is looked up. Errors: kNotFound (in a static build for every other name: the lookup needs the C library of the machine).
  Result<std::vector<std::string>> addresses() const;
};

}  // namespace polythrottle
