#include "cli/serve_fronts.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>

#include "server/grpc.h"
#include "server/http.h"
#include "server/rest.h"
#include "server/token.h"

namespace polythrottle {
namespace {

struct Address {
  std::string host;
  std::uint16_t port = 0;
};

/// "127.0.0.1:8000", "[::1]:8000", "*:8000", ":8000" (loopback).
Result<Address> parse_address(const std::string& text, const char* flag) {
  const auto colon = text.rfind(':');
  const auto wrong = [&] {
    return fail(Errc::kInvalid, fmt::format("{} {}: no address", flag, text), "give HOST:PORT, as in 127.0.0.1:8000, or none");
  };
  if (colon == std::string::npos) return wrong();
  Address out{text.substr(0, colon), 0};
  if (out.host.starts_with('[') && out.host.ends_with(']')) out.host = out.host.substr(1, out.host.size() - 2);
  if (out.host.empty()) out.host = "127.0.0.1";
  const char* const from = text.data() + colon + 1;
  const char* const to = text.data() + text.size();
  const auto [end, error] = std::from_chars(from, to, out.port);
  if (error != std::errc() || end != to) return wrong();
  return out;
}

Result<std::string> whole_file(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  if (!file) return tl::unexpected<Error>(system_error("read " + path, errno));
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

Result<server::HttpListen> listen_of(const FrontFlags& flags) {
  server::HttpListen listen;
  if (flags.http != "none") {
    TRY(const auto address, parse_address(flags.http, "--http"));
    listen.host = address.host;
    listen.port = address.port;
  }
  listen.unix_socket = flags.unix_socket;
  if (!flags.certificate.empty()) listen.tls = server::HttpTls{flags.certificate, flags.key};
  return listen;
}

class OpenFronts final : public Fronts {
 public:
  OpenFronts(server::Service& service, server::RestOptions options) : rest_(service, std::move(options)) {}

  std::vector<std::string> addresses() const override { return addresses_; }

  void stop(Seconds patience) override {
    if (grpc) grpc->stop(patience);
    if (http) http->stop(patience);
  }

  server::Rest rest_;
  std::unique_ptr<server::HttpServer> http;
  std::unique_ptr<server::GrpcServer> grpc;
  std::vector<std::string> addresses_;
};

}  // namespace

void bind_fronts(CLI::App& command, FrontFlags& flags) {
  command.add_option("--http", flags.http, "REST, metrics and the live page: HOST:PORT (port 0: any), or none")->capture_default_str();
  command.add_option("--grpc", flags.grpc, "gRPC: HOST:PORT, or none")->capture_default_str();
  command.add_option("--unix", flags.unix_socket, "REST on a Unix socket too, for this user alone");
  command.add_option("--tls-cert", flags.certificate, "PEM file; with it HTTP and gRPC speak TLS");
  command.add_option("--tls-key", flags.key, "PEM file");
  command.add_option("--token-file", flags.token_file, "Clients must name the word in this file (Authorization: Bearer)");
  command.add_flag("--insecure", flags.insecure, "Listen beyond this machine without TLS and token");
  command.add_option("--http-threads", flags.threads, "Threads of the REST server")->capture_default_str()->check(CLI::Range(1, 64));
}

Status check_fronts(const FrontFlags& flags) {
  if (flags.certificate.empty() != flags.key.empty()) return fail(Errc::kInvalid, "--tls-cert and --tls-key go together");
  TRY(auto listen, listen_of(flags));
  if (!listen.port && listen.unix_socket.empty() && flags.grpc == "none")
    return fail(Errc::kInvalid, "there is nothing to listen on", "give --http, --grpc or --unix");
  const bool token = !flags.token_file.empty();
  if (listen.port) TRY_STATUS(server::check_exposure(listen, token, flags.insecure));
  if (flags.grpc != "none" && !flags.grpc.starts_with("unix:")) {
    TRY(const auto address, parse_address(flags.grpc, "--grpc"));
    listen.host = address.host;
    listen.port = address.port;
    TRY_STATUS(server::check_exposure(listen, token, flags.insecure));
  }
  return {};
}

Result<std::unique_ptr<Fronts>> open_fronts(server::Service& service, const FrontFlags& flags) {
  server::RestOptions options;
  if (!flags.token_file.empty()) {
    TRY(options.token, server::Token::read(flags.token_file));
  }
  const auto token = options.token;
  auto out = std::make_unique<OpenFronts>(service, std::move(options));
  TRY(const auto listen, listen_of(flags));
  if (listen.port || !listen.unix_socket.empty()) {
    server::HttpLimits limits;
    limits.threads = flags.threads;
    TRY(out->http, server::HttpServer::start(out->rest_, listen, limits));
    if (listen.port) out->addresses_.push_back(fmt::format("{}://{}:{}", listen.tls ? "https" : "http", listen.host, out->http->port()));
    if (!listen.unix_socket.empty()) out->addresses_.push_back("unix:" + listen.unix_socket);
  }
  if (flags.grpc != "none") {
    server::GrpcOptions grpc;
    grpc.address = flags.grpc;
    TRY(grpc.certificate, whole_file(flags.certificate));
    TRY(grpc.key, whole_file(flags.key));
    grpc.token = token;
    auto opened = server::serve_grpc(service, grpc);
    if (opened) {
      out->grpc = std::move(*opened);
      out->addresses_.push_back("grpc " + out->grpc->address());
    } else if (opened.error().code != Errc::kUnsupported || flags.grpc != FrontFlags{}.grpc) {
      return tl::unexpected<Error>(opened.error());
    }
  }
  return out;
}

}  // namespace polythrottle
