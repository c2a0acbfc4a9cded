#include "bench/peer_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

extern char** environ;

namespace polythrottle::bench {
namespace {

constexpr std::chrono::seconds kFarewell{2};

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

struct Pipe {
  Descriptor read, write;
};

/// Closed on exec: a process started meanwhile on another thread must not hold our ends open.
Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return tl::unexpected<Error>(system_error("make a pipe", errno));
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// What a child is to have as its standard streams, and how it is to start.
class Spawn {
 public:
  Spawn() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~Spawn() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;

  void stream(int ours, int theirs) { posix_spawn_file_actions_adddup2(&actions_, ours, theirs); }

  Result<pid_t> shell(const std::string& command) {
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    std::string program = "/bin/sh", flag = "-c", text = command;
    std::array<char*, 4> arguments{program.data(), flag.data(), text.data(), nullptr};
    pid_t process = 0;
    const int error = posix_spawn(&process, program.c_str(), &actions_, &attributes_, arguments.data(), environ);
    if (error != 0) return tl::unexpected<Error>(system_error("start " + command, error));
    return process;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

std::string ending(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

}  // namespace

Result<std::unique_ptr<PeerProcess>> PeerProcess::start(const std::string& command) {
  TRY(Pipe input, make_pipe());
  TRY(Pipe output, make_pipe());
  Descriptor errors(memfd_create("peer-stderr", MFD_CLOEXEC));
  if (errors.get() < 0) return tl::unexpected<Error>(system_error("make a file in memory", errno));
  if (fcntl(input.write.get(), F_SETFL, O_NONBLOCK) != 0) return tl::unexpected<Error>(system_error("set up a pipe", errno));
  Spawn spawn;
  spawn.stream(input.read.get(), STDIN_FILENO);
  spawn.stream(output.write.get(), STDOUT_FILENO);
  spawn.stream(errors.get(), STDERR_FILENO);
  TRY(const pid_t process, spawn.shell(command));
  return std::unique_ptr<PeerProcess>(new PeerProcess(command, process, input.write.release(), output.read.release(), errors.release()));
}

PeerProcess::~PeerProcess() {
  close(input_);
  // Its output closes when it ends; what it still says is of no interest.
  const auto deadline = Clock::now() + kFarewell;
  std::array<char, 4096> ignored;
  while (wait_for(output_, POLLIN, deadline) && read(output_, ignored.data(), ignored.size()) > 0) {
  }
  if (process_ > 0) {
    kill(-process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  close(output_);
  close(errors_);
}

Status PeerProcess::wait_for(int descriptor, short events, Clock::time_point deadline) const {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{descriptor, events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::max<std::chrono::milliseconds::rep>(left, 0)));
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    return tl::unexpected<Error>(complaint(Errc::kTimeout, "did not answer in time"));
  }
}

Status PeerProcess::write_line(const std::string& line, Clock::time_point deadline) {
  const std::string text = line + '\n';
  for (std::size_t written = 0; written < text.size();) {
    TRY_STATUS(wait_for(input_, POLLOUT, deadline));
    const ssize_t now = write(input_, text.data() + written, text.size() - written);
    if (now < 0 && errno != EINTR && errno != EAGAIN) return tl::unexpected<Error>(died());
    if (now > 0) written += static_cast<std::size_t>(now);
  }
  return {};
}

Result<std::string> PeerProcess::read_line(Clock::time_point deadline) {
  std::size_t end = 0;
  while ((end = pending_.find('\n')) == std::string::npos) {
    TRY_STATUS(wait_for(output_, POLLIN, deadline));
    std::array<char, 4096> chunk;
    const ssize_t got = read(output_, chunk.data(), chunk.size());
    if (got == 0) return tl::unexpected<Error>(died());
    if (got > 0) pending_.append(chunk.data(), static_cast<std::size_t>(got));
  }
  std::string line = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  return line;
}

Error PeerProcess::died() {
  // It closed a stream; if it has not ended by itself, it is ended here.
  int status = 0;
  const auto deadline = Clock::now() + kFarewell;
  pid_t ended = 0;
  while ((ended = waitpid(process_, &status, WNOHANG)) == 0 && Clock::now() < deadline) usleep(1000);
  if (ended == 0) return complaint(Errc::kIo, "closed its input or output");
  process_ = 0;
  return complaint(Errc::kIo, ending(status));
}

Error PeerProcess::complaint(Errc code, const std::string& what) const {
  const std::string last = last_line_of_errors();
  return Error{code, fmt::format("peer '{}' {}", command_, what), last.empty() ? "it said nothing on stderr" : "last on stderr: " + last};
}

std::string PeerProcess::last_line_of_errors() const {
  constexpr off_t kTail = 4096;
  const off_t size = lseek(errors_, 0, SEEK_END);
  std::string tail(static_cast<std::size_t>(std::clamp<off_t>(size, 0, kTail)), '\0');
  const ssize_t got = pread(errors_, tail.data(), tail.size(), std::max<off_t>(size - kTail, 0));
  tail.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  tail.erase(tail.find_last_not_of("\r\n ") + 1);
  return tail.substr(tail.find_last_of('\n') + 1);
}

}  // namespace polythrottle::bench
