// Everything here runs in a child of a process with several threads: system calls only, no allocation, no lock.

#include "job/supervisor.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "host/process_table.h"
#include "host/spawn.h"

namespace polythrottle::job {
namespace {

bool write_to(const char* path, const char* text) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t put = ::write(file, text, std::strlen(text));
  const int reason = errno;
  ::close(file);
  errno = reason;
  return put >= 0;
}

[[noreturn]] void give_up(const Supervised& job, StartFailure::Act act) {
  const StartFailure failure{act, errno};
  (void)!::write(job.failure, &failure, sizeof failure);
  ::_exit(127);
}

/// The raw calls: the C library's tell other threads, of which there are none here, though it may remember some.
bool become(const User& user) {
#ifdef SYS_setgroups32
  constexpr long kSetgroups = SYS_setgroups32;
#else
  constexpr long kSetgroups = SYS_setgroups;
#endif
  return ::syscall(kSetgroups, user.groups.size(), user.groups.data()) == 0 &&
         ::syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 && ::syscall(SYS_setresuid, user.uid, user.uid, user.uid) == 0;
}

[[noreturn]] void run_program(const Supervised& job, pid_t supervisor) {
  using Act = StartFailure::Act;
  ::setpgid(0, 0);
  for (const char* entrance : job.entrances) {
    if (!write_to(entrance, "0")) give_up(job, Act::kGroup);
  }
  if (job.data_bytes) {
    const rlimit limit{static_cast<rlim_t>(*job.data_bytes), static_cast<rlim_t>(*job.data_bytes)};
    if (::setrlimit(RLIMIT_DATA, &limit) != 0) give_up(job, Act::kLimit);
  }
  if (job.affinity && ::sched_setaffinity(0, sizeof *job.affinity, &*job.affinity) != 0) give_up(job, Act::kLimit);
  ::setpriority(PRIO_PROCESS, 0, 19);
  if (job.user != nullptr && !become(*job.user)) give_up(job, Act::kUser);
  // No program of it, setuid or not, gets rights that it has not. After the change of user, which would take the signal back.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(job, Act::kUser);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != supervisor) ::_exit(127);
  if (::chdir(job.folder) != 0) give_up(job, Act::kFolder);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(job.output, STDOUT_FILENO);
  ::dup2(job.output, STDERR_FILENO);
  let_go_of_descriptors(STDERR_FILENO + 1, true);
  ::execve(job.path, job.arguments, job.environment);
  give_up(job, Act::kProgram);
}

/// Closes every descriptor but the three of the job, which are above the standard ones.
void keep(const Supervised& job) {
  int first = STDERR_FILENO + 1;
  for (;; ++first) {
    if (first == job.output || first == job.control || first == job.failure) continue;
    // Everything between and behind the three goes, each range in one call where the kernel has it.
    int next = 1 << 30;
    for (const int wanted : {job.output, job.control, job.failure}) {
      if (wanted > first && wanted < next) next = wanted;
    }
    if (next == 1 << 30) break;
    for (int descriptor = first; descriptor < next; ++descriptor) ::close(descriptor);
    first = next;
  }
  let_go_of_descriptors(static_cast<unsigned>(first), false);
  // Whoever reads what we print waits for no supervisor.
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, standard);
}

/// Takes the exit status of all that have ended. False: there is nobody left.
bool reap(pid_t program, int& status) {
  for (;;) {
    int how = 0;
    const pid_t pid = ::waitpid(-1, &how, WNOHANG);
    if (pid == 0) return true;
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return false;
    if (pid == program) status = how;
  }
}

/// Kills until nobody is left: whoever loses its parent becomes our child.
void end_all(const Supervised& job, pid_t program, int& status) {
  const pid_t self = ::getpid();
  for (int round = 0;; ++round) {
    // A process that is frozen by version 1 does not even die; and somebody may freeze it again while this goes on.
    if (job.thaw_file != nullptr) write_to(job.thaw_file, job.thaw_text);
    if (status < 0) ::kill(-program, SIGKILL);  // its number is its own as long as it was not waited for
    visit_processes(
        [](const ProcessEntry& entry, void* parent) {
          if (entry.parent == *static_cast<const pid_t*>(parent) && !entry.dead()) ::kill(entry.pid, SIGKILL);
        },
        const_cast<pid_t*>(&self));
    if (!reap(program, status)) return;
    ::poll(nullptr, 0, round < 20 ? 1 : 20);
  }
}

void tidy(const Supervised& job) {
  for (const char* file : job.files) ::unlink(file);
  for (const char* folder : job.folders) {
    // A group is empty a moment after the last process has gone.
    for (int round = 0; ::rmdir(folder) != 0 && errno == EBUSY && round < 100; ++round) ::poll(nullptr, 0, 1);
  }
}

}  // namespace

void supervise(const Supervised& job) {
  ::setpgid(0, 0);  // what a terminal sends to our group is not for it
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ::signal(SIGCHLD, SIG_DFL);
  keep(job);
  if (job.way_out != nullptr) write_to(job.way_out, "0");
  ::prctl(PR_SET_NAME, "pt-job");
  const pid_t self = ::getpid();
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) give_up(job, StartFailure::Act::kFork);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  const int signals = ::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  const pid_t program = signals < 0 ? -1 : ::fork();
  if (program < 0) give_up(job, StartFailure::Act::kFork);
  if (program == 0) run_program(job, self);
  ::setpgid(program, program);
  ::close(job.failure);
  ::close(job.output);
  int status = -1;
  pollfd events[2] = {{.fd = job.control, .events = POLLIN, .revents = 0}, {.fd = signals, .events = POLLIN, .revents = 0}};
  while (status < 0 && events[0].revents == 0) {
    ::poll(events, 2, -1);
    if (events[1].revents != 0) {
      signalfd_siginfo ignored{};
      while (::read(signals, &ignored, sizeof ignored) > 0) {
      }
    }
    if (!reap(program, status)) break;
  }
  end_all(job, program, status);
  tidy(job);
  ::_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

}  // namespace polythrottle::job
