#include "workload/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace polythrottle {
namespace {

constexpr int kBits = 10;  ///< buckets per doubling: 2^10
constexpr double kLongest = 1e6;

// Nanoseconds below 2^(kBits + 1) have a bucket each; above, the leading kBits + 1 bits tell the bucket.
std::size_t bucket_of(std::uint64_t nanoseconds) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(nanoseconds)) - (kBits + 1));
  return (static_cast<std::size_t>(shift) << kBits) + static_cast<std::size_t>(nanoseconds >> shift);
}
/// The middle of a bucket.
double middle_of(std::size_t bucket) {
  constexpr std::size_t kFirst = std::size_t{1} << (kBits + 1);
  if (bucket < kFirst) return static_cast<double>(bucket) * 1e-9;
  const std::size_t shift = (bucket >> kBits) - 1;
  const double leading = static_cast<double>(bucket - (shift << kBits));
  return (leading + 0.5) * std::ldexp(1.0, static_cast<int>(shift)) * 1e-9;
}

std::uint64_t nanoseconds_of(double seconds) { return static_cast<std::uint64_t>(std::llround(seconds * 1e9)); }

}  // namespace

LatencyHistogram::LatencyHistogram() : counts_(bucket_of(nanoseconds_of(kLongest)) + 1) {}

void LatencyHistogram::add(Seconds latency) {
  const double seconds = std::clamp(latency.count(), 0.0, kLongest);
  ++counts_[bucket_of(nanoseconds_of(seconds))];
  ++count_;
  sum_ += seconds;
  max_ = std::max(max_, seconds);
}

std::optional<Seconds> LatencyHistogram::mean() const {
  if (count_ == 0) return std::nullopt;
  return Seconds(sum_ / static_cast<double>(count_));
}

std::optional<Seconds> LatencyHistogram::max() const {
  if (count_ == 0) return std::nullopt;
  return Seconds(max_);
}

std::optional<Seconds> LatencyHistogram::quantile(double q) const {
  if (count_ == 0) return std::nullopt;
  const double wanted = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_);
  // A product such as 0.999 * 1000 may come out a little above the whole number it is.
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(wanted * (1.0 - 1e-12))));
  if (rank >= count_) return Seconds(max_);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    below += counts_[i];
    if (below >= rank) return Seconds(std::min(middle_of(i), max_));
  }
  return Seconds(max_);
}

}  // namespace polythrottle
