#include "serving/arrival_rate.h"

#include <algorithm>
#include <cmath>

namespace polythrottle::serving {
namespace {

const double kKept = std::exp(-1.0 / ArrivalRate::kMemoryBins);  // of a bin's weight, a bin later
constexpr double kShortestWindow = 1e-6;                         // s

}  // namespace

ArrivalRate::ArrivalRate(Seconds window, std::optional<double> expected, Time start)
    : window_(std::max(window.count(), kShortestWindow)), bin_start_(start.count()) {
  if (!expected || !std::isfinite(*expected) || *expected <= 0.0) return;
  const double mean = *expected * window_;
  assumed_ = 0.0;
  weight_ = kPriorBins;
  sum_ = kPriorBins * mean;
  squares_ = kPriorBins * (mean + mean * mean);
}

void ArrivalRate::arrived(Time now) {
  roll(now);
  count_ += 1.0;
}

ArrivalEstimate ArrivalRate::estimate(Time now) const {
  ArrivalRate then = *this;
  then.roll(now);
  // What came in the bin that is not over counts with the time it came in. A window at least, or the first request would be a flood.
  const double elapsed = std::max(now.count() - then.bin_start_, 0.0);
  ArrivalEstimate answer;
  answer.seconds = then.weight_ * window_ + elapsed;
  answer.rate = (then.sum_ + then.count_) / std::max(answer.seconds, window_);

  const double mean = then.weight_ > 0.0 ? then.sum_ / then.weight_ : 0.0;
  if (!std::isnormal(mean)) return answer;
  const double deviations = std::max(then.squares_ - mean * then.sum_, 0.0);
  // Few bins say little of unevenness, and many bins with hardly a request in them do not either: both draw towards Poisson.
  const double raw = (deviations / mean + then.assumed_) / (then.weight_ + then.assumed_);
  answer.dispersion = 1.0 + (raw - 1.0) * then.sum_ / (then.sum_ + 1.0);
  return answer;
}

void ArrivalRate::roll(Time now) {
  const double passed = std::floor((now.count() - bin_start_) / window_);
  if (!(passed >= 1.0)) return;
  // The bin in progress ends, then the others are empty: 1 + kept + kept^2 ... of weight, and nothing in them.
  const double kept = std::pow(kKept, passed - 1.0);
  weight_ = (weight_ * kKept + 1.0) * kept + (1.0 - kept) / (1.0 - kKept);
  sum_ = (sum_ * kKept + count_) * kept;
  squares_ = (squares_ * kKept + count_ * count_) * kept;
  assumed_ *= kKept * kept;
  count_ = 0.0;
  bin_start_ += passed * window_;
}

}  // namespace polythrottle::serving
