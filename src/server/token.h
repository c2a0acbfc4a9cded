#pragma once
// Who may ask: the bearer token, and where a server may listen without one.

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/http.h"

namespace polythrottle::server {

/// The word that clients must name ("Authorization: Bearer WORD", RFC 6750).
class Token {
 public:
  /// From a file that only its owner may read: one line, 16 to 4096 visible ASCII characters. Errors: kNotFound, kPermission (others may
  /// read it), kInvalid, kIo.
  static Result<Token> read(const std::string& path);

  /// Of an Authorization header's value. Takes as long for a wrong word as for the right one.
  bool admits(std::string_view authorization) const;

 private:
  explicit Token(std::string word) : word_(std::move(word)) {}
  std::string word_;
};

/// Does only this machine reach a listener there: 127.0.0.0/8, ::1, "localhost"?
bool is_loopback(std::string_view host);

/// Whoever reaches the server may run jobs on it: it listens beyond loopback only with TLS and a token, unless told so. Errors: kInvalid
/// that names what is missing.
Status check_exposure(const HttpListen& listen, bool has_token, bool insecure);

}  // namespace polythrottle::server
