#pragma once
// Inside the HTTP server: one connection, request by request. Instantiated for plain sockets (http_plain.cc) and for TLS (http_tls.cc).

#include <algorithm>
#include <array>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "server/http_body.h"
#include "server/http_connection.h"

namespace polythrottle::server {

using HttpStream = boost::beast::basic_stream<boost::asio::generic::stream_protocol, HttpStrand>;

template <class Stream>
class HttpSession : public HttpConnection {
 public:
  template <class... Args>
  HttpSession(std::shared_ptr<HttpContext> context, bool over_unix_socket, Args&&... args)
      : HttpConnection(std::move(context)), over_unix_socket_(over_unix_socket), stream_(std::forward<Args>(args)...) {}
  ~HttpSession() override { give_room_back(); }

  void wind_down() override {
    last_ = true;
    if (phase_ == Phase::kIdle) close();
  }
  void close() override {
    phase_ = Phase::kClosed;
    bottom().close();
  }
  HttpStrand strand() override { return bottom().get_executor(); }

  void answer(HttpResponse response) override {
    if (phase_ != Phase::kHandling) return;  // closed since
    phase_ = Phase::kWriting;
    const auto& request = parser_->get();
    if (!request.keep_alive() || !parser_->is_done()) last_ = true;
    auto& message = response_.emplace();
    message.version(request.version());
    message.result(static_cast<unsigned>(response.status));
    message.set(boost::beast::http::field::content_type, response.type);
    for (const auto& [name, value] : response.headers) message.set(name, value);
    message.keep_alive(!last_);
    message.body().text = std::move(response.text);
    message.body().tails = std::move(response.tails);
    message.content_length(HttpBody::size(message.body()));
    if (request.method() == boost::beast::http::verb::head) message.body() = {};
    serializer_.emplace(message);
    bottom().expires_after(period(context_->limits.write));
    boost::beast::http::async_write(stream_, *serializer_, [self = this->shared(), this](boost::system::error_code error, std::size_t) {
      serializer_.reset();
      response_.reset();
      if (error || phase_ == Phase::kClosed) return close();
      if (last_) return hang_up();
      next_request();
    });
  }

 protected:
  enum class Phase { kIdle, kReading, kHandling, kWriting, kClosed };

  /// Says that nothing more comes and waits a moment for the client to hang up: closing at once would make the kernel reset the
  /// connection where bytes are unread, and the client could lose the answer.
  virtual void hang_up() = 0;

  HttpStream& bottom() { return boost::beast::get_lowest_layer(stream_); }
  std::shared_ptr<HttpSession> shared() { return std::static_pointer_cast<HttpSession>(shared_from_this()); }
  static std::chrono::steady_clock::duration period(Seconds seconds) {
    return std::chrono::duration_cast<std::chrono::steady_clock::duration>(seconds);
  }

