// Holds the lease of a recorded machine and does as it is told on stdin, so that a test can end it at a moment of its choosing.
//
//   lease_holder PROGRAM SYSROOT     PROGRAM is the polythrottle that becomes the watchdog
//
// One command a line, answered by "ok" or "error TEXT": apply KNOB=VALUE,... | restore | keep | busy (heeds no first signal any more) |
// stopped (waits for one) | segv | abort | terminate (die of it). End of input or a first signal: restores and ends, 0 or 130.

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "cli/borrow.h"
#include "cli/cli.h"
#include "cli/signals.h"

namespace polythrottle {
namespace {

void answer(const std::string& text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

/// A line of stdin; nullopt at its end, and when `stop` comes first.
std::optional<std::string> next_line(const std::stop_token& stop, bool heeds) {
  std::string line;
  for (;;) {
    if (heeds && stop.stop_requested()) return std::nullopt;
    pollfd asked{STDIN_FILENO, POLLIN, 0};
    if (::poll(&asked, 1, 10) <= 0) continue;
    char c = 0;
    if (::read(STDIN_FILENO, &c, 1) != 1) return std::nullopt;
    if (c == '\n') return line;
    line += c;
  }
}

Result<Config> parse_config(const std::string& text) {
  TRY(const auto pairs, parse_pairs(text));
  Config config;
  for (const auto& [name, value] : pairs) config.set(name, std::stod(value));
  return config;
}

template <class T>
void answer_result(const Result<T>& result) {
  answer(result ? "ok" : "error " + result.error().text());
}

void die(const std::string& how) {
  // As if it had happened: the handlers of a sanitizer would make an exit code of it.
  ::signal(SIGSEGV, SIG_DFL);
  ::signal(SIGABRT, SIG_DFL);
  if (how == "segv") ::raise(SIGSEGV);
  if (how == "abort") std::abort();
  if (how == "terminate") std::terminate();
}

int hold(const std::string& program, const std::string& sysroot) {
  const Signals signals;
  ThisMachine here(sysroot);
  Host& host = here.host();
  LeaseOptions options = lease_options(here);
  options.watchdog.front() = program;
  if (const auto back = bring_back_leftovers(host, options.record_path, {}); !back) return complain(back.error(), kExitFailure);
  const Machine machine = discover(host, {});
  std::vector<Knob*> knobs;
  for (const auto& knob : machine.knobs) knobs.push_back(knob.get());
  auto lease = borrow(host, knobs, options);
  if (!lease) return complain(lease.error(), kExitFailure);
  answer("held");
  bool heeds = true;
  while (const auto line = next_line(signals.token(), heeds)) {
    const auto space = line->find(' ');
    const std::string word = line->substr(0, space);
    if (word == "apply") {
      const auto config = parse_config(line->substr(space + 1));
      answer_result(config ? (*lease)->apply(*config) : config);
    } else if (word == "keep") {
      answer_result((*lease)->keep({.source = "the holder", .config = "what was applied", .time = host.clock.wall_seconds()}));
    } else if (word == "restore") {
      answer(give_back(**lease) ? "ok" : "error not all is back");
    } else if (word == "busy") {
      heeds = false;
      answer("ok");
    } else if (word == "stopped") {
      while (!signals.token().stop_requested()) std::this_thread::yield();
      answer("ok");
    } else {
      die(word);
      answer("error what is '" + *line + "'?");
    }
  }
  const bool whole = give_back(**lease);
  if (!whole) return kExitFailure;
  return signals.token().stop_requested() ? kExitInterrupted : kExitOk;
}

}  // namespace
}  // namespace polythrottle

int main(int argc, char** argv) { return argc == 3 ? polythrottle::hold(argv[1], argv[2]) : polythrottle::kExitUsage; }
