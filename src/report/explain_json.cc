#include <nlohmann/json.hpp>

#include "report/explain.h"
#include "report/json.h"

namespace polythrottle {
namespace {

using Binding = KnobExplanation::Binding;

Json fact_text(const Summary& s, const char* key) {
  const auto it = s.facts.find(key);
  return it == s.facts.end() ? Json(nullptr) : Json(it->second);
}

Json change(const Predicted& p) { return {{"ratio", p.ratio}, {"low", p.low}, {"high", p.high}, {"probability", p.probability_better}}; }

Json compared(const std::optional<Compared>& c) {
  if (!c) return nullptr;
  return {{"saving", change(c->saving)}, {"probability_met", c->chance.met}, {"measured", c->measured}};
}

const char* word(Neighbour::Side side) {
  switch (side) {
    case Neighbour::Side::kBelow: return "below";
    case Neighbour::Side::kAbove: return "above";
    case Neighbour::Side::kOther: break;
  }
  return "other";
}

const char* word(Neighbour::Verdict verdict) {
  switch (verdict) {
    case Neighbour::Verdict::kEnd: return "end";
    case Neighbour::Verdict::kNotAllowed: return "not_allowed";
    case Neighbour::Verdict::kWorse: return "worse";
    case Neighbour::Verdict::kBarred: return "barred";
    case Neighbour::Verdict::kUnknown: return "unknown";
    case Neighbour::Verdict::kFlat: return "flat";
    case Neighbour::Verdict::kLimit: return "limit";
    case Neighbour::Verdict::kOpen: break;
  }
  return "open";
}

const char* word(Binding binding) {
  switch (binding) {
    case Binding::kOpen: return "open";
    case Binding::kLimit: return "limit";
    case Binding::kBarred: return "barred";
    case Binding::kUnknown: return "unknown";
    case Binding::kFlat: return "flat";
    case Binding::kEnd: return "end";
    case Binding::kCoupled: return "coupled";
    case Binding::kTurns: return "turns";
    case Binding::kSingle: break;
  }
  return "single";
}

Json neighbour(const Neighbour& n) {
  Json out{{"side", word(n.side)}, {"verdict", word(n.verdict)}};
  if (!n.compared) return out;
  out["value"] = to_json(n.value);
  out.update(compared(n.compared));
  out["latency_change"] = n.slower ? Json(*n.slower) : Json(nullptr);
  out["tightest_limit"] = n.compared->chance.tightest ? Json(*n.compared->chance.tightest) : Json(nullptr);
  out["probability_tightest_met"] = n.compared->chance.tightest_met;
  return out;
}

Json knob(const Explanation& e, const KnobExplanation& k) {
  Json out{{"name", k.name},
           {"role", to_string(k.role)},
           {"reference", to_json(k.at_reference)},
           {"best", to_json(k.at_best)},
           {"moved", k.moved},
           {"alone", compared(k.alone)},
           {"last", compared(k.last)},
           {"binding", word(k.binding)}};
  out["verdict"] = verdict_text(e, k);
  out["neighbours"] = Json::array();
  for (const auto& n : k.neighbours) out["neighbours"].push_back(neighbour(n));
  return out;
}

Json interaction(const std::optional<Interaction>& i) {
  if (!i) return nullptr;
  return {{"knobs", Json::array({i->first, i->second})}, {"saving", change(i->more)}};
}

Json curve(const std::optional<Curve>& c) {
  if (!c) return nullptr;
  Json points = Json::array();
  for (const auto& p : c->points) {
    Json point{{"value", to_json(p.level)}, {"predicted", p.predicted.value},       {"low", p.predicted.low},
               {"high", p.predicted.high},  {"probability_met", p.probability_met}, {"measured", nullptr}};
    if (p.measured) {
      point["measured"] = {{"value", p.measured->value}, {"std_error", nullptr}};
      if (p.measured->std_error) point["measured"]["std_error"] = *p.measured->std_error;
    }
    points.push_back(std::move(point));
  }
  return {{"knob", c->knob.name}, {"points", std::move(points)}};
}

}  // namespace

std::string render_explanation_json(const Explanation& e) {
  const Summary& s = e.summary;
  Json out{{"schema", 1},
           {"program", fact_text(s, fact::kProgram)},
           {"device", fact_text(s, fact::kDevice)},
           {"model", fact_text(s, fact::kModel)}};
  out["objective"] = s.objective.metric;
  out["provenance"] = to_string(s.provenance);
  out["constraints"] = Json::array();
  for (const auto& c : s.constraints) out["constraints"].push_back(to_json(c));
  out["reference"] = to_json(s.reference->config);
  out["best"] = {{"config", to_json(e.best)}, {"chosen", e.chosen}, {"known_to_meet", e.known_to_meet}};
  out["best"].update(compared(e.all));
  out["knobs"] = Json::array();
  for (const auto& k : e.knobs) out["knobs"].push_back(knob(e, k));
  out["interaction"] = interaction(e.strongest);
  out["curve"] = curve(e.curve);
  out["settings"] = {
      {"candidates", e.candidates}, {"measured", e.measured}, {"compared", e.compared}, {"compared_measured", e.compared_measured}};
  out["warm_started"] = e.warm_started;
  return dumped(out);
}

}  // namespace polythrottle
