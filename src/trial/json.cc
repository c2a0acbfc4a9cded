#include "trial/json.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

namespace polythrottle {
namespace {

/// Runs a reader that uses nlohmann's throwing accessors; this is one of the five edges where exceptions become values.
template <class F>
auto guarded(std::string_view what, F&& read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const nlohmann::json::exception& e) {
    return fail(Errc::kCorrupt, fmt::format("{}: {}", what, e.what()));
  }
}

Value value_from(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  return json.get<double>();
}

constexpr std::array kRoles{Role::kComputeClock, Role::kMemoryClock, Role::kHostClock, Role::kClockFloor, Role::kPowerCap,
                            Role::kBatch,        Role::kParallelism, Role::kCategory,  Role::kOther};
constexpr std::array kKinds{Advice::Kind::kReference, Advice::Kind::kFound,   Advice::Kind::kTry,
                            Advice::Kind::kVerify,    Advice::Kind::kCheck,   Advice::Kind::kConfirm, Advice::Kind::kStop};

/// The enumerator whose word is `text`; the first one of another word never happens in files we wrote.
template <class Enum, std::size_t N>
Result<Enum> from_word(const std::array<Enum, N>& all, const std::string& text) {
  for (const Enum e : all) {
    if (text == to_string(e)) return e;
  }
  return fail(Errc::kCorrupt, fmt::format("unknown word '{}'", text));
}

}  // namespace

Json to_json(const Value& value) {
  if (const auto* label = std::get_if<std::string>(&value)) return *label;
  const double number = std::get<double>(value);
  if (std::abs(number) < 9e15 && number == static_cast<double>(static_cast<std::int64_t>(number))) return static_cast<std::int64_t>(number);
  return number;
}

Json to_json(const Config& config) {
  Json out = Json::object();
  for (const auto& [name, value] : config.entries()) out[name] = to_json(value);
  return out;
}

Json to_json(const Metrics& metrics) {
  Json out = Json::object();
  // In the order of the metric table, so that people find energy first; the map itself is alphabetical.
  for (const auto& row : metric_table()) {
    if (const auto it = metrics.find(row.name); it != metrics.end()) out[std::string(row.name)] = it->second.value;
  }
  return out;
}

Json errors_to_json(const Metrics& metrics) {
  Json out = Json::object();
  for (const auto& row : metric_table()) {
    const auto it = metrics.find(row.name);
    if (it == metrics.end()) continue;
    Json m = Json::object();
    if (it->second.std_error) m["std_error"] = *it->second.std_error;
    if (it->second.samples) m["samples"] = *it->second.samples;
    for (const auto& s : it->second.shared) m["shared"].push_back({{"source", s.source}, {"relative", s.relative}});
    if (!m.empty()) out[std::string(row.name)] = std::move(m);
  }
  return out;
}

Json to_json(const Advice& advice) {
  Json out{{"kind", to_string(advice.kind)}, {"config", to_json(advice.config)}, {"reason", advice.reason}};
  if (advice.expected_gain) out["expected_gain"] = *advice.expected_gain;
  return out;
}

Json to_json(const Constraint& constraint) {
  return {{"metric", constraint.metric}, {"bound", constraint.bound == Bound::kAtMost ? "<=" : ">="}, {"limit", constraint.limit}};
}

Json to_json(const Parameter& parameter) {
  Json levels = Json::array();
  for (const auto& level : parameter.levels) levels.push_back(to_json(level));
  return {{"name", parameter.name},
          {"unit", parameter.unit},
          {"role", to_string(parameter.role)},
          {"levels", levels},
          {"help", parameter.help}};
}

Json to_json(const std::vector<Parameter>& parameters) {
  Json out = Json::array();
  for (const auto& p : parameters) out.push_back(to_json(p));
  return out;
}

Result<Config> config_from_json(const Json& json) {
  return guarded("configuration", [&] {
    Config out;
    for (const auto& [name, value] : json.get_ref<const Json::object_t&>()) out.set(name, value_from(value));
    return out;
  });
}

Result<Metrics> metrics_from_json(const Json& values, const Json& errors) {
  return guarded("metrics", [&] {
    Metrics out;
    for (const auto& [name, value] : values.get_ref<const Json::object_t&>()) {
      Estimate e;
      e.value = value.get<double>();
      if (const auto m = errors.find(name); m != errors.end()) {
        if (m->contains("std_error")) e.std_error = m->at("std_error").get<double>();
        if (m->contains("samples")) e.samples = m->at("samples").get<std::size_t>();
        if (m->contains("shared")) {
          for (const auto& s : m->at("shared")) e.shared.push_back({s.at("source").get<std::string>(), s.at("relative").get<double>()});
        }
      }
      out.emplace(name, std::move(e));
    }
    return out;
  });
}

Result<Advice> advice_from_json(const Json& json) {
  TRY(const auto word, guarded("advice", [&] { return json.at("kind").get<std::string>(); }));
  TRY(const auto kind, from_word(kKinds, word));
  TRY(const Json body, guarded("advice", [&] { return json.at("config"); }));
  TRY(auto config, config_from_json(body));
  return guarded("advice", [&] {
    Advice out{kind, config, json.at("reason").get<std::string>(), {}};
    if (json.contains("expected_gain")) out.expected_gain = json.at("expected_gain").get<double>();
    return out;
  });
}

Result<Constraint> constraint_from_json(const Json& json) {
  return guarded("constraint", [&] {
    const bool at_most = json.at("bound").get<std::string>() == "<=";
    return Constraint{json.at("metric").get<std::string>(), at_most ? Bound::kAtMost : Bound::kAtLeast, json.at("limit").get<double>()};
  });
}

Result<Parameter> parameter_from_json(const Json& json) {
  TRY(const auto word, guarded("parameter", [&] { return json.at("role").get<std::string>(); }));
  TRY(const auto role, from_word(kRoles, word));
  return guarded("parameter", [&] {
    Parameter out{json.at("name").get<std::string>(), json.at("unit").get<std::string>(), role, {}, json.at("help").get<std::string>()};
    for (const auto& level : json.at("levels")) out.levels.push_back(value_from(level));
    return out;
  });
}

Result<std::vector<Parameter>> parameters_from_json(const Json& json) {
  if (!json.is_array()) return fail(Errc::kCorrupt, "parameters: no list");
  std::vector<Parameter> out;
  for (const auto& item : json) {
    TRY(auto parameter, parameter_from_json(item));
    out.push_back(std::move(parameter));
  }
  return out;
}

Result<Json> parse_json(std::string_view text) {
  return guarded("JSON", [&] { return Json::parse(text); });
}

}  // namespace polythrottle
