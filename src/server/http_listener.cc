#include "server/http_listener.h"

#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

namespace polythrottle::server {
namespace {

using boost::asio::ip::tcp;
using boost::asio::local::stream_protocol;

Error listen_error(const std::string& name, const boost::system::error_code& error) {
  const std::string act = "listen on " + name;
  if (error.value() == EADDRINUSE) return Error{Errc::kBusy, act + ": in use", "another server runs there; give another one"};
  if (error.value() == EADDRNOTAVAIL) return Error{Errc::kNotFound, act + ": this machine has no such address", ""};
  return system_error(act, error.value());
}

/// Makes room for a socket at `path`.
Status clear_stale_socket(boost::asio::io_context& io, const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode))
    return fail(Errc::kBusy, "listen on " + path + ": there is a file that is no socket", "remove it, or give another path");
  stream_protocol::socket probe(io);
  boost::system::error_code error;
  probe.connect(stream_protocol::endpoint(path), error);
  if (!error) return fail(Errc::kBusy, "listen on " + path + ": in use", "another server runs there; give another one");
  unlink(path.c_str());
  return {};
}

}  // namespace

HttpListener::HttpListener(std::shared_ptr<HttpContext> context)
    : context_(std::move(context)), strand_(boost::asio::make_strand(context_->io)), acceptor_(strand_), pause_(strand_) {}

HttpListener::~HttpListener() {
  if (!unix_socket_.empty()) unlink(unix_socket_.c_str());
}

Result<std::shared_ptr<HttpListener>> HttpListener::on_port(std::shared_ptr<HttpContext> context, const std::string& host,
                                                            std::uint16_t port, std::shared_ptr<HttpTlsContext> tls) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host == "*" ? "0.0.0.0" : host, error);
  const std::string name = host + ":" + std::to_string(port);
  if (error)
    return fail(Errc::kInvalid, "listen on " + name + ": '" + host + "' is no address",
                "give an address such as 127.0.0.1 or ::1, localhost, or *");
  std::shared_ptr<HttpListener> listener(new HttpListener(std::move(context)));
  TRY_STATUS(listener->bind(tcp::endpoint(address, port), name));
  TRY_STATUS(listener->listen(name));
  listener->tls_ = std::move(tls);
  return listener;
}

Result<std::shared_ptr<HttpListener>> HttpListener::on_unix_socket(std::shared_ptr<HttpContext> context, const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Errc::kInvalid, "listen on " + path + ": longer than a socket's path may be (107 bytes)");
  TRY_STATUS(clear_stale_socket(context->io, path));
  std::shared_ptr<HttpListener> listener(new HttpListener(std::move(context)));
  TRY_STATUS(listener->bind(stream_protocol::endpoint(path), path));
  listener->unix_socket_ = path;
  // Nobody can connect before the socket listens.
  if (chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) return tl::unexpected(system_error("listen on " + path, errno));
  TRY_STATUS(listener->listen(path));
  return listener;
}

Status HttpListener::bind(const boost::asio::generic::stream_protocol::endpoint& endpoint, const std::string& name) {
  boost::system::error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(boost::asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (error) return tl::unexpected(listen_error(name, error));
  return {};
}

Status HttpListener::listen(const std::string& name) {
  boost::system::error_code error;
  acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
  if (error) return tl::unexpected(listen_error(name, error));
  return {};
}

std::uint16_t HttpListener::port() const {
  boost::system::error_code error;
  const auto endpoint = acceptor_.local_endpoint(error);
  if (error) return 0;
  const auto* address = endpoint.data();
  if (address->sa_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
  if (address->sa_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(address)->sin6_port);
  return 0;
}

void HttpListener::start() {
  boost::asio::post(strand_, [self = shared_from_this()] { self->accept(); });
}

void HttpListener::close() {
  boost::asio::post(strand_, [self = shared_from_this()] {
    boost::system::error_code ignored;
    self->acceptor_.close(ignored);
    self->pause_.cancel();
  });
}

void HttpListener::accept() {
  acceptor_.async_accept(boost::asio::make_strand(context_->io),
                         [self = shared_from_this(), this](boost::system::error_code error, HttpSocket socket) {
                           if (!acceptor_.is_open()) return;
                           if (!error) {
                             take(std::move(socket));
                             return accept();
                           }
                           if (error == boost::asio::error::connection_aborted) return accept();
                           // No file or memory is left: the client waits in the kernel's queue, and trying again at once would only burn
                           // the CPU.
                           pause_.expires_after(std::chrono::milliseconds(50));
                           pause_.async_wait([self](boost::system::error_code cancelled) {
                             if (!cancelled && self->acceptor_.is_open()) self->accept();
                           });
                         });
}

void HttpListener::take(HttpSocket socket) {
  boost::system::error_code ignored;
  if (unix_socket_.empty()) socket.set_option(tcp::no_delay(true), ignored);
  {
    const std::lock_guard lock(context_->mutex);
    if (context_->winding_down) return;
    if (context_->connections.size() >= context_->limits.connections) {
      static constexpr std::string_view kFull =
          "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 32\r\n\r\n"
          "{\"error\":\"too many connections\"}";
      socket.non_blocking(true, ignored);
      if (tls_ == nullptr) socket.write_some(boost::asio::buffer(kFull), ignored);
      return;
    }
  }
  auto connection = tls_ != nullptr ? make_tls_connection(context_, std::move(socket), tls_)
                                    : make_plain_connection(context_, std::move(socket), !unix_socket_.empty());
  HttpStrand strand = connection->strand();
  const std::lock_guard lock(context_->mutex);
  if (context_->winding_down) return;
  context_->connections.insert(connection.get());
  boost::asio::post(strand, [connection = std::move(connection)] { connection->start(); });
}

}  // namespace polythrottle::server
