#include "study/stale.h"

#include <nlohmann/json.hpp>

#include "study/facts.h"
#include "trial/json.h"

namespace polythrottle {

Status mark_stale(Journal& journal, const Stale& stale) {
  TRY(const auto facts, journal.facts());
  if (facts.contains(fact::kStale)) return {};
  const Json mark = {{"reason", stale.reason}, {"at", stale.wall_seconds}};
  return journal.describe({{fact::kStale, mark.dump(-1, ' ', false, Json::error_handler_t::replace)}});
}

Status mark_stale(const std::string& path, const Stale& stale) {
  TRY(const auto journal, open_sqlite_journal(path, OpenMode::kResume));
  return mark_stale(*journal, stale);
}

std::optional<Stale> stale_of(const StudyFacts& facts) {
  const auto mark = facts.find(fact::kStale);
  if (mark == facts.end()) return std::nullopt;
  const Json json = Json::parse(mark->second, nullptr, false);
  const bool fine =
      json.is_object() && json.contains("reason") && json["reason"].is_string() && json.contains("at") && json["at"].is_number();
  if (!fine) return Stale{"it is marked so, by a mark that cannot be read", 0.0};
  return Stale{json["reason"].get<std::string>(), json["at"].get<double>()};
}

std::string stale_text(const Stale& stale) { return "the study is stale: " + stale.reason + "; tune again"; }

}  // namespace polythrottle
