#pragma once
// A program of the user's under one setting at a time: started, listened to, stopped. Everything that runs commands stands on it.

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "host/launcher.h"
#include "workload/command.h"

namespace polythrottle {

/// The beginning and the end of what a program printed; what was in between is counted and dropped.
class KeptOutput {
 public:
  static constexpr std::size_t kHead = 64 * 1024, kTail = 192 * 1024;  ///< bytes

  void add(std::string_view text);
  std::string text() const;

 private:
  std::string head_, tail_;
  std::size_t dropped_ = 0;
};

/// Bytes of any kind as text that may stand in a record: valid UTF-8 on one line.
std::string one_line(std::string bytes);

class UserProgram {
 public:
  /// All outlive it.
  UserProgram(Clock& clock, Launcher& launcher, const CommandOptions& options) : clock_(clock), launcher_(launcher), options_(options) {}

  /// Its words and environment under a setting. Does not touch what runs. Errors: kOutOfRange for a level that is none of its own.
  Status configure(const Config& config);
  bool configured() const { return program_.has_value(); }
  /// Inferences in a batch where the program does not say: the level of `batch`, else 1.
  double batch() const { return batch_; }

  /// Stops what runs and starts it under the setting. Errors: kInvalid without one; those of the launcher.
  Status start();
  bool runs() const { return process_ != nullptr; }
  /// Was what runs started with the words and environment that the setting asks for?
  bool as_configured() const;
  Clock::TimePoint began() const { return began_; }
  Status say(std::string_view line) { return process_->say(line); }
  /// SIGTERM, after the grace SIGKILL. First it may end by itself for as long as `patience`.
  void stop(Seconds patience = Seconds(0));

  struct Heard {
    std::optional<std::string> line;  ///< absent: it ended, `until` is here, or `stop`
    Clock::TimePoint at;
    std::optional<Exit> exit;
  };
  /// The next line, by `until` (in the past: what is there already).
  Heard listen(Clock::TimePoint until, const std::stop_token& stop);

  /// `exit` as an error, with what it printed last; `after`: "after 3 batches". Not for one that was to end by itself and did.
  Error ended(const Exit& exit, const std::string& after) const;
  /// ": it printed: a | b": the last lines that report no batch; nothing if there are none.
  std::string last_words() const;
  /// What it printed since this was asked last, and how each run of it began and ended.
  std::string take_printed();

 private:
  void note(const std::string& text);

  Clock& clock_;
  Launcher& launcher_;
  const CommandOptions& options_;
  std::optional<Program> program_;  ///< under the setting; absent: not configured
  std::vector<std::string> words_;  ///< of what runs
  std::map<std::string, std::string> environment_;
  double batch_ = 1.0;
  std::unique_ptr<Process> process_;
  Clock::TimePoint began_;  ///< of the process
  std::shared_ptr<KeptOutput> kept_ = std::make_shared<KeptOutput>();
};

}  // namespace polythrottle
