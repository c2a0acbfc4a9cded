// The plain SHA-256 functions, not OpenSSL's EVP interface: that one brings 4 MB of providers, a loader of shared libraries and a
// resolver of host names into the static program.
#define OPENSSL_API_COMPAT 0x10101000L  // they are called deprecated from 3.0 on, without a date

#include "engine/hash.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

namespace polythrottle {

Result<std::string> sha256_of_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return tl::unexpected<Error>(system_error("open " + path, errno));
  SHA256_CTX context;
  bool fine = SHA256_Init(&context) == 1;
  std::vector<unsigned char> block(std::size_t{1} << 18);
  while (fine) {
    const std::size_t size = std::fread(block.data(), 1, block.size(), file.get());
    if (size == 0) break;
    fine = SHA256_Update(&context, block.data(), size) == 1;
  }
  if (std::ferror(file.get())) return tl::unexpected<Error>(system_error("read " + path, errno));
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  if (!fine || SHA256_Final(digest.data(), &context) != 1) return fail(Errc::kIo, "SHA-256 of " + path + ": libcrypto refused");
  std::string text;
  for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace polythrottle
