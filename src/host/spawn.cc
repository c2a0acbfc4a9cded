#include "host/spawn.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

extern char** environ;

namespace polythrottle {
namespace {

/// Both ends of a pipe, closed where they are not taken.
struct Pipe {
  int read = -1, write = -1;
  ~Pipe() {
    if (read >= 0) ::close(read);
    if (write >= 0) ::close(write);
  }
  Status open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return tl::unexpected<Error>(system_error("make a pipe", errno));
    read = above_standard(ends[0]);
    write = above_standard(ends[1]);
    return {};
  }
  int take_read() { return std::exchange(read, -1); }
  int take_write() { return std::exchange(write, -1); }

 private:
  /// Somebody may have started us with standard input or output closed; the child's would then be overwritten while they are set up.
  static int above_standard(int descriptor) {
    if (descriptor > STDERR_FILENO) return descriptor;
    const int higher = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    ::close(descriptor);
    return higher;
  }
};

// What follows, up to the two fork calls, runs in a child of a process that may have had several threads: system calls only.

/// Descriptors that become the standard ones of the child; -1: /dev/null.
struct Streams {
  int in = -1, out = -1, err = -1;
};

[[noreturn]] void become(const char* path, char** argv, char** environment, const Streams& streams, int failure, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const int nothing = ::open("/dev/null", O_RDWR);
  const auto put = [&](int from, int to) {
    if (from != to) ::dup2(from < 0 ? nothing : from, to);
  };
  put(streams.in, STDIN_FILENO);
  put(streams.out, STDOUT_FILENO);
  put(streams.err, STDERR_FILENO);
  let_go_of_descriptors(STDERR_FILENO + 1, true);
  ::execve(path, argv, environment);
  const int reason = errno;
  (void)!::write(failure, &reason, sizeof reason);
  ::_exit(127);
}

[[noreturn]] void guard(pid_t group, pid_t parent) {
  ::setsid();  // a signal to our group, SIGKILL included, is not for it
  ::prctl(PR_SET_NAME, "pt-guard");
  ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
  let_go_of_descriptors(0, false);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  while (::getppid() == parent) ::sigwaitinfo(&wanted, nullptr);
  ::kill(-group, SIGKILL);
  ::_exit(0);
}

pid_t start_guard(pid_t group) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) guard(group, parent);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

Status executable(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return tl::unexpected<Error>(system_error("start " + path, errno));
  if (S_ISDIR(info.st_mode)) return fail(Errc::kPermission, "start " + path + ": it is a folder");
  if (::access(path.c_str(), X_OK) != 0) {
    Error error = system_error("start " + path, errno);
    error.hint = "make it executable (chmod +x), or name the interpreter in front of it";
    return tl::unexpected<Error>(std::move(error));
  }
  return {};
}

}  // namespace

void let_go_of_descriptors(unsigned first, bool at_exec) {
#ifdef SYS_close_range
  constexpr unsigned kCloseOnExec = 4;  // CLOSE_RANGE_CLOEXEC, Linux 5.11
  if (::syscall(SYS_close_range, first, ~0U, at_exec ? kCloseOnExec : 0U) == 0) return;
#endif
  const long most = std::clamp(::sysconf(_SC_OPEN_MAX), 256L, 65536L);
  for (int descriptor = static_cast<int>(first); descriptor < most; ++descriptor) {
    if (at_exec) {
      ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    } else {
      ::close(descriptor);
    }
  }
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& environment) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!environment.contains(std::string(text.substr(0, text.find('='))))) out.emplace_back(text);
  }
  for (const auto& [name, value] : environment) out.push_back(name + '=' + value);
  return out;
}

Result<std::string> find_program(const std::string& name) {
  if (name.empty()) return fail(Errc::kNotFound, "start a program: its name is empty");
  if (name.find('/') != std::string::npos) {
    TRY_STATUS(executable(name));
    return name;
  }
  const char* path = std::getenv("PATH");
  std::string_view folders = path != nullptr ? path : "/usr/bin:/bin";
  Error closest = {Errc::kNotFound, "start " + name + ": no such program in PATH", "give its path"};
  for (bool more = true; more;) {
    const std::size_t end = folders.find(':');
    more = end != std::string_view::npos;
    const std::string_view folder = folders.substr(0, end);
    const std::string candidate = (folder.empty() ? std::string(".") : std::string(folder)) + '/' + name;
    const auto fine = executable(candidate);
    if (fine) return candidate;
    if (fine.error().code != Errc::kNotFound) closest = fine.error();
    if (more) folders.remove_prefix(end + 1);
  }
  return tl::unexpected<Error>(std::move(closest));
}

Result<Spawned> spawn(const Program& program) {
  TRY(const std::string path, find_program(program.words.empty() ? std::string() : program.words.front()));
  Pipe in, out, err, failure;
  TRY_STATUS(failure.open());
  Streams streams;
  if (program.output == Output::kRead) {
    TRY_STATUS(out.open());
    streams.out = streams.err = out.write;
    if (!program.one_stream) {
      TRY_STATUS(err.open());
      streams.err = err.write;
    }
  } else if (program.output == Output::kOurs) {
    streams.out = STDOUT_FILENO;
    streams.err = STDERR_FILENO;
  }
  if (program.input == Input::kTalk) {
    TRY_STATUS(in.open());
    streams.in = in.read;
  } else if (program.input == Input::kOurs && !::isatty(STDIN_FILENO)) {
    streams.in = STDIN_FILENO;
  }
  std::vector<std::string> arguments = program.words, variables = environment_with(program.environment);
  const std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected<Error>(system_error("start " + path, errno));
  if (pid == 0) {
    become(path.c_str(), const_cast<char**>(argv.data()), const_cast<char**>(envp.data()), streams, failure.write, parent);
  }
  ::setpgid(pid, pid);  // here too, so that the group is there when we go on, whoever of us was faster
  // Not for the guard, which would keep the child from noticing that nobody reads or talks any more.
  for (int* end : {&failure.write, &in.read, &out.write, &err.write}) {
    if (*end >= 0) ::close(std::exchange(*end, -1));
  }
  int reason = 0;
  ssize_t got = 0;
  while ((got = ::read(failure.read, &reason, sizeof reason)) < 0 && errno == EINTR) {
  }
  if (got > 0) {  // end of file: exec has closed the other end
    ::waitpid(pid, nullptr, 0);
    Error error = system_error("start " + path, reason);
    if (reason == ENOEXEC) error.hint = "it is no program for this machine; a script needs #! in its first line";
    return tl::unexpected<Error>(std::move(error));
  }
  Spawned made{.pid = pid, .out = out.take_read(), .err = err.take_read(), .in = in.take_write()};
  for (const int end : {made.out, made.err, made.in}) {
    if (end >= 0) ::fcntl(end, F_SETFL, O_NONBLOCK);
  }
  made.guard = start_guard(pid);
  return made;
}

}  // namespace polythrottle
