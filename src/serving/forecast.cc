#include "serving/forecast.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polythrottle::serving {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kInstant = 1e-9;
/// A look ahead of more batches than this is given up as too uncertain to be called safe.
constexpr int kMostBatches = 2000;

/// The step in progress, as a share still to do that shrinks at one speed alone and at another beside a batch.
class StepLeft {
 public:
  StepLeft(double alone, double beside, double share = 1.0) : alone_(alone), beside_(beside), share_(share) {}
  bool runs() const { return share_ > 0.0; }
  double time_alone() const { return share_ * alone_; }
  double time_beside() const { return share_ * beside_; }
  /// What `time_beside` will be after so long alone.
  double time_beside_after(double seconds) const { return alone_ > 0.0 ? std::max(0.0, share_ - seconds / alone_) * beside_ : 0.0; }
  void idle(double seconds) { use(seconds, alone_); }
  void batch(double seconds) { use(seconds, beside_); }

 private:
  void use(double seconds, double whole) { share_ = whole > 0.0 ? std::max(0.0, share_ - seconds / whole) : 0.0; }
  double alone_, beside_, share_;
};

class LookAhead {
 public:
  LookAhead(const ServingState& state, const interference::Step& step, double z, int cap, BatchTimes& times)
      : state_(state),
        times_(times),
        cap_(std::min(cap, times.cap())),
        curve_(state.arrivals, z),
        step_(state.predictor->step(state.in_force().speeds, step, 0.0).mean.count(),
              state.predictor->step(state.in_force().speeds, step, 1.0).mean.count()) {}

  bool holds() {
    double now = 0.0;
    if (state_.batch && !finish_running(now)) return false;
    for (int batches = 0; batches < kMostBatches; ++batches) {
      if (!step_.runs() && arrival(first_) > step_end_) return true;
      double start = 0.0;
      int size = 0;
      choose(now, start, size);
      if (!std::isfinite(start)) return true;
      // Until the batch starts the step has the device for itself.
      if (step_.runs()) {
        const double end = now + step_.time_alone();
        step_.idle(start - now);
        if (start >= end) {
          step_end_ = end;
          step_ = StepLeft(0.0, 0.0, 0.0);
          if (arrival(first_) > end) return true;
        }
      }
      const double limit = deadline(first_);
      while (size > 0 && start + length(size, 0.0) > limit + kInstant) --size;
      if (size == 0) return false;
      run(start, length(size, 0.0));
      now = start + length_;
      first_ += size;
    }
    return false;
  }

 private:
  /// Of the n-th request from now on (from 0): those that wait, then those that come.
  double arrival(double n) const {
    const auto waiting = static_cast<double>(state_.queue.size());
    return n < waiting ? 0.0 : curve_.at(n - waiting + 1.0).count();
  }
  double deadline(double n) const {
    if (n < static_cast<double>(state_.queue.size())) return (state_.queue[static_cast<std::size_t>(n)].deadline - state_.now).count();
    return arrival(n) + state_.slo.count();
  }

  /// As the batcher does: start when full, or when a batch with one more could only just make the first deadline.
  void choose(double now, double& start, int& size) {
    const double from = std::max(now, arrival(first_));
    if (!std::isfinite(from)) {
      start = kNever;
      return;
    }
    const double limit = deadline(first_);
    // With n there, it waits until a batch of one more could only just make it; by then the step is nearer to its end.
    const auto latest = [&](int n) {
      const Seconds wait = longest_wait(Seconds(limit - now), times_.alone(n + 1), Seconds(step_.time_alone()),
                                        [&](Seconds idle) { return Seconds(length(n + 1, idle.count())); });
      return now + wait.count();
    };
    // `latest` falls with n, while the next comes at a time that grows with n.
    const auto goes = [&](int n) { return n >= cap_ || arrival(first_ + n) > std::max(from, latest(n)); };
    int low = 1, high = cap_;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (goes(middle)) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    size = low;
    start = std::max(from, size >= cap_ ? arrival(first_ + size - 1) : latest(size));
  }

  /// Of a batch that starts after so long without one.
  double length(int size, double idle) {
    if (!step_.runs()) return times_.alone(size).count();
    return times_.mixed(size, Seconds(step_.time_beside_after(idle))).count();
  }
  void run(double start, double length) {
    length_ = length;
    if (!step_.runs()) return;
    const double beside = std::min(length, step_.time_beside());
    step_.batch(beside);
    if (step_.time_beside() < kInstant) {
      step_ = StepLeft(0.0, 0.0, 0.0);
      step_end_ = start + beside;
    }
  }

  /// The batch that runs now goes on beside the step.
  bool finish_running(double& now) {
    const RunningBatch& running = *state_.batch;
    const int size = std::min(running.size, times_.cap());
    const double left = std::max(0.0, (running.expected_end - state_.now).count());
    const double slower = times_.beside(size) / times_.alone_median(size);
    run(0.0, left * slower);
    now = length_;
    return state_.now.count() + now <= running.first_deadline.count() + kInstant;
  }

  const ServingState& state_;
  BatchTimes& times_;
  int cap_;
  ArrivalCurve curve_;
  StepLeft step_;
  double step_end_ = kNever;
  double first_ = 0.0;  ///< of those waiting or to come, the first not yet served
  double length_ = 0.0;
};

}  // namespace

ArrivalCurve::ArrivalCurve(const ArrivalEstimate& seen, double z)
    : rate_(std::max(0.0, seen.rate)), chance_(z * z * std::max(0.0, seen.dispersion) * rate_), known_(seen.seconds > 0.0) {
  square_ = known_ ? rate_ * rate_ - chance_ / seen.seconds : 0.0;
}

Seconds ArrivalCurve::at(double n) const {
  if (!known_) return Seconds(0);
  if (rate_ <= 0.0) return Seconds(kNever);
  // (n - r u)^2 = z^2 (D r u + e^2 u^2), the root before n / r; this form of it holds for every sign of the square's coefficient.
  const double half = n * rate_ + 0.5 * chance_;
  return Seconds(n * n / (half + std::sqrt(std::max(0.0, half * half - square_ * n * n))));
}

bool deadlines_hold(const ServingState& state, const interference::Step& step, double z, int cap, BatchTimes& times) {
  return LookAhead(state, step, z, cap, times).holds();
}

}  // namespace polythrottle::serving
