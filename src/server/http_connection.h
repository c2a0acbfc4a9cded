#pragma once
// Inside the HTTP server: what its connections share. Only http*.cc include this.

#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "server/http.h"

namespace polythrottle::server {

using HttpStrand = boost::asio::strand<boost::asio::io_context::executor_type>;
/// TCP or Unix: one type of socket for both.
using HttpSocket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, HttpStrand>;

class HttpConnection;

/// Lives as long as the server, any connection, or any answer that is still owed.
struct HttpContext {
  HttpContext(HttpHandler& h, const HttpLimits& l) : handler(h), limits(l), io(l.threads) {}

  HttpHandler& handler;
  const HttpLimits limits;
  boost::asio::io_context io;

  /// Room for a body beside those of the other requests in hand; one alone always has it.
  bool take_room(std::size_t bytes) {
    if (body_bytes.fetch_add(bytes) == 0 || body_bytes <= limits.body_bytes) return true;
    give_room_back(bytes);
    return false;
  }
  void give_room_back(std::size_t bytes) { body_bytes -= bytes; }
  std::atomic<std::size_t> body_bytes = 0;

  std::mutex mutex;
  std::condition_variable none_left;
  std::unordered_set<HttpConnection*> connections;
  bool winding_down = false;  ///< connections end with the answer they owe
  bool stopped = false;       ///< no thread runs `io` any more: post nothing
};

/// One client. All but the constructor runs on its strand.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  explicit HttpConnection(std::shared_ptr<HttpContext> context);
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  virtual ~HttpConnection();
  virtual void start() = 0;
  /// The server stops: at once where the client is owed nothing, after the answer otherwise.
  virtual void wind_down() = 0;
  virtual void close() = 0;
  /// Of the request in hand.
  virtual void answer(HttpResponse response) = 0;
  void answer_made(const std::function<HttpResponse()>& response);
  virtual HttpStrand strand() = 0;

 protected:
  const std::shared_ptr<HttpContext> context_;  // first to be made, last to go: sockets need its io_context
};

/// Sends what it is given to its connection, from any thread.
class HttpReply::Pending {
 public:
  explicit Pending(std::shared_ptr<HttpConnection> connection, std::shared_ptr<HttpContext> context)
      : context_(std::move(context)), connection_(std::move(connection)) {}
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending();
  void send(HttpResponse response);
  void make(std::function<HttpResponse()> response);

 private:
  std::shared_ptr<HttpConnection> take();

  std::mutex mutex_;
  const std::shared_ptr<HttpContext> context_;
  std::shared_ptr<HttpConnection> connection_;  // nullptr: answered
};

/// Certificate and key, read.
struct HttpTlsContext;
Result<std::shared_ptr<HttpTlsContext>> read_tls(const HttpTls& files);

std::shared_ptr<HttpConnection> make_plain_connection(std::shared_ptr<HttpContext> context, HttpSocket socket, bool over_unix_socket);
std::shared_ptr<HttpConnection> make_tls_connection(std::shared_ptr<HttpContext> context, HttpSocket socket,
                                                    std::shared_ptr<HttpTlsContext> tls);

}  // namespace polythrottle::server
