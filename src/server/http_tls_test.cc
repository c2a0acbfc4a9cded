// TLS on a real socket, with a certificate made here and OpenSSL's own client as the peer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <filesystem>
#include <memory>

#include "server/http.h"
#include "server/loopback_client.h"
#include "server/self_signed.h"

namespace polythrottle::server {
namespace {

using testing::HasSubstr;

struct Hello : HttpHandler {
  tl::expected<std::size_t, HttpResponse> admit(const HttpRequest&) override { return 1 << 20; }
  void handle(HttpRequest request, HttpReply reply) override { reply({.text = request.body + "!"}); }
  HttpResponse broken(int status, std::string_view why) override { return {.status = status, .text = std::string(why)}; }
};

struct Tls : testing::Test {
  Tls() {
    std::filesystem::create_directories(folder);
    make_certificate(certificate, key);
  }
  ~Tls() override { std::filesystem::remove_all(folder); }
  Result<std::unique_ptr<HttpServer>> start(HttpTls files) {
    return HttpServer::start(hello, {.port = 0, .tls = std::move(files)}, {.request = Seconds(20)});
  }

  const std::string folder = testing::TempDir() + "tls_test_" + std::to_string(getpid());
  const std::string certificate = folder + "/cert.pem", key = folder + "/key.pem";
  Hello hello;
};

/// What the server answers to these bytes, by OpenSSL's client, which trusts the certificate alone. With an old protocol: "" where refused.
std::string over_tls(int port, const std::string& certificate, const std::string& bytes, int newest = TLS1_3_VERSION) {
  const Held<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_load_verify_locations(context.get(), certificate.c_str(), nullptr);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_max_proto_version(context.get(), newest);
  SSL_CTX_set_security_level(context.get(), 0);
  const Held<BIO, BIO_free_all> bio(BIO_new_ssl_connect(context.get()));
  BIO_set_conn_hostname(bio.get(), ("127.0.0.1:" + std::to_string(port)).c_str());
  if (BIO_do_handshake(bio.get()) != 1) return "";
  BIO_write(bio.get(), bytes.data(), static_cast<int>(bytes.size()));
  std::string out;
  char buffer[4096];
  for (int count = 0; (count = BIO_read(bio.get(), buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(count));
  return out;
}

TEST_F(Tls, ServesTheSameAsWithout) {
  const auto server = start({certificate, key});
  ASSERT_TRUE(server) << server.error().text();
  const std::string answer = over_tls((*server)->port(), certificate, post("/a", "1") + post("/a", "2", "Connection: close\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\n1!HTTP/1.1 200"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n2!")) << answer;
}

TEST_F(Tls, RefusesOldProtocols) {
  const auto server = start({certificate, key});
  ASSERT_TRUE(server);
  EXPECT_EQ(over_tls((*server)->port(), certificate, get("/a", "Connection: close\r\n"), TLS1_1_VERSION), "");
  EXPECT_THAT(over_tls((*server)->port(), certificate, get("/a", "Connection: close\r\n"), TLS1_2_VERSION), HasSubstr("200"));
}

TEST_F(Tls, OutlivesClientsThatSpeakNoTlsOrVanish) {
  const auto server = start({certificate, key});
  ASSERT_TRUE(server);
  EXPECT_NE(LoopbackClient((*server)->port()).ask(get("/plain")).status, 200);
  LoopbackClient((*server)->port()).send("\x16\x03\x01");
  EXPECT_THAT(over_tls((*server)->port(), certificate, get("/a", "Connection: close\r\n")), HasSubstr("200"));
}

TEST_F(Tls, NamesTheFileThatIsWrong) {
  const std::string other_key = folder + "/other.pem";
  make_certificate(folder + "/other_cert.pem", other_key);
  EXPECT_THAT(start({folder + "/none", key}).error().what, HasSubstr("the certificate " + folder + "/none"));
  EXPECT_THAT(start({certificate, certificate}).error().what, HasSubstr("the key " + certificate));
  EXPECT_THAT(start({certificate, other_key}).error().what, HasSubstr("the key " + other_key));
}

}  // namespace
}  // namespace polythrottle::server
