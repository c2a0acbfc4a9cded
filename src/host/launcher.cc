#include "host/launcher.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <ctime>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "host/process_group.h"
#include "host/spawn.h"

namespace polythrottle {
namespace {

constexpr Seconds kKillTime{5.0};  ///< a process that a driver holds may never die; then it is left behind

/// Finding the members of a group means looking at every process of the machine, so it is done as seldom as this, and for young groups
/// after every tenth of their age.
constexpr Seconds kFindEvery{0.25};
constexpr double kFindAge = 0.1;

/// CPU time of all groups, those that have ended too. Safe from several threads.
class CpuAccount {
 public:
  explicit CpuAccount(Clock& clock) : clock_(clock) {}

  void began(pid_t group) {
    const std::lock_guard lock(mutex_);
    groups_.emplace(group, Entry{ProcessGroup(group), clock_.now(), clock_.now()});
  }
  void ended(pid_t group, Seconds spent) {
    const std::lock_guard lock(mutex_);
    groups_.erase(group);
    past_ += spent;
  }
  Seconds total() {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.now();
    Seconds sum = past_;
    for (auto& [pid, entry] : groups_) {
      if (now - entry.found >= std::min(kFindEvery, kFindAge * (entry.found - entry.began))) {
        entry.group.find();
        entry.found = now;
      }
      sum += entry.group.now().cpu_time;
    }
    return highest_ = std::max(highest_, sum);  // a member that died unwaited for takes its time with it
  }

 private:
  struct Entry {
    ProcessGroup group;
    Clock::TimePoint began, found;
  };
  Clock& clock_;
  std::mutex mutex_;
  std::map<pid_t, Entry> groups_;
  Seconds past_{0}, highest_{0};
};

/// Bytes in, lines out.
class Lines {
 public:
  void add(const char* bytes, std::size_t count) {
    for (const char* end = bytes + count; bytes != end;) {
      const char* newline = std::find(bytes, end, '\n');
      const auto room = Process::kLongestLine - std::min(part_.size(), Process::kLongestLine);
      part_.append(bytes, std::min(room, static_cast<std::size_t>(newline - bytes)));
      if (newline == end) return;
      flush();
      bytes = newline + 1;
    }
  }
  void flush() { whole_.push_back(std::exchange(part_, {})); }
  void flush_rest() {
    if (!part_.empty()) flush();
  }
  bool empty() const { return whole_.empty(); }
  std::string take() {
    std::string line = std::move(whole_.front());
    whole_.pop_front();
    return line;
  }

 private:
  std::deque<std::string> whole_;
  std::string part_;
};

class RealProcess final : public Process {
 public:
  RealProcess(Clock& clock, std::shared_ptr<CpuAccount> account, Spawned spawned, std::function<void(std::string_view)> heard)
      : clock_(clock),
        account_(std::move(account)),
        pid_(spawned.pid),
        guard_(spawned.guard),
        out_(spawned.out),
        err_(spawned.err),
        in_(spawned.in),
        heard_(std::move(heard)),
        group_(spawned.pid) {
    account_->began(pid_);
  }
  ~RealProcess() override {
    stop(Seconds(0));
    for (int* end : {&out_, &err_, &in_, &end_}) close_end(*end);
  }
  RealProcess(const RealProcess&) = delete;
  RealProcess& operator=(const RealProcess&) = delete;

  std::optional<std::string> read_line(Clock::TimePoint deadline) override {
    for (bool late = false; lines_.empty() && !late;) {
      if (out_ < 0 && over()) return std::nullopt;
      const Seconds left = deadline - clock_.now();
      late = left <= Seconds(0);  // once more, for what is there already
      // Without an output to wait at, its end is looked for now and then.
      pump(out_ < 0 ? std::min(left, Seconds(0.01)) : left);
    }
    if (lines_.empty()) return std::nullopt;
    return lines_.take();
  }

  Status say(std::string_view line) override {
    if (in_ < 0) return fail(Errc::kInvalid, "talk to a program that does not listen");
    const std::string text = std::string(line) + '\n';
    // A broken pipe would end us with SIGPIPE; it is blocked for this thread meanwhile, and taken back if it came.
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    ::sigpending(&pending);
    const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t count = 0;
    while ((count = ::write(in_, text.data(), text.size())) < 0 && errno == EINTR) {
    }
    const int reason = errno;
    if (count < 0 && reason == EPIPE && !was_pending) {
      const timespec at_once{};
      ::sigtimedwait(&pipe_signal, nullptr, &at_once);
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (count == static_cast<ssize_t>(text.size())) return {};
    if (count < 0 && reason == EPIPE) return fail(Errc::kIo, "talk to the program: it has closed its standard input");
    if (count >= 0 || reason == EAGAIN) return fail(Errc::kBusy, "talk to the program: it does not read what it is told");
    return tl::unexpected<Error>(system_error("talk to the program", reason));
  }

  std::optional<Clock::TimePoint> wait(Clock::TimePoint deadline) override {
#ifdef SYS_pidfd_open
    if (end_ < 0) end_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0U));  // Linux 5.3; without it its end is looked for
#endif
    while (true) {
      if (over()) return clock_.now();
      const Seconds left = deadline - clock_.now();
      if (left <= Seconds(0)) return std::nullopt;
      pump(end_ < 0 ? std::min(left, Seconds(0.001)) : left);
    }
  }

  bool wants_terminal() const override {
    siginfo_t info{};
    if (exit_ || ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOHANG | WNOWAIT) != 0 || info.si_pid != pid_) return false;
    return info.si_status == SIGTTIN || info.si_status == SIGTTOU;
  }

