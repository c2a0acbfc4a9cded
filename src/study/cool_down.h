#pragma once
// Waiting without load until a machine is as cool as it was.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "base/units.h"
#include "host/host.h"
#include "meter/meter.h"

namespace polythrottle {

/// How the remark of a trial begins that was not down to the temperature of the start.
inline constexpr const char* kStillWarm = "warm: ";

/// Looks once a second until `cool` says so, `limit` has passed, or `stop`. The time that was waited: 0 where nothing had to be.
Seconds wait_until(Clock& clock, const std::stop_token& stop, Seconds limit, const std::function<bool()>& cool);

/// Before each trial: waits for the temperature of the start, so that no trial pays for the heat of the one before. A chip's leakage rises
/// by about a hundredth per degree and is a fifth of its power or less; 5 degrees are worth about the 1 % that is asked of an energy.
class CoolDown {
 public:
  static constexpr double kMargin = 5.0;  ///< degrees above the start that count as cool: sensors step and rooms breathe
  static constexpr int kVainWaits = 3;    ///< so many in a row that did not get there, and this machine does not rest as it did

  struct Waited {
    Seconds time{0};
    std::optional<double> temperature;  ///< Celsius, at its end; absent where none can be read
    std::string remark;                 ///< empty where it is cool
  };
  /// `start`: Celsius; absent: no wait. After kVainWaits in a row there are no more, so that a warmer room costs a study no more than
  /// those.
  Waited wait(Clock& clock, Gauge* thermometer, std::optional<double> start, Seconds limit, const std::stop_token& stop);

 private:
  int in_vain_ = 0;
};

/// The gauge of temperature_celsius among them; null if there is none.
Gauge* thermometer_of(std::span<const std::unique_ptr<Gauge>> gauges);

}  // namespace polythrottle
