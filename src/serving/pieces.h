#pragma once
// Which job is next, and in what sizes it can go on.

#include <algorithm>
#include <span>

#include "serving/state.h"

namespace polythrottle::serving {

/// Of those that their owner has not paused: the one due first, else the first that was submitted. nullptr: none.
inline const PendingJob* next_job(const ServingState& state) {
  const PendingJob* next = nullptr;
  for (const PendingJob& job : state.jobs) {
    if (job.paused) continue;
    const bool sooner = next != nullptr && job.spec->deadline && (!next->spec->deadline || *job.spec->deadline < *next->spec->deadline);
    if (next == nullptr || sooner) next = &job;
  }
  return next;
}

/// Sizes in which it may go on now, the largest first; no piece crosses the end of an optimizer step.
inline std::span<const int> pieces_now(const PendingJob& job) {
  const std::span<const int> all = job.spec->pieces;
  const auto fits = std::find_if(all.begin(), all.end(), [&](int piece) { return piece <= job.step_left(); });
  return all.subspan(static_cast<std::size_t>(fits - all.begin()));
}

}  // namespace polythrottle::serving
