#include "server/token.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <cerrno>

namespace polythrottle::server {
namespace {

constexpr std::size_t kShortest = 16, kLongest = 4096;

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;
Digest digest(std::string_view text) {
  Digest out{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

Result<Token> Token::read(const std::string& path) {
  const std::string act = "read the token file " + path;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(system_error(act, errno));
  struct stat found {};
  std::string text(kLongest + 2, '\0');
  // The opened file is judged, not the path: that could be another one by now.
  const bool known = fstat(fd, &found) == 0;
  const ssize_t count = ::read(fd, text.data(), text.size());
  const int read_error = errno;
  close(fd);
  if (!known || count < 0) return tl::unexpected(system_error(act, read_error));
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(Errc::kPermission, act + ": others than its owner may read or write it", "chmod 600 " + path);
  }
  text.resize(static_cast<std::size_t>(count));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const bool visible = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (text.size() < kShortest || text.size() > kLongest || !visible) {
    return fail(Errc::kInvalid, act + ": not one line of 16 to 4096 visible characters", "make one: openssl rand -hex 32 > " + path);
  }
  return Token(std::move(text));
}

bool Token::admits(std::string_view authorization) const {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return false;
  if (!std::equal(kScheme.begin(), kScheme.end(), authorization.begin(), [](char a, char b) { return a == lower(b); })) return false;
  // Digests have one length, so that not even the word's is told.
  const Digest given = digest(authorization.substr(kScheme.size())), right = digest(word_);
  return CRYPTO_memcmp(given.data(), right.data(), right.size()) == 0;
}

bool is_loopback(std::string_view host) {
  if (host == "localhost") return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  return !error && address.is_loopback();
}

Status check_exposure(const HttpListen& listen, bool has_token, bool insecure) {
  if (!listen.port || insecure || is_loopback(listen.host) || (listen.tls && has_token)) return {};
  const std::string lacks = listen.tls ? "no token" : has_token ? "no TLS" : "no TLS and no token";
  return fail(Errc::kInvalid, "serve: " + listen.host + " is reached from other machines, and there is " + lacks,
              "give a certificate and a token file, listen on 127.0.0.1 or a Unix socket, or allow it in so many words (--insecure)");
}

}  // namespace polythrottle::server
