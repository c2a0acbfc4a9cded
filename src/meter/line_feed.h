#pragma once
// A program's lines, each with the moment it came.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/launcher.h"

namespace polythrottle {

/// Runs a program on a thread of its own, which waits for its lines. Destroying it stops the program: SIGTERM, and SIGKILL after half a
/// second.
class LineFeed {
 public:
  struct Listener {
    /// Both on the feed's thread.
    std::function<void(const std::string& line, Clock::TimePoint arrived)> line;
    /// Last of all; not called where we stop it. `why` says how it ended, and its last words.
    std::function<void(Error why)> ended;
  };
  /// `launcher` is used by that thread alone. Errors: as of Launcher::start.
  static Result<std::unique_ptr<LineFeed>> start(Clock& clock, std::shared_ptr<Launcher> launcher, std::vector<std::string> words,
                                                 Listener listener);
  virtual ~LineFeed() = default;

 protected:
  LineFeed() = default;
};

}  // namespace polythrottle
