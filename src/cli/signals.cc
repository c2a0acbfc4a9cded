#include "cli/signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string_view>

namespace polythrottle {
namespace {

/// `timeout` sends SIGTERM to the program and then to its group: two of them in so short a time are one.
constexpr std::chrono::milliseconds kOne{100};

std::atomic<AtOnce> at_once{AtOnce::kNothingHeld};

sigset_t caught() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, number);
  return set;
}

/// Wakes the waiter when it is to end. Sent to its thread only.
int wake() { return SIGRTMIN; }

std::string_view last_words(AtOnce what) {
  switch (what) {
    case AtOnce::kWatched: return "\npolythrottle: ended at once; the watchdog puts back what was changed\n";
    case AtOnce::kLeft: return "\npolythrottle: ended at once; 'polythrottle restore' puts back what was changed\n";
    case AtOnce::kNothingHeld:
    case AtOnce::kDeaf: break;
  }
  return "\npolythrottle: ended at once\n";
}

}  // namespace

void set_at_once(AtOnce what) { at_once = what; }

Signals::Signals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t set = caught();
  sigaddset(&set, wake());
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  waiter_ = std::jthread([this, set](std::stop_token ended) {
    std::chrono::steady_clock::time_point first;
    while (!ended.stop_requested()) {
      const int number = sigwaitinfo(&set, nullptr);
      if (number <= 0 || number == wake() || at_once == AtOnce::kDeaf) continue;
      if (source_.request_stop()) {
        if (number == SIGTERM) first = std::chrono::steady_clock::now();
      } else if (number != SIGTERM || std::chrono::steady_clock::now() - first > kOne) {
        // The second one: whatever runs does not come to its end. The lease's record stays, and its watchdog sees us go.
        const std::string_view words = last_words(at_once);
        (void)!write(STDERR_FILENO, words.data(), words.size());
        _exit(130);
      }
    }
  });
}

Signals::~Signals() {
  waiter_.request_stop();
  pthread_kill(waiter_.native_handle(), wake());
}

}  // namespace polythrottle