  void next_request() {
    if (last_) return close();
    give_room_back();
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(context_->limits.header_bytes));
    // Beast 1.74 takes "no limit" for a limit of nothing; the length is looked at when the header is there.
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());
    admitted_ = false;
    if (buffer_.size() > 0) return begin_reading();
    if (buffer_.capacity() > 2 * kFirstRead) buffer_.shrink_to_fit();  // idle connections are many, large bodies few
    phase_ = Phase::kIdle;
    bottom().expires_after(period(context_->limits.idle));
    read();
  }

  void discard() {
    stream_.async_read_some(boost::asio::buffer(discarded_), [self = shared(), this](boost::system::error_code error, std::size_t) {
      if (error || phase_ == Phase::kClosed) return close();
      discard();
    });
  }

 private:
  static constexpr std::size_t kFirstRead = 4 * 1024, kBodyRead = 64 * 1024;

  void begin_reading() {
    phase_ = Phase::kReading;
    bottom().expires_after(period(context_->limits.request));
    parse();
  }

  void read() {
    const std::size_t room = parser_->is_header_done() ? kBodyRead : kFirstRead;
    stream_.async_read_some(buffer_.prepare(room), [self = shared(), this](boost::system::error_code error, std::size_t count) {
      if (error || phase_ == Phase::kClosed) return close();  // also a client that went in the middle of a request
      buffer_.commit(count);
      if (phase_ == Phase::kIdle) return begin_reading();
      parse();
    });
  }

  void parse() {
    namespace http = boost::beast::http;
    while (!parser_->is_done()) {
      if (buffer_.size() == 0) return read();
      boost::system::error_code error;
      buffer_.consume(parser_->put(buffer_.data(), error));
      if (error == http::error::need_more) {
        if (buffer_.size() <= std::max(context_->limits.header_bytes, kBodyRead)) return read();
        error = http::error::header_limit;
      }
      if (error == http::error::header_limit) return refuse(431, "the header is larger than this server takes");
      if (error == http::error::body_limit) return refuse_body();
      if (error) return refuse(400, "malformed HTTP: " + error.message());
      if (parser_->is_header_done() && !admitted_ && !admit()) return;
    }
    handle();
  }

  /// Of the header: is the body wanted? The request is answered where not.
  bool admit() {
    admitted_ = true;
    request_ = {};
    request_.over_unix_socket = over_unix_socket_;
    const auto& message = parser_->get();
    request_.method.assign(message.method_string().data(), message.method_string().size());
    request_.target.assign(message.target().data(), message.target().size());
    for (const auto& field : message) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      request_.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    auto limit = context_->handler.admit(request_);
    if (!limit) {
      phase_ = Phase::kHandling;
      answer(std::move(limit.error()));
      return false;
    }
    body_limit_ = *limit;
    if (parser_->content_length().value_or(0) > body_limit_) {
      refuse_body();
      return false;
    }
    parser_->body_limit(body_limit_);
    const std::size_t announced = parser_->chunked() ? body_limit_ : static_cast<std::size_t>(parser_->content_length().value_or(0));
    if (announced > 0 && !context_->take_room(announced)) {
      refuse(503, "the bodies of other requests take all the room that there is");
      return false;
    }
    room_ = announced;
    if (request_.header("expect") == "100-continue" && !parser_->is_done() && buffer_.size() == 0) {
      go_on();
      return false;
    }
    return true;
  }

  void go_on() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    boost::asio::async_write(stream_, boost::asio::buffer(kContinue),
                             [self = shared(), this](boost::system::error_code error, std::size_t) {
                               if (error || phase_ == Phase::kClosed) return close();
                               parse();
                             });
  }

  void handle() {
    phase_ = Phase::kHandling;
    request_.body = std::move(parser_->get().body());
    bottom().expires_never();
    HttpReply reply(std::make_shared<HttpReply::Pending>(shared(), context_));
    try {
      context_->handler.handle(std::move(request_), reply);
    } catch (const std::exception& e) {  // memory, or a fault of ours: of this request, not of the server
      reply(context_->handler.broken(500, e.what()));
    }
  }

  void give_room_back() { context_->give_room_back(std::exchange(room_, 0)); }

  void refuse_body() { refuse(413, "the body is larger than the " + std::to_string(body_limit_) + " bytes that this request may have"); }
  void refuse(int status, const std::string& why) {
    phase_ = Phase::kHandling;
    last_ = true;
    answer(context_->handler.broken(status, why));
  }

  const bool over_unix_socket_;

 protected:
  Stream stream_;
  Phase phase_ = Phase::kReading;

 private:
  bool last_ = false;  // the connection ends with the answer
  bool admitted_ = false;
  std::size_t body_limit_ = 0;
  std::size_t room_ = 0;  // taken for the body in hand
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpRequest request_;
  std::optional<boost::beast::http::response<HttpBody>> response_;
  std::optional<boost::beast::http::response_serializer<HttpBody>> serializer_;
  std::array<char, 512> discarded_{};
};

}  // namespace polythrottle::server
