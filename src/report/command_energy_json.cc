#include <nlohmann/json.hpp>

#include "report/command_energy.h"

namespace polythrottle {
namespace {

template <class Number>
Json number(const std::optional<Number>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json interval_json(const std::optional<Interval>& interval, Json out) {
  out["low"] = interval ? Json(interval->low) : Json(nullptr);
  out["high"] = interval ? Json(interval->high) : Json(nullptr);
  return out;
}

/// std_error: without the shared errors, which stand apart; low and high: with them.
Json mean_json(const MeanOfRuns& mean) {
  Json out = interval_json(mean.interval, {{"value", mean.estimate.value}, {"std_error", number(mean.estimate.std_error)}});
  out["lowest"] = mean.lowest;
  out["highest"] = mean.highest;
  out["shared"] = Json::array();
  for (const auto& s : mean.estimate.shared) out["shared"].push_back({{"source", s.source}, {"relative", s.relative}});
  return out;
}

Json run_json(const CommandRun& run, const MeterInfo& meter) {
  Json out{{"time_seconds", run.time.count()}};
  const bool metered = run.reading.elapsed > Seconds(0);
  out["energy_joules"] = metered ? Json(run.reading.energy.si()) : Json(nullptr);
  out["own_error_joules"] = metered ? Json(run.reading.own_error.si()) : Json(nullptr);
  out["power_watts"] = metered ? Json((run.reading.energy / run.reading.elapsed).si()) : Json(nullptr);
  if (!meter.rails.empty()) {
    out["rails"] = Json::object();
    for (std::size_t k = 0; k < meter.rails.size() && k < run.reading.rails.size(); ++k)
      out["rails"][meter.rails[k].name] = run.reading.rails[k].si();
  }
  out["exit_code"] = run.exit.signal == 0 && !run.interrupted ? Json(run.exit.code) : Json(nullptr);
  out["signal"] = run.exit.signal != 0 ? Json(run.exit.signal) : Json(nullptr);
  out["reads"] = run.reading.reads;
  out["reading_seconds"] = run.reading.reading_time.count();
  out["temperature_celsius_before"] = number(run.celsius_before);
  out["temperature_celsius_after"] = number(run.celsius_after);
  return out;
}

void add_side(Json& out, const CommandEnergy& found, std::size_t side) {
  const auto runs = counted_runs(found.series, side);
  out["runs"] = Json::array();
  for (const CommandRun* run : runs) out["runs"].push_back(run_json(*run, found.meter));
  const auto mean = [&](const auto& of, bool metered) -> Json {
    if (runs.empty()) return nullptr;
    std::vector<RunValue> readings;
    for (const CommandRun* run : runs) readings.push_back(of(*run));
    const auto mean_of = mean_of_runs(readings, metered ? found.meter.error_sources : std::vector<std::string>{});
    // No run draws nothing: a meter that says so was not able to tell.
    return mean_of.estimate.value > 0.0 ? mean_json(mean_of) : Json(nullptr);
  };
  out["energy_joules"] = mean(energy_of, true);
  out["power_watts"] = mean(power_of, true);
  out["time_seconds"] = mean(time_of, false);
  if (found.units) {
    out["energy_joules_per_unit"] = mean([&](const CommandRun& run) { return energy_of(run).over(*found.units); }, true);
  }
  out["rails"] = Json::object();
  for (std::size_t k = 0; k < found.meter.rails.size(); ++k) {
    const Rail& rail = found.meter.rails[k];
    Json one = mean(
        [k](const CommandRun& run) {
          return RunValue{k < run.reading.rails.size() ? run.reading.rails[k].si() : 0.0, 0.0, {}};
        },
        false);
    if (one.is_null()) continue;
    one["low"] = one["high"] = nullptr;  // a meter states the error of its whole, not of its parts
    one["inside"] = rail.inside && *rail.inside < found.meter.rails.size() ? Json(found.meter.rails[*rail.inside].name) : Json(nullptr);
    one["counted"] = rail.counted;
    out["rails"][rail.name] = std::move(one);
  }
}

Json ratio_json(const CommandEnergy& found, RunValue (*quantity)(const CommandRun&), bool metered) {
  const auto ratio = ratio_of_runs(pairs_of(found.series, quantity), metered ? found.meter.error_sources : std::vector<std::string>{});
  if (!ratio) return nullptr;
  return interval_json(ratio->interval, {{"value", ratio->ratio}});
}

Json discarded_json(const CommandEnergy& found) {
  Json out = Json::array();
  for (const auto& turn : found.series.turns) {
    if (turn.fate == Fate::kCounted) continue;
    Json one{
        {"command", turn.side == 0 ? "A" : "B"}, {"round", turn.round + 1}, {"why", to_string(turn.fate)}, {"reason", turn.run.spoiled}};
    one.update(run_json(turn.run, found.meter));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

Json command_energy_json(const CommandEnergy& found) {
  const MeterInfo& meter = found.meter;
  double reading = 0.0;
  for (const auto& turn : found.series.turns) reading += turn.run.reading.reading_time.count();
  Json out{{"schema", 1}, {"program", found.program}, {"command", found.commands.front()}};
  add_side(out, found, 0);
  out["units_per_run"] = number(found.units);
  out["meter"] = {{"name", meter.name},
                  {"boundary", meter.boundary},
                  {"provenance", to_string(meter.estimated ? Provenance::kEstimated : Provenance::kMeasured)},
                  {"error", meter.error},
                  {"refresh_seconds", meter.refresh.count()},
                  {"read_cost_seconds", meter.read_cost.count()},
                  {"reading_seconds_total", reading},
                  {"remarks", meter.remarks},
                  {"others", found.other_meters}};
  const bool idle = found.idle && found.idle->reading.elapsed > Seconds(0);
  out["idle_watts"] = idle ? Json(found.idle->power().si()) : Json(nullptr);
  out["idle_seconds"] = idle ? Json(found.idle->time.count()) : Json(nullptr);
  out["vs"] = nullptr;
  if (found.compares()) {
    Json vs{{"command", found.commands[1]}};
    add_side(vs, found, 1);
    vs["rounds"] = pairs_of(found.series, time_of).size();
    vs["ratio"] = {{"energy", ratio_json(found, energy_of, true)},
                   {"power", ratio_json(found, power_of, true)},
                   {"time", ratio_json(found, time_of, false)}};
    out["vs"] = std::move(vs);
  }
  out["discarded"] = discarded_json(found);
  const Turn* last = cut_short_by(found.series);
  out["ended"] = found.series.interrupted        ? to_string(Fate::kInterrupted)
                 : last != nullptr               ? to_string(last->fate)
                 : found.series.given_up.empty() ? "complete"
                                                 : "given_up";
  out["machine"] = found.machine;
  return out;
}

}  // namespace polythrottle
