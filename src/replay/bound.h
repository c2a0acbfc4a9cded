#pragma once
// How soon a fine-tuning job could have ended at best, had the schedule known every arrival.

#include <span>
#include <vector>

#include "base/units.h"

namespace polythrottle::replay {

/// A request that a schedule has to answer in time.
struct Obligation {
  Seconds arrived{0};
  Seconds deadline{0};
};

struct BoundInput {
  Seconds submitted{0};  ///< of the job
  /// Of the job, alone and back to back, over its whole length.
  Seconds work{0};
  /// Time that the device gives to a batch of i + 1 requests at least. Not empty; a larger batch that is given less is taken to be as
  /// cheap for the smaller one too.
  std::span<const Seconds> batch_seconds;
  /// In the order of arrival.
  std::span<const Obligation> requests;
};

/// A lower bound on the time from the job's submission to its end, over all schedules that answer every one of these requests by its
/// deadline; they may know all arrivals, stop the job and go on with it at any moment at no cost, and nothing slows anything down.
///
/// By the job's end T the device has done the work W, and every request whose deadline lies before T; of those that arrived after the
/// submission, the least time they need is D(T): they are cut into batches of consecutive requests, none larger than the limit, none begun
/// before its last request is there and each done by the deadline of its first, by dynamic programming over the requests. T is at least
/// the least solution of T = W + D(T). What is relaxed, so that no schedule can be better: a request that no batch can answer in time costs
/// nothing, one whose deadline lies after T costs nothing, batches are never in each other's way, and where a deadline is before that of an
/// earlier arrival it is taken to be as late (then batches of consecutive requests are the best there are).
/// O(requests x largest batch).
Seconds clairvoyant_bound(const BoundInput& input);

/// D(T) of all these requests: least total time of batches that answer each of them in time. For tests.
Seconds least_inference_time(std::span<const Obligation> requests, std::span<const Seconds> batch_seconds);

}  // namespace polythrottle::replay
