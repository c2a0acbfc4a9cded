#pragma once
// Inside the HTTP server: a socket that accepts.

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "server/http_connection.h"

namespace polythrottle::server {

class HttpListener : public std::enable_shared_from_this<HttpListener> {
 public:
  /// Errors: see HttpServer::start.
  static Result<std::shared_ptr<HttpListener>> on_port(std::shared_ptr<HttpContext> context, const std::string& host, std::uint16_t port,
                                                       std::shared_ptr<HttpTlsContext> tls);
  /// A socket that a server left behind is replaced; one that somebody listens on, or a file that is no socket, is not.
  static Result<std::shared_ptr<HttpListener>> on_unix_socket(std::shared_ptr<HttpContext> context, const std::string& path);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  void start();
  /// From any thread: accepts no more.
  void close();
  std::uint16_t port() const;

 private:
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, HttpStrand>;
  explicit HttpListener(std::shared_ptr<HttpContext> context);
  Status bind(const boost::asio::generic::stream_protocol::endpoint& endpoint, const std::string& name);
  Status listen(const std::string& name);
  void accept();
  void take(HttpSocket socket);

  const std::shared_ptr<HttpContext> context_;
  const HttpStrand strand_;
  Acceptor acceptor_;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, HttpStrand> pause_;
  std::shared_ptr<HttpTlsContext> tls_;
  std::string unix_socket_;  // "" for a port
};

}  // namespace polythrottle::server
