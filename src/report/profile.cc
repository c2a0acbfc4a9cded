#include "report/profile.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/report.h"

namespace polythrottle {
namespace {

constexpr int kSchema = 1;
constexpr char kKind[] = "polythrottle profile";

std::string text_or_nothing(const StudyFacts& facts, const char* key) {
  const auto it = facts.find(key);
  return it == facts.end() ? std::string() : it->second;
}

/// An object of texts.
Result<std::map<std::string, std::string>> texts_from(const Json& json, const char* what) {
  std::map<std::string, std::string> out;
  if (!json.is_object()) return fail(Errc::kCorrupt, fmt::format("{} is no object", what));
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) return fail(Errc::kCorrupt, fmt::format("{}: '{}' is no text", what, key));
    out[key] = value.get<std::string>();
  }
  return out;
}

/// Knobs: an object of numbers and labels.
Result<Config> knobs_from(const Json& json, const char* what) {
  if (!json.is_object()) return fail(Errc::kCorrupt, fmt::format("{} is no object", what));
  for (const auto& [name, value] : json.items()) {
    if (!value.is_number() && !value.is_string())
      return fail(Errc::kCorrupt, fmt::format("{}: '{}' is neither a number nor a text", what, name));
  }
  return config_from_json(json);
}

std::string text_of(const Json& document, const char* key) {
  const auto it = document.find(key);
  return it != document.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

Result<Profile> profile_of(const Summary& summary) {
  if (!summary.best) {
    return fail(Errc::kNotFound, "the study knows no setting that meets its limits",
                "ask about others with --slo, or let the search go on");
  }
  TRY(const std::string device, fact_text(summary.facts, fact::kDevice));
  if (device.starts_with("sim:") || device.starts_with("recorded:")) {
    return fail(Errc::kUnsupported, fmt::format("a study of {} has no settings of a machine", device),
                "tune on the machine itself; its study can be applied");
  }
  Profile profile;
  profile.device = device;
  TRY(const std::string machine, fact_text(summary.facts, fact::kMachine));
  TRY(const Json facts, parse_json(machine));
  TRY(profile.machine, texts_from(facts, "the study's machine"));
  // What the lease found is what the machine has; the rest is the program's.
  Config found;
  if (const auto it = summary.facts.find(fact::kFound); it != summary.facts.end()) {
    TRY(const Json json, parse_json(it->second));
    TRY(found, config_from_json(json));
  }
  for (const auto& [name, value] : summary.best->config.entries()) (found.get(name) ? profile.settings : profile.program).set(name, value);
  profile.model = text_or_nothing(summary.facts, fact::kModel);
  for (const auto& c : summary.constraints) profile.limits += (profile.limits.empty() ? "" : ", ") + describe(c);
  profile.provenance = to_string(summary.provenance);
  if (summary.saving) profile.saving = summary.saving->ratio;
  return profile;
}

std::string render_profile(const Profile& p) {
  Json machine = Json::object();
  for (const auto& [key, value] : p.machine) machine[key] = value;
  return dumped({{"schema", kSchema},
                 {"kind", kKind},
                 {"machine", std::move(machine)},
                 {"settings", to_json(p.settings)},
                 {"program", to_json(p.program)},
                 {"device", p.device},
                 {"model", p.model},
                 {"limits", p.limits},
                 {"saving", {{"ratio", p.saving}, {"provenance", p.provenance}}}});
}

Result<Profile> parse_profile(std::string_view text) {
  TRY(const Json document, parse_json(text));
  if (!document.is_object() || text_of(document, "kind") != kKind) {
    return fail(Errc::kCorrupt, "this is no profile", "'polythrottle export STUDY --format profile' makes one");
  }
  const auto schema = document.find("schema");
  if (schema == document.end() || !schema->is_number_integer()) return fail(Errc::kCorrupt, "the profile has no schema number");
  if (*schema != kSchema) {
    return fail(Errc::kUnsupported, fmt::format("the profile has schema {}, this program knows {}", schema->dump(), kSchema),
                "use the version that made it");
  }
  for (const char* key : {"machine", "settings"}) {
    if (!document.contains(key)) return fail(Errc::kCorrupt, fmt::format("the profile has no '{}'", key));
  }
  Profile p;
  TRY(p.machine, texts_from(document.at("machine"), "the profile's machine"));
  TRY(p.settings, knobs_from(document.at("settings"), "the profile's settings"));
  if (document.contains("program")) {
    TRY(p.program, knobs_from(document.at("program"), "the profile's program"));
  }
  p.device = text_of(document, "device");
  p.model = text_of(document, "model");
  p.limits = text_of(document, "limits");
  if (const auto saving = document.find("saving"); saving != document.end() && saving->is_object()) {
    p.provenance = text_of(*saving, "provenance");
    if (const auto ratio = saving->find("ratio"); ratio != saving->end() && ratio->is_number()) p.saving = ratio->get<double>();
  }
  return p;
}

Status check_machine(const Profile& profile, const std::map<std::string, std::string>& here) {
  for (const auto& [key, called] : {std::pair{"board", "board"}, {"cpu_model", "CPU"}, {"gpu", "GPU"}}) {
    const auto then = profile.machine.find(key), now = here.find(key);
    if (then == profile.machine.end() || now == here.end() || then->second == now->second) continue;
    return fail(Errc::kInvalid,
                fmt::format("it was found on another machine: its {} is '{}', here it is '{}'", called, then->second, now->second),
                "what saves energy there may break the SLO here: tune this machine");
  }
  return {};
}

}  // namespace polythrottle
