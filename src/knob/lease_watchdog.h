#pragma once
// The owner's end of the process that puts the machine back if the owner dies. Its own end is src/helper/watchdog.h.

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "knob/lease_files.h"

namespace polythrottle::lease {

/// A child in a session of its own, so that neither Ctrl-C nor the end of the terminal or the shell reaches it. It shares a socket with us:
/// end of file before the word `kDone` means that we died. Used by one thread.
class Watchdog {
 public:
  /// What the two say to each other, one line or byte each: the owner its process number first, the watchdog that it watches, the owner at
  /// the end that the machine is back.
  static constexpr const char* kOwner = "owner ";
  static constexpr char kReady = 'r';
  static constexpr const char* kDone = "done\n";

  /// Runs `argv` with `--fd 3` behind it, descriptor 3 being its end of the socket, stdin and stdout /dev/null, and stderr ours. Returns
  /// when it watches. Errors: kNotFound, kPermission, kIo if it does not start or ends again; kTimeout if it says nothing for 10 s.
  static Result<std::unique_ptr<Watchdog>> start(const std::vector<std::string>& argv);
  /// Lets go without a word if `release` was not called: it then takes us for dead.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Is it still there?
  bool alive() const;
  pid_t pid() const { return pid_; }
  /// Tells it that there is nothing to do any more, and waits a moment for its end.
  void release();

 private:
  Watchdog(pid_t pid, Descriptor end) : pid_(pid), end_(std::move(end)) {}
  Status wait_until_ready(const std::string& program);

  pid_t pid_;
  Descriptor end_;
};

}  // namespace polythrottle::lease
