#include "replay/account.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/stats.h"

namespace polythrottle::replay {
namespace {

/// An answer so much behind its deadline is in time: sums of times round.
constexpr Seconds kRounding{1e-9};

bool late(Seconds answered, Seconds deadline) { return answered > deadline + kRounding; }

}  // namespace

bool Outcome::in_time() const { return answered && !late(*answered, deadline); }

std::size_t RequestCounts::dropped() const {
  std::size_t sum = 0;
  for (const auto& [cause, count] : drops) sum += count;
  return sum;
}

double RequestCounts::violations_ratio() const {
  return requests == 0 ? 0.0 : static_cast<double>(late + dropped()) / static_cast<double>(requests);
}

double RequestCounts::drops_ratio() const { return requests == 0 ? 0.0 : static_cast<double>(dropped()) / static_cast<double>(requests); }

serving::RequestId Account::arrived(Seconds now, Seconds deadline, bool beside_job) {
  open_.push_back({now, deadline, beside_job});
  ++unanswered_;
  if (keep_) outcomes_.push_back({.arrived = now, .deadline = deadline});
  if (now < duration_) ++counted_.requests;
  if (beside_job) ++beside_jobs_.requests;
  return first_ + open_.size() - 1;
}

Result<Account::Open*> Account::take(serving::RequestId request) {
  if (!waiting(request)) return fail(Errc::kCorrupt, fmt::format("the serving core answered request {}, which nobody waits for", request));
  Open& open = open_[request - first_];
  open.done = true;
  --unanswered_;
  return &open;
}

/// Lets go of the oldest that are done.
void Account::settle() {
  while (!open_.empty() && open_.front().done) {
    open_.pop_front();
    ++first_;
  }
}

Status Account::answered(serving::RequestId request, Seconds now) {
  TRY(const Open* open, take(request));
  const bool is_late = late(now, open->deadline);
  if (open->arrived < duration_) {
    ++counted_.answered;
    if (is_late) ++counted_.late;
    latencies_.push_back((now - open->arrived).count());
  }
  if (now < duration_) ++answers_;
  if (open->beside_job) {
    ++beside_jobs_.answered;
    if (is_late) ++beside_jobs_.late;
  }
  if (keep_) outcomes_[request].answered = now;
  settle();
  return {};
}

Status Account::dropped(serving::RequestId request, Seconds now, serving::Cause cause) {
  TRY(const Open* open, take(request));
  if (open->arrived < duration_) ++counted_.drops[cause];
  if (open->beside_job) ++beside_jobs_.drops[cause];
  if (keep_) outcomes_[request].dropped = now;
  settle();
  return {};
}

void Account::fill(ReplayResult& result) {
  result.counted = counted_;
  result.beside_jobs = beside_jobs_;
  result.answers = answers_;
  result.requests = std::move(outcomes_);
  if (latencies_.empty()) return;
  std::sort(latencies_.begin(), latencies_.end());
  result.latency = LatencySummary{.p50 = Seconds(sorted_quantile(latencies_, 0.5)),
                                  .p95 = Seconds(sorted_quantile(latencies_, 0.95)),
                                  .p99 = Seconds(sorted_quantile(latencies_, 0.99)),
                                  .max = Seconds(latencies_.back())};
}

}  // namespace polythrottle::replay
