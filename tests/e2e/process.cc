#include "e2e/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

extern char** environ;

namespace polythrottle::e2e {
namespace {

/// State and parent of a process; '?' if there is none.
std::pair<char, pid_t> state_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::ostringstream text;
  text << file.rdbuf();
  const auto close = text.str().rfind(')');
  if (close == std::string::npos) return {'?', 0};
  std::istringstream words(text.str().substr(close + 1));
  char state = '?';
  pid_t parent = 0;
  words >> state >> parent;
  return {state, parent};
}

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

void close_one(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

}  // namespace

Process::Process(std::vector<std::string> argv) {
  int in[2], out[2], err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("no pipes");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<char*> words;
  for (auto& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  const int refused = ::posix_spawn(&pid_, words[0], &actions, &attributes, words.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  for (const int theirs : {in[0], out[1], err[1]}) ::close(theirs);
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
  if (refused != 0) throw std::runtime_error("cannot start " + argv[0]);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      in_(std::exchange(other.in_, -1)),
      out_(std::exchange(other.out_, -1)),
      err_(std::exchange(other.err_, -1)) {}

Process::~Process() {
  close_one(in_);
  close_one(out_);
  close_one(err_);
  if (pid_ <= 0) return;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status, 0);
}

std::string Process::next_line(int descriptor) {
  std::string text;
  char c = 0;
  while (::read(descriptor, &c, 1) == 1 && c != '\n') text += c;
  return text;
}

std::string Process::line() { return next_line(out_); }
std::string Process::error_line() { return next_line(err_); }

std::string Process::errors() {
  std::string text;
  char part[256];
  for (ssize_t got = 0; (got = ::read(err_, part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(got));
  return text;
}

void Process::say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) throw std::runtime_error("nobody reads " + line);
}

std::string Process::ask(const std::string& words) {
  say(words);
  return line();
}

void Process::send(int signal) const { ::kill(pid_, signal); }

int Process::wait() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  return exit_code_of(status);
}

int Process::end() {
  close_one(in_);
  return wait();
}

int Process::kill(int signal) {
  send(signal);
  return wait();
}

void Process::freeze() const {
  send(SIGSTOP);
  int status = 0;
  ::waitpid(pid_, &status, WUNTRACED);
}

std::vector<pid_t> Process::children() const {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto [state, parent] = state_of(name);
    if (parent == pid_ && state != 'Z') out.push_back(std::stoi(name));
  }
  return out;
}

void Process::kill_child(pid_t child) const {
  ::kill(child, SIGKILL);
  // Its first thread may be gone while another still holds what it had open.
  const auto threads = [&] {
    std::error_code gone;
    return std::distance(std::filesystem::directory_iterator("/proc/" + std::to_string(child) + "/task", gone), {});
  };
  for (char state = 'R'; (state != 'Z' && state != '?') || threads() > 1; state = state_of(std::to_string(child)).first) ::sched_yield();
}

}  // namespace polythrottle::e2e
