#pragma once
// One question to a server of ours, and its answer.

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle {

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::string next_offset;  ///< header Next-Offset; "" where there is none
};

/// A connection for each question. Used by one thread.
class HttpClient {
 public:
  /// `server`: http://HOST[:PORT] (port 80 where none is given) or unix:PATH. `token`: sent as a bearer token unless it is empty.
  /// Errors: kInvalid.
  static Result<std::unique_ptr<HttpClient>> at(const std::string& server, std::string token, Seconds timeout);
  virtual ~HttpClient() = default;
  /// Is the server on this machine?
  virtual bool is_local() const = 0;
  /// `body` is JSON, or empty. Any status is an answer. Errors: kTimeout, kIo, kNotFound, naming the server.
  virtual Result<HttpAnswer> ask(std::string_view method, const std::string& target, std::string body = {}) = 0;
};

}  // namespace polythrottle
