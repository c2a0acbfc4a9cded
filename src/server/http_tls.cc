// Connections with TLS. A static build has none: OpenSSL's sockets would bring in the C library's name service, which cannot be static.
#include "server/http_connection.h"

#if defined(POLYTHROTTLE_STATIC)

namespace polythrottle::server {

struct HttpTlsContext {};

Result<std::shared_ptr<HttpTlsContext>> read_tls(const HttpTls&) {
  return fail(Errc::kUnsupported, "serve over TLS: this static build has no TLS",
              "use the dynamic build, or a proxy in front of a Unix socket");
}

std::shared_ptr<HttpConnection> make_tls_connection(std::shared_ptr<HttpContext>, HttpSocket, std::shared_ptr<HttpTlsContext>) {
  return nullptr;  // there is no HttpTlsContext to call it with
}

}  // namespace polythrottle::server

#else

#include <boost/asio/ssl/context.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "server/http_session.h"

namespace polythrottle::server {

namespace ssl = boost::asio::ssl;

struct HttpTlsContext {
  ssl::context context{ssl::context::tls_server};
};

namespace {

using TlsStream = boost::beast::ssl_stream<HttpStream>;

class TlsSession final : public HttpSession<TlsStream> {
 public:
  TlsSession(std::shared_ptr<HttpContext> context, HttpSocket socket, std::shared_ptr<HttpTlsContext> tls)
      : HttpSession(std::move(context), false, std::move(socket), tls->context), tls_(std::move(tls)) {}

  void start() override {
    bottom().expires_after(period(context_->limits.request));
    stream_.async_handshake(ssl::stream_base::server, [self = shared(), this](boost::system::error_code error) {
      if (error || phase_ == Phase::kClosed) return close();
      next_request();
    });
  }

 private:
  void hang_up() override {
    bottom().expires_after(period(context_->limits.linger));
    stream_.async_shutdown([self = shared(), this](boost::system::error_code) { close(); });
  }

  const std::shared_ptr<HttpTlsContext> tls_;
};

Error bad_file(const char* act, const std::string& path, const boost::system::error_code& error) {
  return Error{Errc::kCorrupt, std::string(act) + " " + path + ": " + error.message(),
               "PEM files are needed, the key without a passphrase and of this certificate"};
}

}  // namespace

Result<std::shared_ptr<HttpTlsContext>> read_tls(const HttpTls& files) {
  auto tls = std::make_shared<HttpTlsContext>();
  boost::system::error_code error;
  tls->context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                           ssl::context::no_tlsv1_1);
  // A passphrase would be asked for on the terminal.
  tls->context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); });
  tls->context.use_certificate_chain_file(files.certificate, error);
  if (error) return tl::unexpected(bad_file("read the certificate", files.certificate, error));
  tls->context.use_private_key_file(files.key, ssl::context::pem, error);
  if (error) return tl::unexpected(bad_file("read the key", files.key, error));
  return tls;
}

std::shared_ptr<HttpConnection> make_tls_connection(std::shared_ptr<HttpContext> context, HttpSocket socket,
                                                    std::shared_ptr<HttpTlsContext> tls) {
  return std::make_shared<TlsSession>(std::move(context), std::move(socket), std::move(tls));
}

}  // namespace polythrottle::server

#endif
