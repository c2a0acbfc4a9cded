#include "cli/gnuplot.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace polythrottle {
namespace {

constexpr int kNoSuchProgram = 127;

/// In single quotes, where gnuplot expands nothing; a quote is written twice.
std::string quoted(const std::string& path) {
  std::string out = "'";
  for (const char c : path) {
    if (c == '\'') out += c;
    out += c;
  }
  return out + '\'';
}

/// Exit status of gnuplot given `script` on its standard input.
Result<int> feed(const std::string& script) {
  // The shell would say itself that the program is missing, on a line of its own.
  std::FILE* pipe = popen("command -v gnuplot > /dev/null || exit 127; exec gnuplot", "w");
  if (pipe == nullptr) return tl::unexpected<Error>(system_error("start gnuplot", errno));
  (void)std::fwrite(script.data(), 1, script.size(), pipe);  // what is not read shows in the exit status
  const int status = pclose(pipe);
  if (status == -1) return tl::unexpected<Error>(system_error("wait for gnuplot", errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Status run_gnuplot(const std::string& script, const std::string& path) {
  if (std::any_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; })) {
    return fail(Errc::kInvalid, "the plot's path has a line break or another control character");
  }
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  auto status = feed(fmt::format("set output {}\n{}set output\n", quoted(temporary), script));
  if (status && *status == kNoSuchProgram) {
    status = fail(Errc::kNotFound, "gnuplot is not installed", "install it (Debian: apt-get install gnuplot-nox), or leave out --plot");
  } else if (status && *status != 0) {
    status = fail(Errc::kIo, fmt::format("gnuplot could not draw {} (exit status {})", path, *status));
  } else if (status && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = tl::unexpected<Error>(system_error("write " + path, errno));
  }
  if (status) return {};
  std::remove(temporary.c_str());
  return tl::unexpected<Error>(status.error());
}

}  // namespace polythrottle
