// The one place of src/cli that knows Boost.Beast.

#include "cli/http_client.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace polythrottle {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint64_t kLongestAnswer = 64 << 20;  ///< bytes; a list of many jobs has some megabytes

/// Runs one asynchronous call to its end: only those know of timeouts.
template <class Start>
error_code wait_for(asio::io_context& context, Start start) {
  error_code out = asio::error::would_block;
  start([&out](error_code error, auto&&...) { out = error; });
  context.restart();
  context.run();
  return out;
}

class Client : public HttpClient {
 public:
  Client(std::string name, std::string host, std::string token, Seconds timeout)
      : name_(std::move(name)), host_(std::move(host)), token_(std::move(token)), timeout_(timeout) {}

 protected:
  template <class Protocol, class Ends>
  Result<HttpAnswer> exchange(asio::io_context& context, const Ends& ends, std::string_view method, const std::string& target,
                              std::string body) const {
    http::request<http::string_body> request(http::string_to_verb({method.data(), method.size()}), target, 11);
    request.set(http::field::host, host_);
    request.set(http::field::accept, "application/json");
    request.keep_alive(false);
    if (!token_.empty()) request.set(http::field::authorization, "Bearer " + token_);
    if (!body.empty()) request.set(http::field::content_type, "application/json");
    request.body() = std::move(body);
    request.prepare_payload();

    beast::basic_stream<Protocol> stream(context);
    stream.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout_));
    auto error = wait_for(context, [&](auto handler) { connect(stream, ends, handler); });
    if (error) return failed("connect to", error);
    error = wait_for(context, [&](auto handler) { http::async_write(stream, request, handler); });
    // A server that refuses the head of a long request may answer before it has read all of it.
    http::response_parser<http::string_body> parser;
    parser.body_limit(kLongestAnswer);
    beast::flat_buffer buffer;
    // The head by itself: Beast forgets its limit where head and body come together.
    auto read = wait_for(context, [&](auto handler) { http::async_read_header(stream, buffer, parser, handler); });
    if (!read && parser.content_length().value_or(0) > kLongestAnswer) read = http::error::body_limit;
    if (!read) read = wait_for(context, [&](auto handler) { http::async_read(stream, buffer, parser, handler); });
    if (read) return failed(error ? "send to" : "read from", error ? error : read);
    auto& response = parser.get();
    const auto next = response["Next-Offset"];
    return HttpAnswer{.status = static_cast<int>(response.result_int()),
                      .body = std::move(response.body()),
                      .next_offset = std::string(next.data(), next.size())};
  }

  tl::unexpected<Error> failed(const char* act, error_code error) const {
    if (error == beast::error::timeout) {
      return fail(Errc::kTimeout, fmt::format("{} {}: no answer within {:g} s", act, name_, timeout_.count()));
    }
    const bool nobody = error == asio::error::connection_refused || error == boost::system::errc::no_such_file_or_directory;
    return fail(nobody ? Errc::kNotFound : Errc::kIo, fmt::format("{} {}: {}", act, name_, error.message()),
                nobody ? "is 'polythrottle serve' running? --server says where" : "");
  }

 private:
  template <class Stream, class Handler>
  static void connect(Stream& stream, const std::vector<asio::ip::tcp::endpoint>& ends, Handler handler) {
    stream.async_connect(ends, handler);
  }
  template <class Stream, class Handler>
  static void connect(Stream& stream, const asio::local::stream_protocol::endpoint& end, Handler handler) {
    stream.async_connect(end, handler);
  }

  const std::string name_, host_, token_;
  const Seconds timeout_;
};

class TcpClient final : public Client {
 public:
  TcpClient(std::string server, std::string host, std::string port, std::string token, Seconds timeout)
      : Client(std::move(server), host.find(':') == std::string::npos ? host + ":" + port : "[" + host + "]:" + port, std::move(token),
               timeout),
        host_(std::move(host)),
        port_(std::move(port)) {}

  bool is_local() const override {
    error_code error;
    return host_ == "localhost" || asio::ip::make_address(host_, error).is_loopback();
  }

  Result<HttpAnswer> ask(std::string_view method, const std::string& target, std::string body) override {
    asio::io_context context;
    error_code error;
    const auto ends = resolve(context, error);
    if (error || ends.empty()) return failed("look up", error ? error : error_code(asio::error::host_not_found));
    return exchange<asio::ip::tcp>(context, ends, method, target, std::move(body));
  }

 private:
  std::vector<asio::ip::tcp::endpoint> resolve(asio::io_context& context, error_code& error) const {
    const auto address = asio::ip::make_address(host_ == "localhost" ? "127.0.0.1" : host_, error);
    if (!error) return {{address, static_cast<std::uint16_t>(std::stoul(port_))}};
#if POLYTHROTTLE_STATIC
    (void)context;  // looking names up needs the C library of the machine it runs on
    return {};
#else
    error = {};
    std::vector<asio::ip::tcp::endpoint> ends;
    for (const auto& entry : asio::ip::tcp::resolver(context).resolve(host_, port_, error)) ends.push_back(entry.endpoint());
    return ends;
#endif
  }

  const std::string host_, port_;
};

class UnixClient final : public Client {
 public:
  UnixClient(std::string server, std::string path, std::string token, Seconds timeout)
      : Client(std::move(server), "localhost", std::move(token), timeout), path_(std::move(path)) {}

  bool is_local() const override { return true; }

  Result<HttpAnswer> ask(std::string_view method, const std::string& target, std::string body) override {
    asio::io_context context;
    return exchange<asio::local::stream_protocol>(context, asio::local::stream_protocol::endpoint(path_), method, target, std::move(body));
  }

 private:
  const std::string path_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::at(const std::string& server, std::string token, Seconds timeout) {
  constexpr std::string_view kUnix = "unix:", kHttp = "http://";
  constexpr std::size_t kLongestPath = 107;  // of a Unix socket (unix(7))
  const auto wrong = [&] {
    return fail(Errc::kInvalid, fmt::format("--server '{}' is no address of a server", server),
                "as in http://127.0.0.1:8000 or unix:/run/pt.sock");
  };
  if (server.starts_with(kUnix)) {
    const std::string path = server.substr(kUnix.size());
    if (path.empty() || path.size() > kLongestPath) return wrong();
    return std::make_unique<UnixClient>(server, path, std::move(token), timeout);
  }
  if (server.starts_with("https://")) {
    return fail(Errc::kUnsupported, "--server " + server + ": TLS is not spoken here",
                "use a tunnel, or curl: docs/jobs.md has the requests");
  }
  if (!server.starts_with(kHttp)) return wrong();
  std::string host = server.substr(kHttp.size()), port = "80";
  if (host.ends_with('/')) host.pop_back();
  const auto colon = host.rfind(':');
  if (colon != std::string::npos && host.find(']', colon) == std::string::npos) {
    port = host.substr(colon + 1);
    host.resize(colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool is_port = error == std::errc() && end == port.data() + port.size() && number > 0 && number < 65536;
  if (host.empty() || !is_port || host.find_first_of("/@?# ") != std::string::npos) return wrong();
  return std::make_unique<TcpClient>(server, host, port, std::move(token), timeout);
}

}  // namespace polythrottle
