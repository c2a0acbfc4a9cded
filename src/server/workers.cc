#include "server/workers.h"

#include <utility>

namespace polythrottle::server {

Workers::Workers(int threads, std::size_t most_waiting) : most_waiting_(most_waiting) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
}

bool Workers::post(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (calls_.size() >= most_waiting_) return false;
    calls_.push_back(std::move(call));
  }
  came_.notify_one();
  return true;
}

void Workers::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (came_.wait(lock, stop, [this] { return !calls_.empty(); }) && !stop.stop_requested()) {
    const auto call = std::move(calls_.front());
    calls_.pop_front();
    lock.unlock();
    call();
    lock.lock();
  }
}

}  // namespace polythrottle::server
