#pragma once
// What became of the requests of a replay, counted as it goes.

#include <cstddef>
#include <deque>
#include <vector>

#include "base/units.h"
#include "replay/replay.h"
#include "serving/state.h"

namespace polythrottle::replay {

/// Requests are numbered from 0 in the order of arrival.
class Account {
 public:
  Account(Seconds duration, bool keep) : duration_(duration), keep_(keep) {}

  serving::RequestId arrived(Seconds now, Seconds deadline, bool beside_job);
  /// Errors: kCorrupt for a request that is not waiting for its answer.
  Status answered(serving::RequestId request, Seconds now);
  Status dropped(serving::RequestId request, Seconds now, serving::Cause cause);
  /// Does this one count? It has arrived, and has no answer yet.
  bool counts(serving::RequestId request) const { return open_[request - first_].arrived < duration_; }
  bool waiting(serving::RequestId request) const {
    return request >= first_ && request - first_ < open_.size() && !open_[request - first_].done;
  }

  std::size_t unanswered() const { return unanswered_; }
  /// Answers given in [0, duration).
  std::size_t answers() const { return answers_; }
  /// Fills in counted, beside_jobs, latency, answers and requests.
  void fill(ReplayResult& result);

 private:
  struct Open {
    Seconds arrived{0};
    Seconds deadline{0};
    bool beside_job = false;
    bool done = false;
  };
  Result<Open*> take(serving::RequestId request);
  void settle();

  Seconds duration_;
  bool keep_;
  std::deque<Open> open_;  ///< from the oldest without an answer on
  serving::RequestId first_ = 0;
  std::size_t unanswered_ = 0;
  std::size_t answers_ = 0;
  RequestCounts counted_, beside_jobs_;
  std::vector<double> latencies_;
  std::vector<Outcome> outcomes_;
};

}  // namespace polythrottle::replay
