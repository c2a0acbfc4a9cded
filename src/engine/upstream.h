#pragma once
// HTTP to one server, for the gateway: kept connections, one exchange at a time on each, everything within a time.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "engine/tensor.h"

namespace polythrottle {

struct UpstreamAnswer {
  int status = 0;
  std::shared_ptr<const std::string> body;
  std::size_t head = 0;  ///< bytes of JSON at the body's begin: Inference-Header-Content-Length, or all of it; at most its size
};

/// Safe from several threads, each of which gets a connection of its own.
class Upstream {
 public:
  /// Does not connect yet. Errors: kInvalid for a url that is not http://HOST[:PORT][/PREFIX].
  static Result<std::unique_ptr<Upstream>> at(const std::string& url, Seconds timeout, std::size_t largest_answer);
  virtual ~Upstream() = default;
  /// "http://HOST:PORT"
  virtual const std::string& name() const = 0;
  /// `target`: behind the prefix, "/v2/...". Errors: kTimeout, kIo, each with name() in its words.
  virtual Result<UpstreamAnswer> get(std::string_view target) = 0;
  /// `json`, and behind it the bytes of `tails` from where they lie.
  virtual Result<UpstreamAnswer> post(std::string_view target, std::string_view json, std::span<const Bytes> tails) = 0;
};

}  // namespace polythrottle
