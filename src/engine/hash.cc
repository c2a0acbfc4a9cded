#include "engine/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

namespace polythrottle {

Result<std::string> sha256_of_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return tl::unexpected<Error>(system_error("open " + path, errno));
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool fine = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::vector<unsigned char> block(std::size_t{1} << 18);
  while (fine) {
    const std::size_t size = std::fread(block.data(), 1, block.size(), file.get());
    if (size == 0) break;
    fine = EVP_DigestUpdate(context.get(), block.data(), size) == 1;
  }
  if (std::ferror(file.get())) return tl::unexpected<Error>(system_error("read " + path, errno));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (!fine || EVP_DigestFinal_ex(context.get(), digest.data(), &length) != 1) {
    return fail(Errc::kIo, "SHA-256 of " + path + ": libcrypto refused");
  }
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace polythrottle
