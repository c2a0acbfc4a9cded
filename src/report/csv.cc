#include <fmt/format.h>

#include <set>

#include "report/report.h"

namespace polythrottle {
namespace {

std::string quoted(const std::string& cell) {
  if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
  std::string out = "\"";
  for (const char c : cell) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string render_csv(const Summary& s) {
  std::vector<std::string> knobs;
  std::set<std::string_view> present;
  for (const auto& t : s.trials) {
    for (const auto& [name, value] : t.asked.entries()) {
      if (std::find(knobs.begin(), knobs.end(), name) == knobs.end()) knobs.push_back(name);
    }
    for (const auto& [name, e] : t.metrics()) present.insert(name);
  }
  std::string out = "id,state,kind,provenance";
  for (const auto& k : knobs) out += ',' + quoted(k);
  for (const auto& row : metric_table()) {
    if (present.contains(row.name)) out += fmt::format(",{0},{0}_std_error", row.name);
  }
  out += ",started,finished,seed,note\n";
  for (const auto& t : s.trials) {
    out += fmt::format("{},{},{},{}", t.id, to_string(t.state), to_string(t.advice.kind), to_string(s.provenance));
    for (const auto& k : knobs) {
      const auto value = t.asked.get(k);
      out += ',' + (value ? quoted(to_text(*value)) : "");
    }
    for (const auto& row : metric_table()) {
      if (!present.contains(row.name)) continue;
      const auto it = t.metrics().find(row.name);
      out += it == t.metrics().end() ? "," : fmt::format(",{}", it->second.value);
      out += it == t.metrics().end() || !it->second.std_error ? "," : fmt::format(",{}", *it->second.std_error);
    }
    out += fmt::format(",{:.3f},{:.3f},{},{}\n", t.started, t.finished, t.seed, quoted(t.outcome.note));
  }
  return out;
}

}  // namespace polythrottle
