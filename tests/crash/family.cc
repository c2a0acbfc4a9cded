#include "crash/family.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace polythrottle::crash {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::minutes(2);

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

pid_t start(const std::vector<std::string>& words, const std::map<std::string, std::string>& environment, const std::string& err) {
  std::vector<std::string> all{POLYTHROTTLE_PROGRAM};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (auto& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

/// SIGKILL to every child of this process; those below them come to us when these are gone.
void kill_children() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::istringstream stat(content(entry.path() / "stat"));
    pid_t pid = 0, parent = 0;
    std::string name, state;
    if (stat >> pid >> name >> state >> parent && parent == ::getpid()) ::kill(pid, SIGKILL);
  }
}

}  // namespace

void adopt_orphans() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // Waited for below, not handled: a child that ends between two looks is not missed.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

Ended run_family(const std::vector<std::string>& words, const std::map<std::string, std::string>& environment, const std::string& folder) {
  const std::string err = folder + "/err";
  Ended ended;
  const auto began = Clock::now();
  auto gone = began;
  const pid_t program = start(words, environment, err);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == ECHILD) break;
    if (pid == program) {
      gone = Clock::now();
      if (WIFSIGNALED(status)) ended.signal = WTERMSIG(status);
      if (WIFEXITED(status)) ended.exit_code = WEXITSTATUS(status);
    } else if (pid == 0) {
      const auto left = std::chrono::duration_cast<std::chrono::seconds>(began + kPatience - Clock::now()).count();
      const timespec patience{left > 0 ? left : 1, 0};
      if (::sigtimedwait(&set, nullptr, &patience) < 0 && errno == EAGAIN) {
        ended.hung = true;
        kill_children();
      }
    }
  }
  ended.survived = Clock::now() - gone;
  ended.err = content(err);
  return ended;
}

}  // namespace polythrottle::crash
