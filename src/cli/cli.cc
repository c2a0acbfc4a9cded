#include "cli/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>

namespace polythrottle {

int complain(const Error& error, int exit_code) {
  std::string line = error.text();
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  tell("polythrottle: {}\n", line);
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

Result<double> to_number(const std::string& text, const std::string& what) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return fail(Errc::kInvalid, fmt::format("{}: '{}' is no number", what, text));
  }
  return value;
}

void tell_text(const std::string& text) { (void)std::fwrite(text.data(), 1, text.size(), stderr); }

namespace {

/// Where the content really goes: links followed as far as they lead somewhere.
std::string resolved(const std::string& path) {
  std::error_code error;
  const auto target = std::filesystem::weakly_canonical(path, error);
  return error ? path : target.string();
}

bool is_special(const std::string& path) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
}

Status write_all(const std::string& path, const std::string& shown, const std::string& text, bool sync) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return tl::unexpected<Error>(system_error("write " + shown, errno));
  const bool written =
      std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 && (!sync || fsync(fileno(file)) == 0);
  int reason = errno;
  if (std::fclose(file) != 0 && written) {
    reason = errno;
    return tl::unexpected<Error>(system_error("write " + shown, reason));
  }
  if (!written) return tl::unexpected<Error>(system_error("write " + shown, reason));
  return {};
}

}  // namespace

Status write_file(const std::string& path, const std::string& text) {
  if (path == "-") {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      return tl::unexpected<Error>(system_error("write to stdout", errno));
    }
    return {};
  }
  if (is_special(path)) return write_all(path, path, text, false);
  const std::string target = resolved(path);
  const std::string temporary = fmt::format("{}.{}.tmp", target, getpid());
  const auto written = write_all(temporary, path, text, true);
  if (!written || std::rename(temporary.c_str(), target.c_str()) != 0) {
    const int reason = errno;
    std::remove(temporary.c_str());
    return written ? Status(tl::unexpected<Error>(system_error("write " + path, reason))) : written;
  }
  return {};
}

Status check_writable(const std::string& path) {
  if (path.empty() || path == "-") return {};
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return fail(Errc::kInvalid, "write " + path + ": it is a folder");
  if (is_special(path)) {
    if (access(path.c_str(), W_OK) != 0) return tl::unexpected<Error>(system_error("write " + path, errno));
    return {};
  }
  const std::string temporary = fmt::format("{}.{}.tmp", resolved(path), getpid());
  const auto written = write_all(temporary, path, "", false);
  if (written) std::remove(temporary.c_str());
  return written;
}

Status check_distinct(const std::vector<std::pair<std::string, std::string>>& outputs,
                      const std::vector<std::pair<std::string, std::string>>& others) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& [flag, path] = outputs[i];
    if (path.empty()) continue;
    const auto same = [&, &path = path](const std::string& other) {
      if (other.empty()) return false;
      if (path == "-" || other == "-") return path == other;
      return resolved(path) == resolved(other) && !is_special(path);
    };
    for (std::size_t k = 0; k < i; ++k) {
      if (same(outputs[k].second)) return fail(Errc::kInvalid, fmt::format("{} and {} are the same: {}", outputs[k].first, flag, path));
    }
    for (const auto& [what, other] : others) {
      if (path != "-" && same(other)) return fail(Errc::kInvalid, fmt::format("{} would overwrite the {} {}", flag, what, other));
    }
  }
  return {};
}

}  // namespace polythrottle
