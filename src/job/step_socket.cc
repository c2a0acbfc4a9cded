#include "job/step_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "job/step_message.h"

namespace polythrottle::job {

StepSocket::StepSocket(StepSocket&& other) noexcept
    : folder_(std::exchange(other.folder_, {})),
      path_(std::exchange(other.path_, {})),
      bytes_(std::move(other.bytes_)),
      listener_(std::exchange(other.listener_, -1)),
      connection_(std::exchange(other.connection_, -1)) {}

StepSocket::~StepSocket() {
  disconnect();
  if (listener_ >= 0) ::close(listener_);
  if (!path_.empty()) ::unlink(path_.c_str());
  if (!folder_.empty()) ::rmdir(folder_.c_str());
}

Result<StepSocket> StepSocket::listen(const std::optional<User>& user) {
  const auto broken = [](const char* act) { return tl::unexpected<Error>(system_error(std::string("step protocol: ") + act, errno)); };
  // Not in the job's folder: a socket's path has 107 bytes at most.
  char name[] = "/tmp/polythrottle-XXXXXX";
  if (::mkdtemp(name) == nullptr) return broken("make a folder in /tmp");
  StepSocket out;
  out.folder_ = name;
  out.listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (out.listener_ < 0) return broken("make a socket");
  out.path_ = out.folder_ + "/step";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, out.path_.c_str(), out.path_.size() + 1);
  if (::bind(out.listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return broken("bind a socket");
  if (::listen(out.listener_, 8) != 0) return broken("listen");
  if (user) {
    for (const std::string& path : {out.path_, out.folder_}) {
      if (::chown(path.c_str(), user->uid, user->gid) != 0) return broken("give the socket to the job's user");
    }
  }
  return out;
}

void StepSocket::disconnect() {
  if (connection_ >= 0) ::close(std::exchange(connection_, -1));
  bytes_.clear();
}

Status StepSocket::say(std::string_view text) {
  const ssize_t put = connection_ < 0 ? 0 : ::send(connection_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (put == static_cast<ssize_t>(text.size())) return {};
  return fail(Errc::kIo, "step protocol: the job does not listen");
}

void StepSocket::accept_one() {
  const int fresh = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fresh < 0) return;  // gone again
  if (connection_ < 0) {
    connection_ = fresh;
    return;
  }
  const std::string why = step_refusal("another process of this job is connected");
  (void)!::send(fresh, why.data(), why.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::close(fresh);
}

bool StepSocket::read_some() {
  char part[4096];
  ssize_t got = 0;
  while ((got = ::recv(connection_, part, sizeof part, 0)) < 0 && errno == EINTR) {
  }
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
  if (got <= 0) return false;
  bytes_.append(part, static_cast<std::size_t>(got));
  return true;
}

Result<StepSocket::Event> StepSocket::wait(Clock& clock, Clock::TimePoint deadline, int other) {
  for (;;) {
    if (const auto end = bytes_.find('\n'); end != std::string::npos && end <= kLongestStepLine) {
      Event event{.kind = Event::Kind::kLine, .line = bytes_.substr(0, end)};
      bytes_.erase(0, end + 1);
      return event;
    }
    if (bytes_.size() > kLongestStepLine) {
      return fail(Errc::kCorrupt, "step protocol: the job said a line of more than " + std::to_string(kLongestStepLine) + " bytes");
    }
    pollfd events[3] = {{.fd = connection_, .events = POLLIN, .revents = 0},  // poll(2) passes over -1
                        {.fd = listener_, .events = POLLIN, .revents = 0},
                        {.fd = other, .events = POLLIN, .revents = 0}};
    const double left = std::clamp((deadline - clock.now()).count(), 0.0, 3600.0);
    if (::poll(events, 3, static_cast<int>(std::ceil(left * 1e3))) <= 0) {
      if (clock.now() >= deadline) return Event{};
      continue;
    }
    // What it said before it ended counts.
    if (events[0].revents != 0) {
      if (read_some()) continue;
      disconnect();
      return Event{.kind = Event::Kind::kGone};
    }
    if (events[1].revents != 0) {
      accept_one();
      continue;
    }
    return Event{.kind = Event::Kind::kOther};
  }
}

}  // namespace polythrottle::job
