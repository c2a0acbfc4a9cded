#pragma once
// A client for tests: bytes out, bytes in, over a real socket, sharing no code with the server.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace polythrottle::server {

struct LoopbackAnswer {
  int status = 0;  ///< 0: the connection ended without a whole answer
  std::string head, body;

  /// Of the first header of this name, compared as it is written; "" where there is none.
  std::string header(std::string_view name) const {
    const std::string key = "\r\n" + std::string(name) + ": ";
    const std::size_t at = head.find(key);
    return at == std::string::npos ? "" : head.substr(at + key.size(), head.find("\r\n", at + 2) - at - key.size());
  }
};

class LoopbackClient {
 public:
  explicit LoopbackClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  explicit LoopbackClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), std::min(path.size() + 1, sizeof address.sun_path));
    connect(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  LoopbackClient(LoopbackClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}
  LoopbackClient(const LoopbackClient&) = delete;
  ~LoopbackClient() { vanish(); }

  bool connected() const { return connected_; }
  void vanish() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void end_of_sending() { ::shutdown(fd_, SHUT_WR); }

  /// False where the server has hung up.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  LoopbackAnswer receive(bool of_head_request = false) {
    LoopbackAnswer answer;
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return answer;
    }
    answer.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    const std::string length = answer.header("Content-Length");
    const std::size_t size = length.empty() || of_head_request ? 0 : std::stoul(length);
    while (buffer_.size() < size) {
      if (!more()) return answer;
    }
    answer.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
    answer.status = std::stoi(answer.head.substr(9, 3));
    return answer;
  }
  LoopbackAnswer ask(std::string_view bytes) {
    send(bytes);
    return receive();
  }
  /// Waits for the server to hang up; false where it sends something instead.
  bool ended() { return buffer_.empty() && !more() && buffer_.empty(); }

 private:
  void connect(const sockaddr* address, socklen_t size) {
    const timeval patience{30, 0};  // a test fails rather than hangs
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = ::connect(fd_, address, size) == 0;
  }
  bool more() {
    char bytes[16384];
    const ssize_t count = ::recv(fd_, bytes, sizeof bytes, 0);
    EXPECT_FALSE(count < 0 && errno == EAGAIN) << "the server did not answer";
    if (count <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  int fd_;
  bool connected_ = false;
  std::string buffer_;
};

inline std::string get(std::string_view target, std::string_view more = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more) + "\r\n";
}
inline std::string post(std::string_view target, std::string_view body, std::string_view more = "") {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more) + "\r\n" + std::string(body);
}

}  // namespace polythrottle::server
