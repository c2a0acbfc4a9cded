#include "cli/status_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>

#include "cli/cli.h"

namespace polythrottle {
namespace {

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

StatusLine::StatusLine() : terminal_(isatty(STDERR_FILENO) != 0) {}

StatusLine::~StatusLine() {
  if (shown_) tell("\r\x1b[K");
}

void StatusLine::show(const std::string& line) {
  if (!terminal_) return;
  tell("\r\x1b[K{}", line.substr(0, terminal_width() - 1));
  shown_ = true;
}

void StatusLine::leave(const std::string& lines) {
  if (!terminal_) return;
  tell("{}{}", shown_ ? "\r\x1b[K" : "", lines);
  shown_ = false;
}

std::string clock_text(double seconds) {
  const auto total = static_cast<long>(std::lround(seconds));
  return total >= 3600 ? fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60)
                       : fmt::format("{}:{:02}", total / 60, total % 60);
}

}  // namespace polythrottle
