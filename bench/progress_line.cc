#include "bench/progress_line.h"

#include <unistd.h>

#include "cli/cli.h"

namespace polythrottle::bench {

ProgressLine::ProgressLine(bool quiet, std::size_t total) : silent_(quiet || isatty(STDERR_FILENO) == 0), total_(total) {
  if (!silent_) tell("\r\x1b[K{} searches", total_);
}

ProgressLine::~ProgressLine() {
  if (!silent_) tell("\r\x1b[K");
}

void ProgressLine::show(std::size_t done) {
  const std::size_t percent = 100 * done / total_;
  if (silent_ || percent == shown_percent_) return;
  shown_percent_ = percent;
  tell("\r\x1b[K{} searches, {} %", total_, percent);
}

}  // namespace polythrottle::bench
