#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/replay.h"
#include "report/replay_metrics.h"
#include "serving/decision.h"

namespace polythrottle {
namespace {

using replay::ContenderRuns;

Json number(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
Json seconds(const std::optional<Seconds>& value) { return value ? Json(value->count()) : Json(nullptr); }

Json metric_json(const ReplayMetric& metric, double value) {
  return metric.unit == ReplayUnit::kCount ? Json(static_cast<std::int64_t>(value)) : Json(value);
}

Json run_json(const replay::ReplayResult& run) {
  Json out = Json::object();
  for (const auto& metric : replay_metrics()) {
    const auto value = metric.value(run);
    out[std::string(metric.name)] = value ? metric_json(metric, *value) : Json(nullptr);
  }
  out["drops"] = Json::object();
  for (const auto& [cause, count] : run.counted.drops) out["drops"][serving::to_string(cause)] = count;
  out["jobs"] = Json::array();
  for (const auto& job : run.jobs) {
    out["jobs"].push_back({{"job", replay::to_text(job.job)},
                           {"seconds", seconds(job.time)},
                           {"not_ended", job.why_not.empty() ? Json(nullptr) : Json(job.why_not)},
                           {"bound_seconds", seconds(job.bound)},
                           {"steps", job.steps_done()},
                           {"pieces", job.pieces},
                           {"running_seconds", job.running.count()}});
  }
  out["row_change_causes"] = Json::object();
  for (const auto& [cause, count] : run.row_causes) out["row_change_causes"][serving::to_string(cause)] = count;
  out["stale"] = run.stale ? Json({{"at_seconds", run.stale->at.count()}, {"reason", run.stale->reason}}) : Json(nullptr);
  out["row_changes_failed"] = run.row_changes_failed;
  out["row_shares"] = run.row_shares;
  out["calibrated"] = run.calibrated;
  out["traffic_seconds"] = run.traffic_ended.count();
  return out;
}

Json contender_json(const ContenderRuns& contender, const std::string& origin) {
  Json out = Json::object();
  out["name"] = contender.contender.name;
  out["policy"] = contender.contender.policy;
  out["config"] = to_json(contender.contender.rows[contender.contender.row].config);
  out["config_origin"] = origin;
  out["rows"] = Json::array();
  for (const auto& row : contender.contender.rows) out["rows"].push_back(to_json(row.config));
  // One run: its numbers. Several: their means, and beside them what is known of these.
  const bool many = contender.runs.size() > 1;
  if (!many) {
    out.update(run_json(contender.runs.front()));
    return out;
  }
  Json spread = Json::object();
  for (const auto& metric : replay_metrics()) {
    const auto e = over_seeds(metric, contender);
    out[std::string(metric.name)] = e ? Json(e->mean) : Json(nullptr);
    if (e)
      spread[std::string(metric.name)] = {
          {"runs", e->count}, {"standard_deviation", e->deviation}, {"half_width_95", number(e->half_width)}};
  }
  out["spread"] = std::move(spread);
  out["runs"] = Json::array();
  for (const auto& run : contender.runs) out["runs"].push_back(run_json(run));
  return out;
}

}  // namespace

std::string render_replay_json(const ReplayHeading& h, const replay::Comparison& comparison) {
  Json out = Json::object();
  out["schema"] = 1;
  out["provenance"] = "simulated";
  out["device"] = h.device;
  out["board"] = h.board;
  out["model"] = h.model;
  out["slo"] = h.slo;
  out["arrivals"] = h.arrivals;
  out["rate_per_second"] = h.rate;
  out["duration_seconds"] = h.duration.count();
  out["predictor"] = h.predictor;
  out["energy_boundary"] = "all rails of the board";
  out["seed"] = h.first_seed;
  out["seeds"] = h.seeds;
  out["notes"] = h.notes;
  // With one contender its numbers stand at the top.
  if (comparison.contenders.size() == 1) {
    out.update(contender_json(comparison.contenders.front(), h.configs.front()));
  } else {
    out["contenders"] = Json::array();
    for (std::size_t i = 0; i < comparison.contenders.size(); ++i) {
      out["contenders"].push_back(contender_json(comparison.contenders[i], h.configs[i]));
    }
  }
  return dumped(out);
}

std::string render_decisions(const replay::Comparison& comparison) {
  std::string out;
  for (const auto& contender : comparison.contenders) {
    for (const auto& record : contender.runs.front().records) {
      Json line = {{"contender", contender.contender.name},
                   {"number", record.number},
                   {"at_seconds", record.at.count()},
                   {"act", serving::to_string(record.act)},
                   {"cause", serving::to_string(record.cause)},
                   {"size", record.size},
                   {"subject", record.subject},
                   {"queued", record.queued},
                   {"beside", record.beside},
                   {"predicted_seconds", seconds(record.predicted)},
                   {"bound_seconds", seconds(record.bound)},
                   {"slack_seconds", seconds(record.slack)},
                   {"risk", number(record.risk)},
                   {"budget", number(record.budget)},
                   {"until_seconds", seconds(record.until)},
                   {"actual_seconds", seconds(record.actual)},
                   {"sentence", serving::sentence(record)}};
      out += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
  }
  return out;
}

}  // namespace polythrottle
