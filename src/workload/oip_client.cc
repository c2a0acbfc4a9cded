#include "workload/oip_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace polythrottle {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::chrono::milliseconds kTick{100};
constexpr std::uint64_t kLargestAnswer = std::uint64_t{1} << 30;
constexpr std::size_t kLongestReason = 200;

/// What the server says is wrong, on one line.
std::string reason_of(const http::response<http::string_body>& answer) {
  std::string words;
  if (const auto body = nlohmann::json::parse(answer.body(), nullptr, false); body.is_object()) {
    if (const auto found = body.find("error"); found != body.end() && found->is_string()) words = found->get<std::string>();
  }
  words.resize(std::min(words.size(), kLongestReason));
  std::replace_if(
      words.begin(), words.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return words.empty() ? fmt::format("HTTP {}", answer.result_int()) : fmt::format("HTTP {}: {}", answer.result_int(), words);
}

struct Request {
  Exchange exchange;
  std::size_t payload = 0;
  bool again = false;
};

class Load;

/// One connection; used again and again.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::io_context& context, Load& load) : stream_(context), load_(load) {}
  void start(Request request);
  void close() {
    error_code ignored;
    stream_.socket().close(ignored);
    kept_ = false;
  }
  std::optional<Request> take() { return std::exchange(request_, std::nullopt); }

 private:
  void send();
  void receive();
  void received(error_code error);
  void broken(const char* act, error_code error, bool unread);

  beast::tcp_stream stream_;
  Load& load_;
  beast::flat_buffer buffer_;
  std::optional<http::response_parser<http::string_body>> parser_;
  std::optional<Request> request_;
  bool kept_ = false;  ///< open, and has answered before
};

class Load {
 public:
  Load(Clock& clock, OipLoadOptions options, const OipLoadWatch& watch, std::stop_token stop)
      : options_(std::move(options)), watch_(watch), clock_(clock), stop_(std::move(stop)), arrival_(context_), tick_(context_) {
    const std::string target = fmt::format("{}/v2/models/{}{}/infer", options_.server.prefix, options_.model,
                                           options_.version.empty() ? "" : "/versions/" + options_.version);
    for (const auto& payload : options_.payloads) {
      std::string head =
          fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nContent-Type: {}\r\n", target, options_.server.authority(),
                      payload.body.size(), payload.head ? "application/octet-stream" : "application/json");
      if (payload.head) head += fmt::format("Inference-Header-Content-Length: {}\r\n", *payload.head);
      wires_.push_back(head + "\r\n" + payload.body);
    }
  }

  Result<OipLoadRun> run() {
    TRY(const auto addresses, options_.server.addresses());
    for (const auto& text : addresses) {
      error_code error;
      const auto address = asio::ip::make_address(text, error);
      if (!error) ends_.emplace_back(address, options_.server.port);
    }
    options_.arrivals.restart();
    next_ = options_.arrivals.next();
    run_.began = clock_.now();
    wait_for_arrival();
    wait_for_tick();
    context_.run();
    run_.ended = clock_.now();
    return run_;
  }

  // For connections.
  Seconds now() const { return clock_.now() - run_.began; }
  std::chrono::steady_clock::time_point at(Seconds time) const {
    return std::chrono::time_point_cast<std::chrono::steady_clock::duration>(run_.began + time);
  }
  std::chrono::steady_clock::time_point deadline(const Request& request) const {
    return at(request.exchange.scheduled + options_.patience);
  }
  const std::string& wire(const Request& request) const { return wires_[request.payload]; }
  const std::vector<asio::ip::tcp::endpoint>& ends() const { return ends_; }
  void sent_again() { ++run_.reconnects; }
  bool stopped() const { return stopped_; }
  void ended(const std::shared_ptr<Connection>& connection, Request request, Exchange::Outcome outcome, std::string reason) {
    report(std::move(request), outcome, std::move(reason));
    if (stopped_) return;
    if (waiting_.empty()) {
      idle_.push_back(connection);
      end_if_done();
    } else {
      auto next = std::move(waiting_.front());
      waiting_.pop_front();
      connection->start(std::move(next));
    }
  }

 private:
  void report(Request request, Exchange::Outcome outcome, std::string reason) {
    --under_way_;
    Exchange& exchange = request.exchange;
    exchange.ended = now();
    exchange.outcome = outcome;
    exchange.reason = std::move(reason);
    obey(watch_.ended(exchange));
  }

  void obey(Go go) {
    if (stopped_) return;
    if (go != Go::kOn) no_more_ = true;
    if (go == Go::kStop) {
      // Not from inside a connection's own call.
      stopped_ = true;
      asio::post(context_, [this] { stop_all(); });
    }
  }

  void stop_all() {
    arrival_.cancel();
    tick_.cancel();
    for (const auto& connection : connections_) {
      connection->close();
      if (auto request = connection->take()) report(std::move(*request), Exchange::Outcome::kUnanswered, "the load was ended");
    }
    for (auto& request : std::exchange(waiting_, {})) report(std::move(request), Exchange::Outcome::kUnanswered, "the load was ended");
  }

  void wait_for_arrival() {
    if (no_more_ || next_ >= options_.duration) {
      no_more_ = true;
      end_if_done();
      return;
    }
    arrival_.expires_at(at(next_));
    arrival_.async_wait([this](error_code error) {
      if (error) return;
      for (Seconds noticed = now(); !no_more_ && next_ <= noticed && next_ < options_.duration; next_ = options_.arrivals.next()) {
        Request request;
        request.exchange.scheduled = next_;
        request.exchange.noticed = noticed = now();
        request.payload = count_++ % wires_.size();
        dispatch(std::move(request));
      }
      wait_for_arrival();
    });
  }

  void dispatch(Request request) {
    ++under_way_;
    if (!idle_.empty()) {
      // The latest used first: it is the least likely to have been closed.
      const auto connection = idle_.back();
      idle_.pop_back();
      return connection->start(std::move(request));
    }
    if (connections_.size() < options_.connections) {
      connections_.push_back(std::make_shared<Connection>(context_, *this));
      run_.connections = connections_.size();
      return connections_.back()->start(std::move(request));
    }
    request.exchange.waited = true;
    waiting_.push_back(std::move(request));
  }

  void wait_for_tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([this](error_code error) {
      if (error || stopped_) return;
      while (!waiting_.empty() && now() >= waiting_.front().exchange.scheduled + options_.patience) {
        auto request = std::move(waiting_.front());
        waiting_.pop_front();
        report(std::move(request), Exchange::Outcome::kFailed,
               fmt::format("no connection was free within {:g} s", options_.patience.count()));
      }
      if (stop_.stop_requested()) {
        obey(Go::kStop);
      } else if (watch_.tick) {
        obey(watch_.tick(now(), under_way_, waiting_.size()));
      }
      if (no_more_) {
        arrival_.cancel();
        end_if_done();
      }
      if (!done_ && !stopped_) wait_for_tick();
    });
  }

  void end_if_done() {
    if (!no_more_ || under_way_ > 0 || done_) return;
    done_ = true;
    arrival_.cancel();
    tick_.cancel();
    for (const auto& connection : connections_) connection->close();
  }

  asio::io_context context_{1};
  OipLoadOptions options_;
  const OipLoadWatch& watch_;
  Clock& clock_;
  std::stop_token stop_;
  asio::steady_timer arrival_, tick_;
  std::vector<std::string> wires_;  ///< whole requests, head and body
  std::vector<asio::ip::tcp::endpoint> ends_;
  std::vector<std::shared_ptr<Connection>> connections_, idle_;
  std::deque<Request> waiting_;
  OipLoadRun run_;
  Seconds next_{0};
  std::size_t count_ = 0, under_way_ = 0;
  bool no_more_ = false, stopped_ = false, done_ = false;
};

