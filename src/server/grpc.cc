#include "server/grpc.h"

#if POLYTHROTTLE_HAVE_GRPC

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <openssl/pem.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <mutex>
#include <utility>

#include "server/grpc_calls.h"
#include "server/grpc_messages.h"

namespace polythrottle::server {
namespace {

constexpr std::string_view kUnix = "unix:";
/// Names, shapes, parameters and the encoding of a request, beside its elements.
constexpr double kEnvelope = 64.0 * 1024.0;

/// gRPC says why it could not listen in its log only, and prints that unless told otherwise. One log for the whole process.
class LastWords {
 public:
  static LastWords& get() {
    static LastWords words;
    return words;
  }
  std::string take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(text_, {});
  }

 private:
  LastWords() {
    gpr_set_log_function([](gpr_log_func_args* line) {
      if (line->severity != GPR_LOG_SEVERITY_ERROR) return;
      const std::lock_guard lock(get().mutex_);
      if (get().text_.size() < kLongest) get().text_.append(line->message).push_back('\n');
    });
  }
  static constexpr std::size_t kLongest = 16 * 1024;
  std::mutex mutex_;
  std::string text_;
};

/// Does somebody listen on this socket? gRPC would take its place.
bool taken(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const bool answered = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN;
  close(probe);
  return answered;
}

Status check_address(const std::string& address) {
  if (address.starts_with(kUnix)) {
    const std::string path = address.substr(kUnix.size());
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
      return fail(Errc::kInvalid, fmt::format("listen on '{}': not a path of 1 to {} bytes", address, sizeof(sockaddr_un::sun_path) - 1));
    }
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_socket(status)) {
      return fail(Errc::kBusy, fmt::format("listen on {}: a file that is no socket is there", address), "remove it, or name another path");
    }
    if (taken(path)) return fail(Errc::kBusy, fmt::format("listen on {}: another process listens there", address));
    return {};
  }
  const auto colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (colon == 0 || !digits || std::stoi(port) > 65535) {
    return fail(Errc::kInvalid, fmt::format("listen on '{}': not an address", address), "HOST:PORT or unix:PATH");
  }
  return {};
}

/// gRPC would take a broken certificate and refuse every client.
Status check_pem(const GrpcOptions& options) {
  if (options.certificate.empty() && options.key.empty()) return {};
  if (options.certificate.empty() || options.key.empty()) {
    return fail(Errc::kInvalid, "TLS needs a certificate and its key", "give both or none");
  }
  using Memory = std::unique_ptr<BIO, decltype(&BIO_free)>;
  const Memory certificate(BIO_new_mem_buf(options.certificate.data(), static_cast<int>(options.certificate.size())), &BIO_free);
  const Memory key(BIO_new_mem_buf(options.key.data(), static_cast<int>(options.key.size())), &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> read(PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr), &X509_free);
  if (!read) return fail(Errc::kCorrupt, "TLS certificate: no certificate in PEM");
  // No password is asked for: an empty one is tried.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> secret(PEM_read_bio_PrivateKey(key.get(), nullptr, no_password, nullptr),
                                                                   &EVP_PKEY_free);
  if (!secret) return fail(Errc::kCorrupt, "TLS key: no private key in PEM without a password");
  if (X509_check_private_key(read.get(), secret.get()) != 1) return fail(Errc::kCorrupt, "TLS key: not that of the certificate");
  return {};
}

int largest_message(const Service& service) {
  double factor = 1.0;
  for (const auto& state : service.index()) {
    if (const auto model = service.model(state.name)) factor = std::max(factor, wire_factor(*model));
  }
  const double bytes = static_cast<double>(service.largest_request()) * factor + kEnvelope;
  return static_cast<int>(std::min(std::ceil(bytes), static_cast<double>(std::numeric_limits<int>::max())));
}

Error why_not(const std::string& address, const std::string& words) {
  const auto says = [&](std::string_view text) { return words.find(text) != std::string::npos; };
  if (says("Address already in use"))
    return {Errc::kBusy, fmt::format("listen on {}: the address is in use", address), "name another port"};
  if (says("Permission denied")) return {Errc::kPermission, fmt::format("listen on {}: permission denied", address), ""};
  if (says("No such file or directory")) return {Errc::kNotFound, fmt::format("listen on {}: no such folder", address), ""};
  if (says("Cannot assign requested address"))
    return {Errc::kNotFound, fmt::format("listen on {}: this machine has no such address", address), ""};
  return {Errc::kIo, fmt::format("listen on {}: failed", address), words.substr(0, words.find('\n'))};
}

class Server final : public GrpcServer {
 public:
  ~Server() override { stop(Seconds(0)); }
  const std::string& address() const override { return address_; }

  void stop(Seconds patience) override {
    if (!server_) return;
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(patience));
    server_.reset();
    if (address_.starts_with(kUnix)) {
      std::error_code ignored;
      std::filesystem::remove(address_.substr(kUnix.size()), ignored);
    }
  }

  static Result<std::unique_ptr<GrpcServer>> start(Service& service, const GrpcOptions& options) {
    TRY_STATUS(check_address(options.address));
    TRY_STATUS(check_pem(options));
    auto server = std::make_unique<Server>();
    server->calls_ = make_grpc_calls(service, options.concurrent, options.token);
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // else a second server would share the port, and get half of the calls
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.streams);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, static_cast<int>(options.handshake.count() * 1e3));
    // The limit on a message is that of its compressed form, which may be a thousand times as small.
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder.SetMaxReceiveMessageSize(largest_message(service));
    builder.RegisterService(&server->calls_->calls());
    auto credentials = grpc::InsecureServerCredentials();
    if (!options.certificate.empty()) {
      grpc::SslServerCredentialsOptions tls;
      tls.pem_key_cert_pairs.push_back({options.key, options.certificate});
      credentials = grpc::SslServerCredentials(tls);
    }
    int port = 0;
    builder.AddListeningPort(options.address, credentials, &port);
    LastWords::get().take();
    server->server_ = builder.BuildAndStart();
    if (!server->server_ || port == 0) {
      server->server_.reset();
      return tl::unexpected<Error>(why_not(options.address, LastWords::get().take()));
    }
    server->address_ = options.address;
    if (options.address.starts_with(kUnix)) {
      std::error_code error;
      std::filesystem::permissions(options.address.substr(kUnix.size()),
                                   std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, error);
      if (error) return fail(Errc::kPermission, fmt::format("set the mode of {} to 0600: {}", options.address, error.message()));
    } else {
      server->address_ = fmt::format("{}:{}", options.address.substr(0, options.address.rfind(':')), port);
    }
    return server;
  }

 private:
  std::string address_;
  std::unique_ptr<GrpcCalls> calls_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<GrpcServer>> serve_grpc(Service& service, const GrpcOptions& options) { return Server::start(service, options); }

}  // namespace polythrottle::server

#else

namespace polythrottle::server {

Result<std::unique_ptr<GrpcServer>> serve_grpc(Service&, const GrpcOptions&) {
  return fail(Errc::kUnsupported, "serve over gRPC: this build has no gRPC",
              "build it with libgrpc++-dev, protobuf-compiler and protobuf-compiler-grpc, or use REST");
}

}  // namespace polythrottle::server

#endif
