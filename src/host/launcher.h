#pragma once
// Starts programs and reads what they print.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle {

/// Where a program's standard output and error go.
enum class Output {
  kRead,     ///< to us: Process::read_line and tail
  kOurs,     ///< where ours go
  kDropped,  ///< /dev/null
};
/// What it reads.
enum class Input {
  kNothing,  ///< /dev/null
  kOurs,     ///< what we read, unless that is a terminal: a process group of its own may not read there
  kTalk,     ///< what Process::say writes
};

/// What to start: words[0] is a path, or a name looked for in PATH; no shell reads them.
struct Program {
  std::vector<std::string> words;
  std::map<std::string, std::string> environment{};  ///< added to ours
  Output output = Output::kRead;
  Input input = Input::kNothing;
  bool one_stream = false;  ///< Output::kRead: its standard error is its standard output, so that both make lines, in their order
  std::function<void(std::string_view)> heard{};  ///< Output::kRead: called with all it prints, in the order we read it
};

/// How a process ended.
struct Exit {
  int code = 0;    ///< where signal is 0
  int signal = 0;  ///< that ended it; 0: it ended by itself
};

/// A program that runs, in a process group of its own. Used by one thread. Destroying it stops it without patience.
class Process {
 public:
  static constexpr std::size_t kLongestLine = 64 * 1024;  ///< bytes; a longer one is cut there, its rest dropped
  static constexpr std::size_t kTail = 4 * 1024;          ///< bytes

  virtual ~Process() = default;
  /// The next line of its standard output, without its end; any bytes. Nothing if none is complete by `deadline` (in the past: what is
  /// there already), or if no more will come: see `ended`. What it prints last without a line end is a line too.
  virtual std::optional<std::string> read_line(Clock::TimePoint deadline) = 0;
  /// Writes a line to it (Input::kTalk); `line` without its end. Never waits for a program that does not read. Errors: kInvalid where it
  /// does not listen; kIo where it has closed its input or ended; kBusy where its pipe is full.
  virtual Status say(std::string_view line) = 0;
  /// Waits for its end, at most until `deadline`; its output is read on meanwhile. The time at which it was seen to end, as close behind
  /// the end as the kernel tells; nothing if it runs on.
  virtual std::optional<Clock::TimePoint> wait(Clock::TimePoint deadline) = 0;
  /// Has the kernel stopped it because it read from or wrote to the terminal of a group that is not its own (SIGTTIN, SIGTTOU)? It then
  /// never ends by itself. What it has started is not looked at.
  virtual bool wants_terminal() const { return false; }
  /// How it ended, once it has and all its lines are read.
  virtual std::optional<Exit> ended() = 0;
  /// SIGTERM to the whole group; what is left of it after `grace` gets SIGKILL. Calling it again does nothing.
  virtual void stop(Seconds grace) = 0;
  /// The last bytes that it printed on standard output and standard error, in the order we read them.
  virtual const std::string& tail() const = 0;
};

/// `start` and what comes of it are used by one thread, which must not end before the processes do; `cpu_time` may be called from others.
class Launcher {
 public:
  virtual ~Launcher() = default;
  /// Can it be started? Errors: kNotFound, kPermission.
  virtual Status check(const std::string& program) const = 0;
  /// The process inherits no descriptor of ours but its standard ones as `Program` says, has no signal blocked or ignored, and dies
  /// with us: no part of its group outlives this process, however that ends. Errors: kNotFound, kPermission, kIo.
  virtual Result<std::unique_ptr<Process>> start(const Program& program) = 0;
  /// CPU time (user and system) of all process groups started here, ended ones included. Never decreases. What a process of a group
  /// started and did not wait for counts while it lives.
  virtual Seconds cpu_time() const = 0;
};

/// Programs of the machine we run on, also where a fixture stands in for its files. SIGCHLD gets its default disposition. The clock
/// outlives it, and it its processes.
std::unique_ptr<Launcher> real_launcher(Clock& clock);

}  // namespace polythrottle
