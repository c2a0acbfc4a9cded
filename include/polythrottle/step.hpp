// The job's side of PolyThrottle's step protocol, version 1. C++17 and POSIX; no other file is needed.
//
//   polythrottle::Steps steps({/*items*/ 32, /*pieces*/ {32, 16, 8}, /*steps*/ 1000});
//   for (int step = 0; step < 1000; ++step) {
//     optimizer.zero_grad();
//     for (int left = 32; left > 0;) {
//       const int items = steps.wait(left);  // blocks until so many may be computed
//       forward_and_backward(items);         // gradients add up
//       left -= items;
//       if (left == 0) optimizer.step();     // is part of the last piece
//       steps.done(items);                   // after the work is really done: synchronise with the device first
//     }
//   }
//   steps.end();
//
// Outside of `polythrottle serve` (the environment variable POLYTHROTTLE_STEP_SOCKET is not set) everything is let at once, so that the
// same program runs alone.
#ifndef POLYTHROTTLE_STEP_HPP
#define POLYTHROTTLE_STEP_HPP

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace polythrottle {

/// What one optimizer step is.
struct StepPlan {
  int items = 1;            ///< samples in it
  std::vector<int> pieces;  ///< sizes in which it may be computed: descending, `items` first, each a divisor of it and a multiple of the
                            ///< last; empty: `items` alone
  long steps = 0;  ///< in all; 0: not known
  /// Of one sample, forward, backward and update; elements are numbers, whatever their width. All 0: not known.
  double macs = 0.0;         ///< multiply-accumulates
  double weights = 0.0;      ///< parameters moved, once a step
  double activations = 0.0;  ///< layers' inputs and outputs moved
  double kernels = 0.0;      ///< kernel launches, once a step
};

/// Errors are std::runtime_error: the server refused the plan or has gone. Used by one thread, in the process that made it.
class Steps {
 public:
  explicit Steps(const StepPlan& plan) {
    const char* path = std::getenv("POLYTHROTTLE_STEP_SOCKET");
    if (path == nullptr || *path == '\0') return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (std::strlen(path) >= sizeof address.sun_path) throw std::runtime_error("POLYTHROTTLE_STEP_SOCKET: the path is too long");
    std::strcpy(address.sun_path, path);
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0 || ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const std::string why = std::strerror(errno);
      close();
      throw std::runtime_error("connect to " + std::string(path) + ": " + why);
    }
    owner_ = ::getpid();
    std::string pieces;
    for (const int piece : plan.pieces) pieces += (pieces.empty() ? "" : ",") + std::to_string(piece);
    std::string line = "{\"protocol\":1,\"items\":" + std::to_string(plan.items);
    if (!pieces.empty()) line += ",\"pieces\":[" + pieces + "]";
    if (plan.steps > 0) line += ",\"steps\":" + std::to_string(plan.steps);
    if (plan.macs > 0.0) {
      line += ",\"macs\":" + whole(plan.macs) + ",\"weights\":" + whole(plan.weights) + ",\"activations\":" + whole(plan.activations) +
              ",\"kernels\":" + whole(plan.kernels);
    }
    say(line + "}\n");
  }
  ~Steps() { close(); }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  /// Is there a server that lets us?
  bool governed() const { return socket_ >= 0; }

  /// Waits until some of the `left` samples of this step may be computed; how many: one of the plan's pieces.
  int wait(int left) {
    if (!governed()) return left;
    say("{\"want\":" + std::to_string(left) + "}\n");
    const std::string line = hear();
    const std::size_t at = line.find("\"run\":");
    const int items = at == std::string::npos ? 0 : std::atoi(line.c_str() + at + 6);
    if (items < 1 || items > left) throw std::runtime_error("polythrottle answered " + line);
    begun_ = Clock::now();
    return items;
  }
  /// They are computed.
  void done(int items) {
    if (!governed()) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - begun_).count();
    say("{\"done\":" + std::to_string(items) + ",\"seconds\":" + std::to_string(seconds) + "}\n");
  }
  /// There is nothing more to wait for; what comes now (saving, evaluating) is not scheduled.
  void end() {
    if (governed()) say("{\"end\":true}\n");
    close();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static std::string whole(double number) { return std::to_string(static_cast<long long>(number)); }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void say(const std::string& line) {
    if (::getpid() != owner_) throw std::runtime_error("polythrottle::Steps is used by a child of the process that made it");
    for (std::size_t sent = 0; sent < line.size();) {
      const ssize_t now = ::send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (now < 0 && errno == EINTR) continue;
      if (now <= 0) throw std::runtime_error("polythrottle has closed the connection" + last_words());
      sent += static_cast<std::size_t>(now);
    }
  }
  std::string hear() {
    for (;;) {
      const std::size_t end = bytes_.find('\n');
      if (end != std::string::npos) {
        const std::string line = bytes_.substr(0, end);
        bytes_.erase(0, end + 1);
        return line;
      }
      if (!receive()) throw std::runtime_error("polythrottle has closed the connection");
    }
  }
  bool receive() {
    char part[512];
    ssize_t got = 0;
    while ((got = ::recv(socket_, part, sizeof part, 0)) < 0 && errno == EINTR) {
    }
    if (got <= 0) return false;
    bytes_.append(part, static_cast<std::size_t>(got));
    return true;
  }
  /// Why it was closed, where the server said so.
  std::string last_words() {
    while (receive()) {
    }
    return bytes_.empty() ? std::string() : ": " + bytes_.substr(0, bytes_.find('\n'));
  }

  int socket_ = -1;
  pid_t owner_ = -1;
  std::string bytes_;
  Clock::time_point begun_{};
};

}  // namespace polythrottle

#endif
