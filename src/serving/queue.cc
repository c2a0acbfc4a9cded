#include "serving/queue.h"

#include <algorithm>

#include "base/check.h"

namespace polythrottle::serving {
namespace {

bool earlier(const Request& a, const Request& b) { return a.deadline != b.deadline ? a.deadline < b.deadline : a.arrived < b.arrived; }

}  // namespace

void Queue::add(const Request& request) {
  // Taken ones are kept until they are half of the store: moving the rest then costs no more than adding it did.
  if (head_ > 64 && head_ * 2 > requests_.size()) {
    requests_.erase(requests_.begin(), requests_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  const auto begin = requests_.begin() + static_cast<std::ptrdiff_t>(head_);
  const auto place = requests_.empty() || !earlier(request, requests_.back()) ? requests_.end()
                                                                              : std::upper_bound(begin, requests_.end(), request, earlier);
  requests_.insert(place, request);
}

std::vector<Request> Queue::take(std::size_t count) {
  CHECK(count <= size());
  const auto begin = requests_.begin() + static_cast<std::ptrdiff_t>(head_);
  std::vector<Request> taken(begin, begin + static_cast<std::ptrdiff_t>(count));
  head_ += count;
  return taken;
}

bool Queue::remove(RequestId id) {
  const auto begin = requests_.begin() + static_cast<std::ptrdiff_t>(head_);
  const auto found = std::find_if(begin, requests_.end(), [id](const Request& request) { return request.id == id; });
  if (found == requests_.end()) return false;
  if (found == begin) {
    ++head_;
  } else {
    requests_.erase(found);
  }
  return true;
}

}  // namespace polythrottle::serving
