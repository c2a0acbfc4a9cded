#include "study/baseline.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "meter/window.h"
#include "study/blocks.h"
#include "study/cool_down.h"
#include "study/facts.h"
#include "study/measure.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

constexpr Seconds kLongestNap{0.1};  ///< so that a stop is noticed
constexpr double kBlocks = 20.0;

Result<Estimate> idle_power(Device& device, Seconds time, const std::stop_token& stop) {
  Meter& meter = *device.energy_meter;
  TRY(const auto window, Window::open(device.host, meter, std::max(time / kBlocks, 2.0 * meter.info().refresh)));
  Clock& clock = device.host.clock;
  const auto end = clock.now() + time;
  while (clock.now() < end && !stop.stop_requested()) clock.sleep_until(std::min(end, clock.now() + kLongestNap));
  TRY(const auto reading, window->close());
  if (stop.stop_requested()) return fail(Errc::kBusy, "interrupted");
  return power_of(reading, meter.info().error_sources);
}

}  // namespace

Baseline measure_baseline(Device& device, Seconds idle, const std::stop_token& stop) {
  Baseline out;
  if (Gauge* thermometer = thermometer_of(device.gauges)) {
    if (const auto celsius = thermometer->read()) out.temperature = *celsius;
  }
  if (!device.energy_meter || idle <= Seconds(0)) return out;
  if (const auto power = idle_power(device, idle, stop)) {
    out.idle_watts = *power;
    out.idle_time = idle;
  } else {
    out.idle_failure = power.error().text();
  }
  return out;
}

std::string to_fact(const Baseline& baseline) {
  Json out = Json::object();
  if (baseline.temperature) out["temperature_celsius"] = *baseline.temperature;
  if (baseline.idle_watts) {
    out["idle_watts"] = baseline.idle_watts->value;
    if (baseline.idle_watts->std_error) out["idle_watts_std_error"] = *baseline.idle_watts->std_error;
    out["idle_watts_shared_ratio"] = baseline.idle_watts->shared_relative();
    out["idle_seconds"] = baseline.idle_time.count();
  }
  if (!baseline.idle_failure.empty()) out["idle_failure"] = baseline.idle_failure;
  return out.dump();
}

Result<std::optional<Baseline>> baseline_of(const StudyFacts& facts) {
  const auto it = facts.find(fact::kBaseline);
  if (it == facts.end()) return std::nullopt;
  TRY(const auto json, parse_json(it->second));
  const auto number = [&](const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_number() ? std::optional(at->get<double>()) : std::nullopt;
  };
  if (!json.is_object()) return fail(Errc::kCorrupt, "the study's baseline cannot be read");
  Baseline out;
  out.temperature = number("temperature_celsius");
  if (const auto watts = number("idle_watts")) {
    out.idle_watts = Estimate{*watts, number("idle_watts_std_error"), {}, {}};
    if (const auto shared = number("idle_watts_shared_ratio")) out.idle_watts->shared.push_back({"meter", *shared});
    out.idle_time = Seconds(number("idle_seconds").value_or(0.0));
  }
  if (const auto why = json.find("idle_failure"); why != json.end() && why->is_string()) out.idle_failure = why->get<std::string>();
  return std::optional(std::move(out));
}

}  // namespace polythrottle
