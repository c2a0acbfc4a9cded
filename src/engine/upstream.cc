#include "engine/upstream.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/http_url.h"

namespace polythrottle {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t kKeptConnections = 32;
constexpr const char* kHeadLength = "Inference-Header-Content-Length";

/// A connection, alive or not. Its operations run on the caller's thread, until they end or the time is up.
struct Connection {
  asio::io_context context{1};
  beast::tcp_stream stream{context};
  beast::flat_buffer buffer;
  bool used = false;  ///< it has answered before

  /// Starts an operation with `start(handler)` and waits for it.
  template <class Start>
  error_code wait(Start start) {
    error_code outcome = asio::error::would_block;
    start([&](error_code error, auto&&...) { outcome = error; });
    context.restart();
    context.run();
    return outcome;
  }
};

/// What went wrong, and whether a kept connection that the other side closed meanwhile explains it.
struct Trouble {
  error_code error;
  const char* act;
  bool before_answer;
};

class HttpUpstream final : public Upstream {
 public:
  HttpUpstream(HttpUrl url, Seconds timeout, std::size_t largest_answer)
      : url_(std::move(url)), timeout_(timeout), largest_answer_(largest_answer) {
    authority_ = url_.authority();
    name_ = "http://" + authority_;
  }
  const std::string& name() const override { return name_; }

  Result<UpstreamAnswer> get(std::string_view target) override {
    return exchange(fmt::format("GET {}{} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\r\n", url_.prefix, target, authority_), {},
                    {});
  }
  Result<UpstreamAnswer> post(std::string_view target, std::string_view json, std::span<const Bytes> tails) override {
    std::size_t size = json.size();
    for (const auto& tail : tails) size += tail.view.size();
    std::string head = fmt::format("POST {}{} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", url_.prefix, target, authority_, size);
    head += tails.empty() ? "Content-Type: application/json\r\n\r\n"
                          : fmt::format("Content-Type: application/octet-stream\r\n{}: {}\r\n\r\n", kHeadLength, json.size());
    return exchange(head, json, tails);
  }

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  Result<UpstreamAnswer> exchange(const std::string& head, std::string_view json, std::span<const Bytes> tails) {
    const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout_);
    for (;;) {
      auto connection = take();
      const bool kept = connection->used;
      auto answer = attempt(*connection, deadline, head, json, tails);
      if (answer) {
        if (connection->used) give(std::move(connection));
        return std::move(*answer);
      }
      const auto& trouble = answer.error();
      if (kept && trouble.before_answer && trouble.error != beast::error::timeout) {
        forget();  // it was restarted: the others are as dead
        continue;
      }
      if (trouble.error == beast::error::timeout) {
        return fail(Errc::kTimeout, fmt::format("{} {}: no answer within {:g} s", trouble.act, name_, timeout_.count()));
      }
      return fail(Errc::kIo, fmt::format("{} {}: {}", trouble.act, name_, trouble.error.message()));
    }
  }

  tl::expected<UpstreamAnswer, Trouble> attempt(Connection& connection, Deadline deadline, const std::string& head, std::string_view json,
                                                std::span<const Bytes> tails) const {
    const auto trouble = [](error_code error, const char* act, bool before) {
      return tl::unexpected<Trouble>(Trouble{error, act, before});
    };
    auto& stream = connection.stream;
    stream.expires_at(deadline);
    if (!connection.used) {
      error_code error;
      const auto ends = resolve(connection.context, error);
      if (error) return trouble(error, "look up", true);
      error = connection.wait([&](auto handler) { stream.async_connect(ends, handler); });
      if (error) return trouble(error, "connect to", true);
      stream.socket().set_option(asio::ip::tcp::no_delay(true), error);
    }
    std::vector<asio::const_buffer> buffers{asio::buffer(head), asio::buffer(json.data(), json.size())};
    for (const auto& tail : tails) buffers.push_back(asio::buffer(tail.view.data(), tail.view.size()));
    if (const auto error = connection.wait([&](auto handler) { asio::async_write(stream, buffers, handler); })) {
      return trouble(error, "send to", true);
    }
    http::response_parser<http::string_body> parser;
    parser.body_limit(largest_answer_);
    // The head by itself: Beast forgets its limit where head and body come together.
    auto read = connection.wait([&](auto handler) { http::async_read_header(stream, connection.buffer, parser, handler); });
    if (!read && parser.content_length().value_or(0) > largest_answer_) read = http::error::body_limit;
    if (!read) read = connection.wait([&](auto handler) { http::async_read(stream, connection.buffer, parser, handler); });
    if (read) return trouble(read, "read from", !parser.got_some());
    connection.used = parser.get().keep_alive();
    UpstreamAnswer answer;
    answer.status = parser.get().result_int();
    const std::string length(parser.get()[kHeadLength]);
    auto body = std::make_shared<const std::string>(std::move(parser.get().body()));
    answer.head = body->size();
    if (!length.empty()) {
      const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), answer.head);
      if (error != std::errc() || end != length.data() + length.size() || answer.head > body->size()) {
        return trouble(http::make_error_code(http::error::bad_value), "read from", false);
      }
    }
    answer.body = std::move(body);
    return answer;
  }

  std::vector<asio::ip::tcp::endpoint> resolve(asio::io_context& context, error_code& error) const {
    const auto address = asio::ip::make_address(url_.host == "localhost" ? "127.0.0.1" : url_.host, error);
    if (!error) return {{address, url_.port}};
#if POLYTHROTTLE_STATIC
    (void)context;  // looking names up needs the C library of the machine it runs on
    return {};
#else
    std::vector<asio::ip::tcp::endpoint> ends;
    for (const auto& entry : asio::ip::tcp::resolver(context).resolve(url_.host, std::to_string(url_.port), error))
      ends.push_back(entry.endpoint());
    return ends;
#endif
  }

  std::unique_ptr<Connection> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Connection>();
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  void give(std::unique_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kKeptConnections) idle_.push_back(std::move(connection));
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    idle_.clear();
  }

  const HttpUrl url_;
  std::string authority_, name_;
  const Seconds timeout_;
  const std::size_t largest_answer_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace

Result<std::unique_ptr<Upstream>> Upstream::at(const std::string& url, Seconds timeout, std::size_t largest_answer) {
  auto parsed = HttpUrl::parse(url);
  if (!parsed) return fail(parsed.error().code, "upstream " + parsed.error().what, parsed.error().hint);
  return std::make_unique<HttpUpstream>(std::move(*parsed), timeout, largest_answer);
}

}  // namespace polythrottle
