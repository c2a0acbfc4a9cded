#include "cli/signals.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

namespace polythrottle {
namespace {

sigset_t caught() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, number);
  return set;
}

}  // namespace

Signals::Signals() {
  signal(SIGPIPE, SIG_IGN);
  const sigset_t set = caught();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  waiter_ = std::jthread([this](std::stop_token ended) {
    const sigset_t waited = caught();
    const timespec patience{0, 50'000'000};  // how soon the destructor is noticed; a signal wakes us at once
    while (!ended.stop_requested()) {
      if (sigtimedwait(&waited, nullptr, &patience) <= 0) continue;
      if (!source_.request_stop()) {
        // The second one: whatever runs does not come to its end. The lease record stays for 'polythrottle restore'.
        constexpr char kWords[] = "\npolythrottle: ended at once; 'polythrottle restore' puts back what was changed\n";
        (void)!write(STDERR_FILENO, kWords, sizeof kWords - 1);
        _exit(130);
      }
    }
  });
}

Signals::~Signals() = default;

}  // namespace polythrottle
