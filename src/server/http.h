#pragma once
// HTTP/1.1 from a socket to a handler and back: event-driven, so that thousands of idle connections cost memory but no threads.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "engine/tensor.h"

namespace polythrottle::server {

struct HttpRequest {
  std::string method;                                        ///< "GET"
  std::string target;                                        ///< as sent: path and query, not decoded
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;
  bool over_unix_socket = false;

  /// The first of this name (lower case); "" where there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string text{};          ///< the body ...
  std::vector<Bytes> tails{};  ///< ... and what follows it, sent from where it lies
};

/// Sends the answer of one request; may be called from any thread, also after the client has gone or the server has stopped. Only the
/// first call counts. Where the last copy goes without a call, the client is answered 500.
class HttpReply {
 public:
  class Pending;
  explicit HttpReply(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}
  void operator()(HttpResponse response) const;
  /// The same, where making the answer is work: it is done on a thread of the server, not on the caller's.
  void make(std::function<HttpResponse()> response) const;

 private:
  std::shared_ptr<Pending> pending_;
};

/// What a server does with requests. Called on its threads, which all connections share: must not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// Before the body is read (`head` has none): the largest body that will be taken, in bytes, or the refusal.
  virtual tl::expected<std::size_t, HttpResponse> admit(const HttpRequest& head) = 0;
  virtual void handle(HttpRequest request, HttpReply reply) = 0;
  /// What a client is told that broke a limit or the protocol itself.
  virtual HttpResponse broken(int status, std::string_view why) = 0;
};

struct HttpTls {
  std::string certificate;  ///< PEM file, the chain behind it
  std::string key;          ///< PEM file
};

/// Where to listen: on one of them or both.
struct HttpListen {
  std::string host = "127.0.0.1";     ///< an address, "localhost", or "*" for all; names are not looked up
  std::optional<std::uint16_t> port;  ///< 0: any that is free
  std::string unix_socket;            ///< path; made with mode 0600. "" for none
  std::optional<HttpTls> tls;         ///< of the port
};

struct HttpLimits {
  int threads = 1;
  std::size_t connections = 16384;                ///< one more is told 503 and closed
  std::size_t header_bytes = 16 * 1024;           ///< 431 beyond it
  std::size_t body_bytes = std::size_t{1} << 30;  ///< of the bodies of all requests in hand, as announced; 503 for one more
  Seconds request = Seconds(30);                  ///< from the first byte of a request to its last
  Seconds idle = Seconds(3600);                   ///< from an answer to the next request
  Seconds write = Seconds(30);                    ///< for the client to take an answer
  Seconds linger = Seconds(2);                    ///< for the client to hang up after a last answer
};

/// Listens from `start` on, on threads of its own.
class HttpServer {
 public:
  /// `handler` must outlive it. Errors: kBusy (port or socket in use), kPermission, kNotFound (no such address here), kInvalid (nothing to
  /// listen on; no address), kCorrupt (certificate or key), kUnsupported (TLS in a static build).
  static Result<std::unique_ptr<HttpServer>> start(HttpHandler& handler, const HttpListen& listen, const HttpLimits& limits);
  virtual ~HttpServer() = default;  ///< stop(0)
  /// The port that was bound; 0 where it listens on no port.
  virtual std::uint16_t port() const = 0;
  /// Open now.
  virtual std::size_t connections() const = 0;
  /// Accepts no more, closes idle connections, lets the others have the answers they wait for, at most for `patience`. Then nothing of the
  /// handler is called any more. A second call does nothing. Not from a handler.
  virtual void stop(Seconds patience) = 0;
};

}  // namespace polythrottle::server