void Connection::start(Request request) {
  request_ = std::move(request);
  stream_.expires_at(load_.deadline(*request_));
  if (kept_) return send();
  stream_.async_connect(load_.ends(), [self = shared_from_this()](error_code error, const auto&) {
    if (error) return self->broken("connect", error, false);
    self->stream_.socket().set_option(asio::ip::tcp::no_delay(true), error);
    self->send();
  });
}

void Connection::send() {
  if (!request_) return;
  asio::async_write(stream_, asio::buffer(load_.wire(*request_)), [self = shared_from_this()](error_code error, std::size_t) {
    if (error) return self->broken("send", error, true);
    self->receive();
  });
}

void Connection::receive() {
  parser_.emplace();
  parser_->body_limit(kLargestAnswer);
  http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) { self->received(error); });
}

void Connection::received(error_code error) {
  if (error) return broken("receive", error, !parser_->got_some());
  if (!request_) return;
  const auto answer = parser_->release();
  if (answer.keep_alive()) {
    kept_ = true;
  } else {
    close();
  }
  auto request = std::move(*take());
  const unsigned status = answer.result_int();
  const auto outcome = status == 200   ? Exchange::Outcome::kAnswered
                       : status == 503 ? Exchange::Outcome::kDropped
                                       : Exchange::Outcome::kFailed;
  load_.ended(shared_from_this(), std::move(request), outcome, status == 200 ? "" : reason_of(answer));
}

void Connection::broken(const char* act, error_code error, bool unread) {
  const bool kept = kept_;
  close();
  buffer_.clear();
  auto taken = take();
  if (!taken || load_.stopped()) {
    if (taken) request_ = std::move(taken);  // for whoever stops the load
    return;
  }
  auto request = std::move(*taken);
  if (kept && unread && !request.again && error != beast::error::timeout) {
    request.again = true;
    load_.sent_again();
    return start(std::move(request));
  }
  load_.ended(shared_from_this(), std::move(request), Exchange::Outcome::kFailed,
              error == beast::error::timeout ? fmt::format("{}: no answer in time", act) : fmt::format("{}: {}", act, error.message()));
}

}  // namespace

Result<OipLoadRun> run_oip_load(Clock& clock, OipLoadOptions options, const OipLoadWatch& watch, std::stop_token stop) {
  if (options.payloads.empty()) return fail(Errc::kInvalid, "load: no payload is given");
  if (options.connections == 0) return fail(Errc::kInvalid, "load: 0 connections", "1 or more");
  return Load(clock, std::move(options), watch, std::move(stop)).run();
}

}  // namespace polythrottle
