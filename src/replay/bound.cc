#include "replay/bound.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace polythrottle::replay {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// Least time of the first i requests for each i, which `extend` grows request by request.
class Prefixes {
 public:
  explicit Prefixes(std::span<const Seconds> batch_seconds) {
    for (const Seconds t : batch_seconds) cost_.push_back(t.count());
    for (std::size_t i = cost_.size() - 1; i-- > 0;) cost_[i] = std::min(cost_[i], cost_[i + 1]);
  }

  /// Answers the relaxed deadline of this request, or infinity if nothing can answer it in time.
  double relaxed_deadline(const Obligation& request) {
    latest_ = std::max(latest_, request.deadline.count());
    return request.arrived.count() + cost_.front() <= latest_ ? latest_ : kNever;
  }

  void extend(double arrived, double deadline) {
    arrived_.push_back(arrived);
    deadline_.push_back(deadline);
    const std::size_t n = arrived_.size();
    double least = kNever;
    for (std::size_t size = 1; size <= std::min(n, cost_.size()); ++size) {
      // The batch of requests n - size ... n - 1: begun when the last is there, done by the first deadline.
      if (arrived + cost_[size - 1] > deadline_[n - size]) break;  // earlier ones have earlier deadlines, and larger batches take longer
      least = std::min(least, least_[n - size] + cost_[size - 1]);
    }
    least_.push_back(least);
  }

  double least() const { return least_.back(); }

 private:
  std::vector<double> cost_;  ///< of a batch of i + 1
  std::vector<double> arrived_, deadline_;
  std::vector<double> least_{0.0};
  double latest_ = -kNever;
};

}  // namespace

Seconds clairvoyant_bound(const BoundInput& input) {
  Prefixes prefixes(input.batch_seconds);
  double end = input.work.count();
  for (const Obligation& request : input.requests) {
    if (request.arrived < input.submitted) continue;  // it may have been answered before
    const double deadline = prefixes.relaxed_deadline(request);
    if (deadline == kNever) continue;
    if (deadline > input.submitted.count() + end) break;
    prefixes.extend(request.arrived.count(), deadline);
    end = input.work.count() + prefixes.least();
  }
  return Seconds(end);
}

Seconds least_inference_time(std::span<const Obligation> requests, std::span<const Seconds> batch_seconds) {
  Prefixes prefixes(batch_seconds);
  for (const Obligation& request : requests) {
    const double deadline = prefixes.relaxed_deadline(request);
    if (deadline != kNever) prefixes.extend(request.arrived.count(), deadline);
  }
  return Seconds(prefixes.least());
}

}  // namespace polythrottle::replay
