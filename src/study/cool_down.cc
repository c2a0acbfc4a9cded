#include "study/cool_down.h"

#include <fmt/format.h>

#include <algorithm>

#include "trial/metric.h"

namespace polythrottle {
namespace {

constexpr Seconds kLookAgain{1.0};

}  // namespace

Seconds wait_until(Clock& clock, const std::stop_token& stop, Seconds limit, const std::function<bool()>& cool) {
  const auto began = clock.now();
  bool waited = false;
  while (!stop.stop_requested() && clock.now() < began + limit && !cool()) {
    clock.sleep_until(std::min(began + limit, clock.now() + kLookAgain));
    waited = true;
  }
  return waited ? Seconds(clock.now() - began) : Seconds(0);
}

CoolDown::Waited CoolDown::wait(Clock& clock, Gauge* thermometer, std::optional<double> start, Seconds limit, const std::stop_token& stop) {
  Waited out;
  if (thermometer == nullptr) return out;
  const auto look = [&] {
    const auto celsius = thermometer->read();
    out.temperature = celsius ? std::optional(*celsius) : std::nullopt;
    return !out.temperature || !start || *out.temperature <= *start + kMargin;
  };
  if (in_vain_ >= kVainWaits || limit <= Seconds(0)) {
    look();
    return out;
  }
  out.time = wait_until(clock, stop, limit, look);
  if (look()) {
    in_vain_ = 0;
    return out;
  }
  if (stop.stop_requested()) return out;
  ++in_vain_;
  out.remark = fmt::format("{}{:.1f} degC after {:.3g} s without load, {:.1f} degC at the start of the study{}", kStillWarm,
                           *out.temperature, out.time.count(), *start, in_vain_ == kVainWaits ? "; no further trial waits" : "");
  return out;
}

Gauge* thermometer_of(std::span<const std::unique_ptr<Gauge>> gauges) {
  const auto at = std::find_if(gauges.begin(), gauges.end(), [](const auto& gauge) { return gauge->name() == kTemperature; });
  return at == gauges.end() ? nullptr : at->get();
}

}  // namespace polythrottle
