#pragma once
// A program of somebody else's that is spoken to in lines over its standard input and output.

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"

namespace polythrottle::bench {

/// Speaking to a process that has died raises SIGPIPE unless the caller's program ignores it.
class PeerProcess {
 public:
  using Clock = std::chrono::steady_clock;

  /// Runs `command` by /bin/sh, in a process group of its own. Errors: what pipes and spawning may give.
  static Result<std::unique_ptr<PeerProcess>> start(const std::string& command);
  /// Closes its input, waits two seconds for it to end, then kills the whole group.
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  /// Writes `line` and a newline. Errors: kIo if it died, kTimeout; with the command and the last line of its stderr.
  Status write_line(const std::string& line, Clock::time_point deadline);
  /// The next line of its output, without the newline. Errors: as write_line.
  Result<std::string> read_line(Clock::time_point deadline);
  /// `what`, said of this process: with its command before and the last line of its stderr behind.
  Error complaint(Errc code, const std::string& what) const;

 private:
  PeerProcess(std::string command, pid_t process, int input, int output, int errors)
      : command_(std::move(command)), process_(process), input_(input), output_(output), errors_(errors) {}

  /// Errors: kTimeout.
  Status wait_for(int descriptor, short events, Clock::time_point deadline) const;
  std::string last_line_of_errors() const;
  Error died();

  std::string command_;
  pid_t process_;
  int input_;   // we write
  int output_;  // we read
  int errors_;  // a file in memory, so that what it says there can never block it
  std::string pending_;
};

}  // namespace polythrottle::bench
