#include "serving/batcher.h"

#include <algorithm>
#include <cmath>

namespace polythrottle::serving {
namespace {

/// Times nearer than this are one: a wake-up comes when it was asked for, give or take rounding.
constexpr Seconds kInstant{1e-9};

class Planner {
 public:
  Planner(const ServingState& state, const BatchRules& rules, BatchTimes& times) : state_(state), rules_(rules), times_(times) {
    cap_ = rules.cap > 0 ? std::min(rules.cap, times.cap()) : times.cap();
    if (rules.leave_room) cap_ = std::min(cap_, cap_with_room(state, times, rules.expects_steps));
  }

  BatchPlan plan() {
    drop();
    const auto waiting = state_.queue.subspan(plan_.drops.size());
    plan_.about.queued = waiting.size();
    if (waiting.empty()) return std::move(plan_);
    const Time deadline = waiting.front().deadline;
    plan_.about.slack = deadline - state_.now;
    if (state_.batch) {
      // Whoever cannot be served any more hears of it at once.
      plan_.wake = deadline;
      return std::move(plan_);
    }
    const int there = static_cast<int>(std::min<std::size_t>(waiting.size(), static_cast<std::size_t>(cap_)));
    int size = there;
    while (size > 0 && state_.now + bound(size) > deadline + kInstant) --size;
    if (size == 0) {
      size = there;
      while (size > 1 && state_.now + median(size) > deadline + kInstant) --size;
      // Nobody waits for a request that is late in any case.
      if (state_.now + median(size) > deadline + kInstant) size = there;
      return run(size, Cause::kShrunk);
    }
    if (size == cap_) return run(size, Cause::kFull);
    if (size < there) return run(size, Cause::kShrunk);
    if (!rules_.wait || state_.draining) return run(size, Cause::kWorthNoWait);
    const Time latest = state_.now + wait_for(size + 1, deadline - state_.now) - state_.lag;
    if (state_.now >= latest - kInstant) return run(size, Cause::kDeadline);
    plan_.wake = latest;
    tell(size, Act::kWaitForMore, Cause::kRoomForMore);
    plan_.about.until = latest;
    return std::move(plan_);
  }

 private:
  void drop() {
    const Time start = state_.batch ? std::max(state_.now, state_.batch->expected_end) : state_.now;
    for (const Request& request : state_.queue) {
      if (state_.now > request.deadline) {
        plan_.drops.push_back({request.id, Cause::kExpired});
      } else if (rules_.drop_hopeless && !untried(request) &&
                 start + times_.mixed_median(1, step_left(start, false)) > request.deadline + kInstant) {
        plan_.drops.push_back({request.id, Cause::kHopeless});
      } else {
        return;  // those behind it have more time
      }
    }
  }

  /// It has all of its time and the device is free: if even so it is predicted late, the prediction is what is in doubt, and only a batch
  /// that runs can put it right.
  bool untried(const Request& request) const {
    return !state_.batch && !state_.step && request.deadline - state_.now >= state_.slo - kInstant;
  }
  /// How long the step that runs now would go on beside a batch that starts then.
  Seconds step_left(Time start, bool bound) {
    if (!rules_.sees_steps || !state_.step) return Seconds(0);
    const RunningStep& step = *state_.step;
    const Seconds until = state_.batch ? step.beside.mean : step.alone.mean;
    const double share = until > Seconds(0) ? step.share_left - (start - state_.now) / until : step.share_left;
    const Seconds median = std::max(0.0, share) * step.beside.mean;
    // What is uncertain is how long the whole of it takes, so all of that uncertainty lies in what is left.
    return bound ? median + (times_.bound(step.beside) - step.beside.mean) : median;
  }
  Seconds bound(int size) {
    if (rules_.expects_steps) return times_.beside(size);
    return rules_.sees_steps ? times_.mixed(size, step_left(state_.now, true)) : times_.alone(size);
  }
  /// How long until a batch of this size could only just make it.
  Seconds wait_for(int size, Seconds slack) {
    if (rules_.expects_steps || !rules_.sees_steps || !state_.step) return slack - bound(size);
    const interference::Prediction& whole = state_.step->alone;
    const Seconds over = state_.step->share_left * whole.mean + (times_.bound(whole) - whole.mean);
    return longest_wait(slack, times_.alone(size), over,
                        [&](Seconds wait) { return times_.mixed(size, step_left(state_.now + wait, true)); });
  }
  Seconds median(int size) {
    if (rules_.expects_steps) return times_.beside_median(size);
    return rules_.sees_steps ? times_.mixed_median(size, step_left(state_.now, false)) : times_.alone_median(size);
  }

  void tell(int size, Act act, Cause cause) {
    plan_.about.act = act;
    plan_.about.cause = cause;
    plan_.about.size = size;
    plan_.about.predicted = median(size);
    plan_.about.bound = bound(size);
  }
  BatchPlan run(int size, Cause cause) {
    plan_.run = size;
    tell(size, Act::kBatch, cause);
    return std::move(plan_);
  }

  const ServingState& state_;
  const BatchRules& rules_;
  BatchTimes& times_;
  int cap_ = 1;
  BatchPlan plan_;
};

}  // namespace

int cap_with_room(const ServingState& state, BatchTimes& times, bool beside) {
  const auto time = [&](int size) { return beside ? times.beside(size) : times.alone(size); };
  int half = 1;  // the largest of which two fit one behind the other: the best there is where requests come too fast for any
  for (int size = times.cap(); size > 1; --size) {
    const Seconds first = time(size);
    if (half == 1 && 2.0 * first <= state.slo) half = size;
    if (first >= state.slo) continue;
    const double come = std::ceil(state.arrivals.rate * first.count());
    const int next = static_cast<int>(std::clamp(come, 1.0, static_cast<double>(times.cap())));
    if (first + time(next) <= state.slo) return size;
  }
  return half;
}

BatchPlan plan_batch(const ServingState& state, const BatchRules& rules, BatchTimes& times) { return Planner(state, rules, times).plan(); }

}  // namespace polythrottle::serving