  std::optional<Exit> ended() override {
    if (exit_ || !lines_.empty()) return lines_.empty() ? exit_ : std::nullopt;
    if (!over()) return std::nullopt;
    // A pipe holds 64 KiB; more comes only from what it has left running.
    for (int round = 0; round < 4 && pump(Seconds(0)); ++round) {
    }
    lines_.flush_rest();
    if (!lines_.empty()) return std::nullopt;
    reap();
    return exit_;
  }

  void stop(Seconds grace) override {
    if (exit_) return;
    ::kill(-pid_, SIGTERM);
    if (grace > Seconds(0)) wait_for_end(grace);
    // What it leaves running in its group ends with it.
    look();
    ::kill(-pid_, SIGKILL);
    if (wait_for_end(kKillTime)) {
      reap();
    } else {
      exit_ = Exit{.signal = SIGKILL};  // the guard stays with it
      account_->ended(pid_, spent_);
    }
  }

  const std::string& tail() const override { return tail_; }

 private:
  static void close_end(int& end) {
    if (end >= 0) ::close(std::exchange(end, -1));
  }

  /// Has it ended? It stays a zombie, so that its group's number is not given to another.
  bool over() const {
    siginfo_t info{};
    return exit_ || (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_);
  }

  /// Reads on, so that it cannot hang on a full pipe.
  bool wait_for_end(Seconds patience) {
    const auto until = clock_.now() + patience;
    for (Seconds nap{0.0005}; !over(); nap = std::min(2.0 * nap, Seconds(0.02))) {
      if (clock_.now() >= until) return false;
      pump(nap);
    }
    return true;
  }

  ProcessGroup::State look() {
    group_.find();
    const auto state = group_.now();
    spent_ = std::max(spent_, state.cpu_time);
    return state;
  }

  /// Of a process that is over: ends the rest of its group, takes its exit status.
  void reap() {
    look();
    ::kill(-pid_, SIGKILL);
    // Those killed need a moment, and as long as they run they hold what they held (a control group above all).
    const auto until = clock_.now() + kKillTime;
    for (Seconds nap{0.0005}; clock_.now() < until && look().running > 0; nap = std::min(2.0 * nap, Seconds(0.02))) {
      clock_.sleep_until(clock_.now() + nap);
    }
    if (guard_ > 0) {
      ::kill(guard_, SIGKILL);
      wait_for(guard_);
    }
    const int status = wait_for(pid_);
    exit_ = WIFSIGNALED(status) ? Exit{.signal = WTERMSIG(status)} : Exit{.code = WEXITSTATUS(status)};
    account_->ended(pid_, spent_);
  }

  static int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }

  /// Waits so long for output and takes what is there, of each pipe as much as it can hold. False if nothing came.
  bool pump(Seconds patience) {
    pollfd ends[3];
    nfds_t count = 0;
    for (const int end : {out_, err_, end_}) {
      if (end >= 0) ends[count++] = {.fd = end, .events = POLLIN, .revents = 0};
    }
    const int milliseconds = static_cast<int>(std::ceil(std::clamp(patience.count(), 0.0, 3600.0) * 1e3));
    if (::poll(ends, count, milliseconds) <= 0) return false;
    bool got = false;
    for (nfds_t i = 0; i < count; ++i) {
      if (ends[i].revents != 0 && ends[i].fd != end_) got = take(ends[i].fd == out_ ? out_ : err_) || got;
    }
    return got;
  }

  bool take(int& end) {
    char bytes[64 * 1024];
    ssize_t count = 0;
    while ((count = ::read(end, bytes, sizeof bytes)) < 0 && errno == EINTR) {
    }
    if (count < 0 && errno == EAGAIN) return false;
    const bool is_out = &end == &out_;
    if (count <= 0) {
      close_end(end);
      if (is_out) lines_.flush_rest();
      return false;
    }
    if (is_out) lines_.add(bytes, static_cast<std::size_t>(count));
    tail_.append(bytes, static_cast<std::size_t>(count));
    if (heard_) heard_({bytes, static_cast<std::size_t>(count)});
    if (tail_.size() > kTail) tail_.erase(0, tail_.size() - kTail);
    return true;
  }

  Clock& clock_;
  std::shared_ptr<CpuAccount> account_;
  pid_t pid_, guard_;
  int out_, err_, in_;
  std::function<void(std::string_view)> heard_;
  int end_ = -1;  ///< readable once the process is over
  Lines lines_;
  std::string tail_;
  std::optional<Exit> exit_;
  ProcessGroup group_;
  Seconds spent_{0};  ///< CPU time of the group when it was looked at
};

class RealLauncher final : public Launcher {
 public:
  explicit RealLauncher(Clock& clock) : clock_(clock) {}

  Status check(const std::string& program) const override {
    if (const auto found = find_program(program); !found) return tl::unexpected<Error>(found.error());
    return {};
  }
  Result<std::unique_ptr<Process>> start(const Program& program) override {
    TRY(const Spawned spawned, spawn(program));
    return std::make_unique<RealProcess>(clock_, account_, spawned, program.heard);
  }
  Seconds cpu_time() const override { return account_->total(); }

 private:
  Clock& clock_;
  std::shared_ptr<CpuAccount> account_ = std::make_shared<CpuAccount>(clock_);
};

}  // namespace

std::unique_ptr<Launcher> real_launcher(Clock& clock) {
  // Whoever started us may have had it ignored; then the kernel forgets how children end (waitpid(2), notes).
  ::signal(SIGCHLD, SIG_DFL);
  return std::make_unique<RealLauncher>(clock);
}

}  // namespace polythrottle
