#pragma once
// Requests that wait, by deadline.

#include <cstddef>
#include <span>
#include <vector>

#include "serving/state.h"

namespace polythrottle::serving {

/// Ordered by deadline, then by arrival, then by the order they were added; contiguous, so that a policy sees it as a span. Adding behind
/// all others and taking from the front cost constant time on average.
class Queue {
 public:
  void add(const Request& request);
  std::span<const Request> waiting() const { return std::span(requests_).subspan(head_); }
  std::size_t size() const { return requests_.size() - head_; }
  bool empty() const { return size() == 0; }
  /// The first `count`, which leave the queue. `count` is at most `size`.
  std::vector<Request> take(std::size_t count);
  /// Removes one. False if it is not there.
  bool remove(RequestId id);

 private:
  std::vector<Request> requests_;
  std::size_t head_ = 0;
};

}  // namespace polythrottle::serving
