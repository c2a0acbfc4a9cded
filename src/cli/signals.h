#pragma once
// Ctrl-C and its kin become a stop token.

#include <stop_token>
#include <thread>

namespace polythrottle {

/// What becomes of the machine if the process ends at once, for the line that says so.
enum class AtOnce {
  kNothingHeld,  ///< no setting is ours
  kLeft,         ///< they stay until 'polythrottle restore'
  kWatched,      ///< a watchdog puts them back
  kDeaf,         ///< this process *is* the watchdog: it hears no signal at all
};

/// Said by whoever takes a lease and gives it back. Safe from several threads.
void set_at_once(AtOnce what);

/// Blocks SIGINT, SIGTERM, SIGHUP and SIGQUIT in this thread and all it starts, and waits for them on one of its own. The first one stops
/// the token; what runs then restores the machine and ends. The second one ends the process at once, and says what `set_at_once` was told.
/// Make it before any other thread. SIGPIPE is ignored.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::jthread waiter_;
};

}  // namespace polythrottle
