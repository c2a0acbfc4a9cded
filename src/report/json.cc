#include "report/json.h"

#include <nlohmann/json.hpp>

#include "report/discarded.h"
#include "report/report.h"

namespace polythrottle {
namespace {

Json side(const std::optional<Side>& side) {
  if (!side) return nullptr;
  return {{"config", to_json(side->config)},
          {"metrics", to_json(side->metrics)},
          {"errors", errors_to_json(side->metrics)},
          {"trials", side->trials}};
}

Json saving(const std::optional<Saving>& saving, Provenance provenance) {
  if (!saving) return nullptr;
  Json out{{"ratio", saving->ratio}, {"low", nullptr}, {"high", nullptr}, {"provenance", to_string(provenance)}};
  if (saving->low) out["low"] = *saving->low;
  if (saving->high) out["high"] = *saving->high;
  return out;
}

template <class Number>
Json number(const std::optional<Number>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// A fact that is JSON text itself, or null.
Json fact_json(const Summary& s, const char* key) {
  const auto it = s.facts.find(key);
  if (it == s.facts.end()) return nullptr;
  auto parsed = parse_json(it->second);
  return parsed ? *parsed : Json(it->second);
}

Json proof_json(const ProofCount& count) {
  if (count.all() == 0) return nullptr;
  return {{"proved", count.proved}, {"not_contradicted", count.not_contradicted}, {"not_proved", count.unseen}};
}

Json actuation_json(const std::optional<ActuationCost>& cost) {
  if (!cost) return nullptr;
  return {{"configurations", cost->configurations},
          {"median_seconds", cost->median_seconds},
          {"most_seconds", cost->most_seconds},
          {"writes", cost->writes},
          {"write_seconds", number(cost->write_seconds)}};
}

Json fact_text(const Summary& s, const char* key) {
  const auto it = s.facts.find(key);
  return it == s.facts.end() ? Json(nullptr) : Json(it->second);
}

}  // namespace

Json summary_json(const Summary& s) {
  Json out{{"schema", 1},
           {"program", fact_text(s, fact::kProgram)},
           {"device", fact_text(s, fact::kDevice)},
           {"model", fact_text(s, fact::kModel)}};
  out["sha256"] = fact_text(s, fact::kSha256);
  if (s.facts.contains(fact::kCommand)) out["command"] = fact_text(s, fact::kCommand);
  out["load"] = fact_text(s, fact::kLoad);
  out["meter"] = {
      {"name", fact_text(s, fact::kMeter)}, {"boundary", fact_text(s, fact::kBoundary)}, {"provenance", to_string(s.provenance)}};
  out["objective"] = s.objective.metric;
  out["constraints"] = Json::array();
  for (const auto& c : s.constraints) out["constraints"].push_back(to_json(c));
  out["reference"] = side(s.reference);
  out["found"] = nullptr;
  if (s.found) {
    out["found"] = side(s.found);
  } else if (const Json found = fact_json(s, fact::kFound); found.is_object()) {
    out["found"] = {{"config", found}, {"metrics", nullptr}};
  }
  out["best"] = side(s.best);
  if (!s.best) out["closest"] = side(s.closest);
  out["saving"] = saving(s.saving, s.provenance);
  if (s.objective.metric != kEnergy) out["improvement"] = saving(s.improvement, s.provenance);
  if (s.saving_found) out["saving_found"] = saving(s.saving_found, s.provenance);
  out["confirmed_rounds"] = s.confirmed;
  out["stop"] = {{"reason", s.stop_reason},
                 {"text", s.stop_text},
                 {"expected_gain", number(s.expected_missed)},
                 {"trials", s.explored},
                 {"second_looks", s.second_looks},
                 {"checks", s.checks}};
  out["violations"] = Json::array();
  for (const auto& v : s.violations) {
    out["violations"].push_back({{"trial", v.trial},
                                 {"config", to_json(v.config)},
                                 {"metric", v.metric},
                                 {"value", v.value},
                                 {"limit", v.limit},
                                 {"excess", v.excess}});
  }
  out["search"] = {{"seconds", s.search_seconds},
                   {"energy_joules", number(s.search_joules)},
                   {"requests_in_violation", number(s.requests_in_violation)},
                   {"repaid_after_inferences", number(s.repaid_after_inferences)},
                   {"repaid_after_seconds", number(s.repaid_after_seconds)},
                   {"options", fact_json(s, fact::kSearch)}};
  out["idle_watts"] = nullptr;
  if (s.baseline && s.baseline->idle_watts) {
    out["idle_watts"] = s.baseline->idle_watts->value;
    out["idle_watts_std_error"] = number(s.baseline->idle_watts->std_error);
  }
  out["start_temperature_celsius"] = s.baseline ? number(s.baseline->temperature) : Json(nullptr);
  out["discarded"] = discarded_json(s.discarded);
  out["drift"] = drift_json(s.drift);
  out["settings"] = proof_json(s.proofs);
  out["actuation"] = actuation_json(s.actuation);
  out["mishaps"] = Json::array();
  for (const auto& m : s.mishaps) out["mishaps"].push_back({{"state", to_string(m.state)}, {"note", m.note}, {"trials", m.trials}});
  out["pareto"] = Json::array();
  for (const TrialId id : s.pareto) {
    for (const auto& t : s.trials) {
      if (t.id == id) out["pareto"].push_back({{"trial", id}, {"config", to_json(t.asked)}, {"metrics", to_json(t.metrics())}});
    }
  }
  out["optimizer"] = fact_text(s, fact::kOptimizer);
  out["seed"] = fact_json(s, fact::kSeed);
  out["machine"] = fact_json(s, fact::kMachine);
  out["notes"] = fact_json(s, fact::kNotes);
  out["stale"] = fact_json(s, fact::kStale);
  return out;
}

std::string dumped(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n'; }

std::string render_json(const Summary& s) { return dumped(summary_json(s)); }

}  // namespace polythrottle
