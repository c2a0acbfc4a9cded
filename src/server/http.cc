// Starts and stops: the threads, the listeners, the connections that there are. One connection is http_session.h.
#include "server/http.h"

#include <sys/resource.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "server/http_connection.h"
#include "server/http_listener.h"

namespace polythrottle::server {

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

HttpConnection::HttpConnection(std::shared_ptr<HttpContext> context) : context_(std::move(context)) {}

HttpConnection::~HttpConnection() {
  const std::lock_guard lock(context_->mutex);
  context_->connections.erase(this);
  if (context_->connections.empty()) context_->none_left.notify_all();
}

void HttpConnection::answer_made(const std::function<HttpResponse()>& response) {
  try {
    answer(response());
  } catch (const std::exception& e) {  // memory
    answer(context_->handler.broken(500, e.what()));
  }
}

void HttpReply::operator()(HttpResponse response) const { pending_->send(std::move(response)); }
void HttpReply::make(std::function<HttpResponse()> response) const { pending_->make(std::move(response)); }

std::shared_ptr<HttpConnection> HttpReply::Pending::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(connection_, nullptr);
}

void HttpReply::Pending::send(HttpResponse response) {
  const auto connection = take();
  if (connection == nullptr) return;
  HttpStrand strand = connection->strand();
  if (strand.running_in_this_thread()) return connection->answer(std::move(response));
  const std::lock_guard lock(context_->mutex);
  if (context_->stopped) return;
  boost::asio::post(strand, [connection, answer = std::move(response)]() mutable { connection->answer(std::move(answer)); });
}

void HttpReply::Pending::make(std::function<HttpResponse()> response) {
  const auto connection = take();
  if (connection == nullptr) return;
  HttpStrand strand = connection->strand();
  if (strand.running_in_this_thread()) return connection->answer_made(response);
  const std::lock_guard lock(context_->mutex);
  if (context_->stopped) return;
  boost::asio::post(strand, [connection, make = std::move(response)] { connection->answer_made(make); });
}

HttpReply::Pending::~Pending() {
  if (connection_ == nullptr) return;
  HttpStrand strand = connection_->strand();
  const std::lock_guard lock(context_->mutex);
  if (context_->stopped) return;
  boost::asio::post(strand, [connection = std::move(connection_), context = context_.get()] {
    connection->answer(context->handler.broken(500, "the request was given up without an answer"));
  });
}

namespace {

/// Every connection is an open file; the usual limit of 1024 is a soft one.
void allow_open_files(std::size_t connections) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, connections + 256);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

class Server final : public HttpServer {
 public:
  Server(HttpHandler& handler, const HttpLimits& limits)
      : context_(std::make_shared<HttpContext>(handler, limits)), work_(context_->io.get_executor()) {}
  ~Server() override { stop(Seconds(0)); }

  Status listen(const HttpListen& listen) {
    if (!listen.port && listen.unix_socket.empty()) {
      return fail(Errc::kInvalid, "serve: neither a port nor a Unix socket to listen on", "give one of them");
    }
    if (listen.port) {
      std::shared_ptr<HttpTlsContext> tls;
      if (listen.tls) {
        TRY(tls, read_tls(*listen.tls));
      }
      TRY(auto listener, HttpListener::on_port(context_, listen.host, *listen.port, tls));
      port_ = listener->port();
      listeners_.push_back(std::move(listener));
    }
    if (!listen.unix_socket.empty()) {
      TRY(auto listener, HttpListener::on_unix_socket(context_, listen.unix_socket));
      listeners_.push_back(std::move(listener));
    }
    return {};
  }

  void run() {
    for (const auto& listener : listeners_) listener->start();
    for (int i = 0; i < std::max(1, context_->limits.threads); ++i) {
      threads_.emplace_back([this] { context_->io.run(); });
    }
  }

  std::uint16_t port() const override { return port_; }

  std::size_t connections() const override {
    const std::lock_guard lock(context_->mutex);
    return context_->connections.size();
  }

  void stop(Seconds patience) override {
    {
      const std::lock_guard lock(context_->mutex);
      if (std::exchange(context_->winding_down, true)) return;
    }
    for (const auto& listener : listeners_) listener->close();
    each([](HttpConnection& connection) { connection.wind_down(); });
    {
      std::unique_lock lock(context_->mutex);
      context_->none_left.wait_for(lock, patience, [this] { return context_->connections.empty(); });
      context_->stopped = true;
    }
    each([](HttpConnection& connection) { connection.close(); });
    work_.reset();  // the threads end with the last operation, all of which have been cancelled
    for (std::thread& thread : threads_) thread.join();
    listeners_.clear();
  }

 private:
  /// On the strand of each.
  void each(void (*act)(HttpConnection&)) {
    const std::lock_guard lock(context_->mutex);
    for (HttpConnection* connection : context_->connections) {
      if (auto held = connection->weak_from_this().lock()) {
        HttpStrand strand = held->strand();
        boost::asio::post(strand, [held = std::move(held), act] { act(*held); });
      }
    }
  }

  const std::shared_ptr<HttpContext> context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::shared_ptr<HttpListener>> listeners_;
  std::vector<std::thread> threads_;
  std::uint16_t port_ = 0;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpHandler& handler, const HttpListen& listen, const HttpLimits& limits) {
  allow_open_files(limits.connections);
  auto server = std::make_unique<Server>(handler, limits);
  TRY_STATUS(server->listen(listen));
  server->run();
  return server;
}

}  // namespace polythrottle::server
