#include "study/facts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "study/history.h"
#include "study/runner.h"
#include "trial/json.h"

namespace polythrottle {

Result<std::string> fact_text(const StudyFacts& facts, const char* key) {
  const auto it = facts.find(key);
  if (it == facts.end())
    return fail(Errc::kCorrupt, fmt::format("the study does not say its {}", key), "it may have been killed before its first trial");
  return it->second;
}

Result<std::vector<ConstraintSpec>> limits_of(const StudyFacts& facts) {
  std::vector<ConstraintSpec> out;
  TRY(const auto slo, fact_text(facts, fact::kSlo));
  TRY(auto first, parse_slo(slo));
  out.push_back(std::move(first));
  TRY(const auto text, fact_text(facts, fact::kConstraints));
  TRY(const auto list, parse_json(text));
  for (const auto& item : list) {
    if (!item.is_string()) return fail(Errc::kCorrupt, "the study's constraints are no list of texts");
    TRY(auto next, parse_constraint(item.get<std::string>()));
    out.push_back(std::move(next));
  }
  return out;
}

Result<Config> reference_of(const StudyFacts& facts) {
  TRY(const auto text, fact_text(facts, fact::kReference));
  TRY(const auto json, parse_json(text));
  return config_from_json(json);
}

namespace {

Result<std::vector<Parameter>> parameters_of(const StudyFacts& facts) {
  TRY(const auto text, fact_text(facts, fact::kSpace));
  TRY(const auto json, parse_json(text));
  return parameters_from_json(json);
}

}  // namespace

Result<Space> space_of(const StudyFacts& facts) {
  const auto allowed = facts.find(fact::kAllowed);
  if (allowed == facts.end()) {
    return fail(Errc::kNotFound, "the study does not list its candidates", "only what was measured in it can be shown");
  }
  TRY(auto parameters, parameters_of(facts));
  return Space::from_ranges(std::move(parameters), allowed->second);
}

Result<std::optional<Recommendation>> choice_of(const StudyFacts& facts) {
  const auto it = facts.find(fact::kChoice);
  if (it == facts.end()) return std::nullopt;
  TRY(const auto json, parse_json(it->second));
  if (json.is_null()) return std::nullopt;
  const auto config = json.find("config"), probability = json.find("probability_met"), known = json.find("known_to_meet");
  if (config == json.end() || probability == json.end() || !probability->is_number() || known == json.end() || !known->is_boolean()) {
    return fail(Errc::kCorrupt, "the study's choice cannot be read");
  }
  TRY(auto chosen, config_from_json(*config));
  return Recommendation{std::move(chosen), probability->get<double>(), known->get<bool>()};
}

Result<EarlierStudy> earlier_study(std::string name, const Journal& journal) {
  TRY(const auto facts, journal.facts());
  EarlierStudy out{std::move(name), {}, {}, {}};
  TRY(out.parameters, parameters_of(facts));
  TRY(out.reference, reference_of(facts));
  TRY(out.history, journal.history());
  if (first_reference(out.history) == nullptr) {
    return fail(Errc::kNotFound, "its reference setting was never measured, so nothing in it can be compared");
  }
  return out;
}

StudyFacts running_facts() {
  return {{fact::kStop, Json{{"reason", "running"}, {"text", ""}}.dump()}, {fact::kChoice, Json(nullptr).dump()}};
}

StudyFacts stopped_facts(const StudyEnd& end) {
  Json stop{{"reason", to_string(end.reason)}, {"text", end.text}};
  if (end.expected_gain) stop["expected_gain"] = *end.expected_gain;
  Json choice;
  if (end.choice) {
    choice = {{"config", to_json(end.choice->config)},
              {"probability_met", end.choice->probability_met},
              {"known_to_meet", end.choice->known_to_meet}};
  }
  return {{fact::kStop, stop.dump()}, {fact::kChoice, choice.dump()}};
}

}  // namespace polythrottle
