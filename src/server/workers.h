#pragma once
// A few threads for calls that may wait, so that those of the sockets never do.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace polythrottle::server {

/// Calls that have not begun when it is destroyed are dropped; those that have are waited for.
class Workers {
 public:
  explicit Workers(int threads, std::size_t most_waiting);
  ~Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  /// False where too many wait already.
  bool post(std::function<void()> call);

 private:
  void run(const std::stop_token& stop);

  const std::size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable_any came_;
  std::deque<std::function<void()>> calls_;
  std::vector<std::jthread> threads_;  // last: they use the others
};

}  // namespace polythrottle::server
