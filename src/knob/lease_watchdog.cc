#include "knob/lease_watchdog.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

extern char** environ;

namespace polythrottle::lease {
namespace {

constexpr int kChildEnd = 3;
constexpr std::chrono::milliseconds kReadyWithin{10'000};
constexpr std::chrono::milliseconds kGoneWithin{1'000};

/// Waits until there is something to read, or the other end is closed. False: neither within that time.
bool readable(int descriptor, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd asked{descriptor, POLLIN, 0};
    const int answered = ::poll(&asked, 1, static_cast<int>(std::max(left, std::chrono::milliseconds(0)).count()));
    if (answered >= 0 || errno != EINTR) return answered > 0;
  }
}

/// A pair of sockets above the numbers that the child's own descriptors get, so that none is in the way of another.
Status make_ends(Descriptor& ours, Descriptor& theirs) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return tl::unexpected<Error>(system_error("make a socket", errno));
  const Descriptor first(ends[0]), second(ends[1]);
  ours = Descriptor(::fcntl(first.number(), F_DUPFD_CLOEXEC, kChildEnd + 1));
  theirs = Descriptor(::fcntl(second.number(), F_DUPFD_CLOEXEC, kChildEnd + 1));
  if (ours.number() < 0 || theirs.number() < 0) return tl::unexpected<Error>(system_error("make a socket", errno));
  return {};
}

bool say(int descriptor, const std::string& text) {
  return ::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

/// posix_spawn and not fork: this process may have many threads.
Result<pid_t> spawn(const std::vector<std::string>& argv, int socket) {
  std::vector<std::string> words = argv;
  words.insert(words.end(), {"--fd", std::to_string(kChildEnd)});
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  // A reader of our stdout must not wait for the watchdog's end.
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, socket, kChildEnd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  // Until it has said what it ignores, nothing that asks us to end may reach it.
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&blocked, number);
  posix_spawnattr_setsigmask(&attributes, &blocked);
  pid_t pid = -1;
  const int refused = ::posix_spawn(&pid, words.front().c_str(), &actions, &attributes, pointers.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (refused != 0) return tl::unexpected<Error>(system_error("start the watchdog " + words.front(), refused));
  return pid;
}

}  // namespace

Result<std::unique_ptr<Watchdog>> Watchdog::start(const std::vector<std::string>& argv) {
  Descriptor ours, theirs;
  TRY_STATUS(make_ends(ours, theirs));
  // Said before it is born: then it knows whom it watches even if we die in this very moment.
  if (!say(ours.number(), kOwner + std::to_string(::getpid()) + "\n")) {
    return tl::unexpected<Error>(system_error("write to the watchdog's socket", errno));
  }
  TRY(const pid_t pid, spawn(argv, theirs.number()));
  { const Descriptor closing(std::move(theirs)); }
  std::unique_ptr<Watchdog> watchdog(new Watchdog(pid, std::move(ours)));
  if (auto ready = watchdog->wait_until_ready(argv.front()); !ready) {
    ::kill(pid, SIGKILL);
    (void)readable(watchdog->end_.number(), kGoneWithin);
    return tl::unexpected<Error>(ready.error());
  }
  return watchdog;
}

Status Watchdog::wait_until_ready(const std::string& program) {
  if (!readable(end_.number(), kReadyWithin)) {
    return fail(Errc::kTimeout, "start the watchdog " + program + ": it said nothing for 10 s", "the machine may be overloaded: try again");
  }
  char word = 0;
  if (::recv(end_.number(), &word, 1, 0) != 1 || word != kReady) {
    return fail(Errc::kIo, "start the watchdog " + program + ": it ended before it was ready",
                "without a watchdog nothing is moved, for nobody would put it back after a kill");
  }
  return {};
}

bool Watchdog::alive() const {
  pollfd asked{end_.number(), POLLIN, 0};
  // It says nothing after it is ready: whatever can be read is its end.
  return ::poll(&asked, 1, 0) == 0;
}

void Watchdog::release() {
  (void)say(end_.number(), kDone);
  (void)readable(end_.number(), kGoneWithin);
}

Watchdog::~Watchdog() {
  const bool ended = !alive();
  { const Descriptor closing(std::move(end_)); }
  // One that has ended waits to be asked how; one that has not is init's when we end.
  (void)::waitpid(pid_, nullptr, ended ? 0 : WNOHANG);
}

}  // namespace polythrottle::lease
