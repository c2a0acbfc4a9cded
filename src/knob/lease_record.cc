#include "knob/lease_record.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace polythrottle {
namespace {

using Json = nlohmann::json;

constexpr int kSchema = 1;

Json to_json(const Value& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

/// What goes on a terminal later: no control characters.
bool is_plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) {
        return !is_plain({&c, 1});
      },
      ' ');
  return text;
}

/// Thrown by the readers below, as nlohmann's own exceptions are, for whatever is not as we write it; parse_record catches both.
struct Foreign {};

long long whole(const Json& json) {
  if (!json.is_number_integer()) throw Foreign{};
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) throw Foreign{};
  return json.get<long long>();
}

double number(const Json& json) {
  if (!json.is_number()) throw Foreign{};
  return json.get<double>();
}

std::string plain(const Json& json) {
  auto text = json.get<std::string>();
  if (!is_plain(text)) throw Foreign{};
  return text;
}

Value value(const Json& json) {
  if (json.is_number()) return json.get<double>();
  return plain(json);
}

RecordEntry entry(const Json& json) {
  RecordEntry out{.name = plain(json.at("name")), .found = value(json.at("found")), .asked = {}, .nodes = {}};
  if (!json.at("asked").is_null()) out.asked = value(json.at("asked"));
  for (const Json& node : json.at("nodes")) {
    FoundNode found{.path = node.at("path").get<std::string>(), .text = std::nullopt};
    if (!is_machine_path(found.path)) throw Foreign{};
    if (!node.at("text").is_null()) found.text = node.at("text").get<std::string>();
    out.nodes.push_back(std::move(found));
  }
  return out;
}

}  // namespace

std::string record_text(const LeaseRecord& record) {
  Json knobs = Json::array();
  for (const auto& entry : record.knobs) {
    Json nodes = Json::array();
    for (const auto& node : entry.nodes) nodes.push_back({{"path", node.path}, {"text", node.text ? Json(*node.text) : Json()}});
    knobs.push_back({{"name", entry.name},
                     {"found", to_json(entry.found)},
                     {"asked", entry.asked ? to_json(*entry.asked) : Json()},
                     {"nodes", std::move(nodes)}});
  }
  Json json{{"schema", kSchema},         {"boot_id", record.boot_id}, {"pid", record.pid}, {"pid_start", record.pid_start},
            {"started", record.started}, {"knobs", std::move(knobs)}};
  if (!record.command.empty()) json["command"] = on_one_line(record.command);
  for (const auto& [word, text] : record.notes) json["notes"][on_one_line(word)] = on_one_line(text);
  if (record.kept) {
    const auto& [source, config, time] = *record.kept;
    json["kept"] = {{"source", on_one_line(source)}, {"config", on_one_line(config)}, {"time", time}};
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<LeaseRecord> parse_record(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    const long long schema = whole(json.at("schema"));
    if (schema > kSchema) {
      return fail(Errc::kUnsupported, "it was written by a newer version of this program (schema " + std::to_string(schema) + ")");
    }
    if (schema != kSchema) throw Foreign{};
    LeaseRecord record{.boot_id = plain(json.at("boot_id")),
                       .pid = whole(json.at("pid")),
                       .pid_start = whole(json.at("pid_start")),
                       .started = number(json.at("started")),
                       .command = {},
                       .notes = {},
                       .kept = {},
                       .knobs = {}};
    if (const auto command = json.find("command"); command != json.end()) record.command = plain(*command);
    if (const auto notes = json.find("notes"); notes != json.end()) {
      for (const auto& [word, note] : notes->get_ref<const Json::object_t&>()) {
        if (!is_plain(word)) throw Foreign{};
        record.notes[word] = plain(note);
      }
    }
    if (const auto kept = json.find("kept"); kept != json.end()) {
      record.kept = KeptWords{plain(kept->at("source")), plain(kept->at("config")), number(kept->at("time"))};
    }
    std::set<std::string> names;
    for (const Json& knob : json.at("knobs")) {
      record.knobs.push_back(entry(knob));
      if (!names.insert(record.knobs.back().name).second) throw Foreign{};
    }
    return record;
  } catch (const Json::exception&) {
  } catch (const Foreign&) {
  }
  return fail(Errc::kCorrupt, "it is not a record of this program");
}

bool is_machine_path(std::string_view path) {
  const bool below = path.starts_with("/nvml/") || (path.starts_with("/sys/") && !path.starts_with("/sys/kernel/")) ||
                     path.starts_with("/sys/kernel/debug/") || path.starts_with("/sys/kernel/nvpmodel_");
  if (!below || !is_plain(path) || path.ends_with('/')) return false;
  for (const std::string_view detour : {"//", "/./", "/../"}) {
    if (path.find(detour) != std::string_view::npos) return false;
  }
  return !path.ends_with("/.") && !path.ends_with("/..");
}

}  // namespace polythrottle
