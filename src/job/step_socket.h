#pragma once
// The server's end of the step protocol's socket: one connection at a time, whole lines, no line without end.

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "host/host.h"
#include "job/user.h"

namespace polythrottle::job {

/// Used by one thread.
class StepSocket {
 public:
  /// A socket in a new folder of /tmp that only `user` (nullopt: we) may enter; both go with it. Errors: kIo, kPermission.
  static Result<StepSocket> listen(const std::optional<User>& user);
  StepSocket(StepSocket&& other) noexcept;
  StepSocket& operator=(StepSocket&&) = delete;
  ~StepSocket();

  const std::string& path() const { return path_; }
  const std::string& folder() const { return folder_; }

  struct Event {
    enum class Kind { kLine, kGone, kOther, kTimeout } kind = Kind::kTimeout;
    std::string line{};  ///< kLine: without its end
  };
  /// Waits for a line, for the end of the connection (kGone; what came without a line end before is dropped), for `other` to be readable,
  /// or for `deadline`. Who connects while somebody is connected is told so and turned away. Errors: kCorrupt for a line that is too long.
  Result<Event> wait(Clock& clock, Clock::TimePoint deadline, int other);
  bool connected() const { return connection_ >= 0; }
  /// Errors: kIo where nobody listens, or somebody does not read.
  Status say(std::string_view text);
  void disconnect();

 private:
  StepSocket() = default;
  void accept_one();
  /// False: it has closed.
  bool read_some();

  std::string folder_, path_, bytes_;
  int listener_ = -1, connection_ = -1;
};

}  // namespace polythrottle::job
