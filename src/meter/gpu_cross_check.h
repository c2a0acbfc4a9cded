#pragma once
// A GPU's energy counter held against its power sensor for a moment, before either is believed.

#include <optional>
#include <span>

#include "host/host.h"

namespace polythrottle {

/// One look at a GPU.
struct GpuLook {
  Clock::TimePoint at;
  std::optional<double> counter;  ///< J
  std::optional<double> watts;
};

/// What a stretch of looks tells.
struct GpuCrossCheck {
  std::optional<Seconds> counter_refresh, power_refresh;  ///< median time between changes; absent: too few were seen
  Seconds compared{0};                                    ///< from the first change of the counter to the last; 0: nothing to compare
  Joules by_counter, by_power;                            ///< over that time
  double mean_watts = 0.0;                                ///< of the power readings; 0 without any

  /// Users have seen 187 J by the counter against 327 J by integrated power over the same 5 s (ml-energy/zeus issue 181). Over a second,
  /// a load that comes and goes lets honest sensors differ by less than this part of the larger.
  static constexpr double kTolerance = 0.2;
  bool agree() const;
};

/// `looks` in order of time, closer together than the sensors change.
GpuCrossCheck cross_check(std::span<const GpuLook> looks);

}  // namespace polythrottle
