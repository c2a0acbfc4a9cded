#include "cli/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace polythrottle {

int complain(const Error& error, int exit_code) {
  std::string line = error.text();
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  fmt::print(stderr, "polythrottle: {}\n", line);
  return exit_code;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(const std::string& text, char separator) {
  std::vector<std::pair<std::string, std::string>> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    const std::string item = text.substr(at, end - at);
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == item.size()) {
      return fail(Errc::kInvalid, fmt::format("'{}' is not NAME=VALUE", item.empty() ? text : item));
    }
    out.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    at = end + 1;
  }
  return out;
}

Status write_file(const std::string& path, const std::string& text) {
  if (path == "-") {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      return tl::unexpected<Error>(system_error("write to stdout", errno));
    }
    return {};
  }
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  if (file == nullptr) return tl::unexpected<Error>(system_error("write " + path, errno));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  const int error = errno;
  if (std::fclose(file) != 0 || !written || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int reason = written ? errno : error;
    std::remove(temporary.c_str());
    return tl::unexpected<Error>(system_error("write " + path, reason));
  }
  return {};
}

Status check_writable(const std::string& path) {
  if (path.empty() || path == "-") return {};
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return fail(Errc::kInvalid, "write " + path + ": it is a folder");
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  if (file == nullptr) return tl::unexpected<Error>(system_error("write " + path, errno));
  std::fclose(file);
  std::remove(temporary.c_str());
  return {};
}

}  // namespace polythrottle
