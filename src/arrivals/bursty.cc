// The burstiest segment of a trace.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "arrivals/arrivals.h"

namespace polythrottle {
namespace {

constexpr std::size_t kBins = 30;

/// Sum of squares of the counts in kBins bins, the last one mean gap behind the last request: as the number of requests is the same for all
/// runs, the order of these sums is that of the variances.
double unevenness(std::span<const double> run) {
  const auto size = static_cast<double>(run.size());
  const double span = (run.back() - run.front()) * size / (size - 1.0);
  std::array<double, kBins> counts{};
  for (const double time : run) {
    const double place = span > 0.0 ? (time - run.front()) / span * static_cast<double>(kBins) : 0.0;
    ++counts[std::min(kBins - 1, static_cast<std::size_t>(place))];
  }
  double squares = 0.0;
  for (const double count : counts) squares += count * count;
  return squares;
}

}  // namespace

Result<Arrivals> Arrivals::bursty_segment(std::vector<double> times, Seconds duration, std::optional<double> rate_per_second) {
  if (!(duration.count() > 0.0) || !std::isfinite(duration.count())) {
    return fail(Errc::kInvalid, fmt::format("a segment of {} s", duration.count()), "give a duration above 0");
  }
  TRY(const auto whole, recorded(times, rate_per_second));  // everything that is wrong with the trace or the rate
  const double wanted = std::round(whole.rate() * duration.count());
  if (wanted < 2.0) {
    return fail(Errc::kInvalid,
                fmt::format("a segment of {} s at {:.4g} requests a second has fewer than 2", duration.count(), whole.rate()),
                "give a longer duration or a higher rate");
  }
  if (wanted > static_cast<double>(times.size())) {
    return fail(Errc::kInvalid,
                fmt::format("a segment of {} s at {:.4g} requests a second needs {:.0f}, and the trace has {}", duration.count(),
                            whole.rate(), wanted, times.size()),
                "give a shorter duration or a lower rate");
  }
  const auto size = static_cast<std::size_t>(wanted);
  const std::size_t stride = std::max<std::size_t>(1, size / kBins);
  std::size_t best = 0;
  double most = -1.0;
  for (std::size_t start = 0; start + size <= times.size(); start += stride) {
    const double here = unevenness(std::span(times).subspan(start, size));
    if (here > most) {
      most = here;
      best = start;
    }
  }
  times.erase(times.begin() + static_cast<std::ptrdiff_t>(best + size), times.end());
  times.erase(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(best));
  return recorded(std::move(times), whole.rate());
}

}  // namespace polythrottle
