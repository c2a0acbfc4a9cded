#include "workload/limit.h"

#include <algorithm>
#include <cmath>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr std::size_t kFewest = 10;
constexpr double kConfidence = 0.999;

}  // namespace

LimitWatch::LimitWatch(Seconds limit, double quantile, std::size_t cluster)
    : limit_(limit.count() * kTolerance), quantile_(quantile), cluster_(std::max<std::size_t>(cluster, 1)) {}

bool LimitWatch::add(Seconds latency) {
  const double value = latency.count();
  ++count_;
  const double before = mean_;
  mean_ += (value - mean_) / static_cast<double>(count_);
  squares_ += (value - before) * (value - mean_);
  if (value <= limit_) return false;  // only a latency above the limit can tip the scale
  ++above_;
  const std::size_t observations = count_ / cluster_;
  if (observations < kFewest) return false;
  if (quantile_ > 0.0) {
    const std::size_t above = above_ / cluster_;
    if (static_cast<double>(above) <= (1.0 - quantile_) * static_cast<double>(observations)) return false;
    return binomial_cdf(above - 1, observations, 1.0 - quantile_) > kConfidence;
  }
  static const double kStep = normal_quantile(kConfidence);
  const double deviation = std::sqrt(squares_ / static_cast<double>(count_ - 1));
  return mean_ - kStep * deviation / std::sqrt(static_cast<double>(observations)) > limit_;
}

}  // namespace polythrottle
