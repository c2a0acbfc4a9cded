#pragma once
// A program that a test talks to and ends.

#include <sys/types.h>

#include <string>
#include <vector>

namespace polythrottle::e2e {

/// Runs in a process group of its own. Reading its words waits for them: nothing here is waited for by the clock.
class Process {
 public:
  explicit Process(std::vector<std::string> argv);
  /// Killed if it still runs.
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;

  pid_t pid() const { return pid_; }
  /// The next line of its stdout, without the newline; what there is at its end.
  std::string line();
  /// The next line of its stderr, and all the rest of it until every process that has it is gone.
  std::string error_line();
  std::string errors();
  void say(const std::string& line);
  /// `say`, and the line that answers.
  std::string ask(const std::string& line);
  void send(int signal) const;
  /// Exit code, 128 + signal if it was killed. `end` closes its stdin first, `kill` sends a signal.
  int wait();
  int end();
  int kill(int signal);
  /// Stops it where it is (SIGSTOP); it can still be killed.
  void freeze() const;
  /// Its living children.
  std::vector<pid_t> children() const;
  /// Kills one with SIGKILL, and waits until the process would notice.
  void kill_child(pid_t child) const;

 private:
  static std::string next_line(int descriptor);
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
};

}  // namespace polythrottle::e2e
