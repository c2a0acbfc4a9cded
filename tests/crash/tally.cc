#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "crash/matrix.h"

namespace polythrottle::crash {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Row, runs, by_survivors, after_restore)

void to_json(nlohmann::json& json, const Tally& t) {
  json = {
      {"platform", t.platform}, {"knobs", t.knobs},     {"points", t.points},        {"writes", t.writes},         {"rows", t.rows},
      {"reopened", t.reopened}, {"resumed", t.resumed}, {"changed", t.most_changed}, {"rescue", t.slowest_rescue}, {"failures", t.failures},
      {"command", t.command}};
}

void from_json(const nlohmann::json& json, Tally& t) {
  json.at("platform").get_to(t.platform);
  json.at("knobs").get_to(t.knobs);
  json.at("points").get_to(t.points);
  json.at("writes").get_to(t.writes);
  json.at("rows").get_to(t.rows);
  json.at("reopened").get_to(t.reopened);
  json.at("resumed").get_to(t.resumed);
  json.at("changed").get_to(t.most_changed);
  json.at("rescue").get_to(t.slowest_rescue);
  json.at("failures").get_to(t.failures);
  json.at("command").get_to(t.command);
}

namespace {

std::string line(const std::map<std::string, Row>& rows) {
  const auto of = [&](const std::vector<const char*>& kinds) {
    Row sum;
    for (const char* kind : kinds) {
      if (const auto it = rows.find(kind); it != rows.end()) {
        sum.runs += it->second.runs;
        sum.by_survivors += it->second.by_survivors;
        sum.after_restore += it->second.after_restore;
      }
    }
    return sum;
  };
  const Row tuner = of({kTunerKilled}), watchdog = of({kWatchdogKilled}), both = of({kBothKilled});
  const Row failed = of({kWriteFails, kWritesFail}), restores = of({kRestoreKilled, kRestoreFails});
  const Row all = of({kTunerKilled, kWatchdogKilled, kBothKilled, kWriteFails, kWritesFail, kRestoreKilled, kRestoreFails});
  std::string text;
  if (tuner.runs > 0) text += fmt::format("  tuner killed: {} of {} restored by the watchdog\n", tuner.by_survivors, tuner.runs);
  if (watchdog.runs > 0) text += fmt::format("  watchdog killed: {} of {} restored by the tuner\n", watchdog.by_survivors, watchdog.runs);
  if (both.runs > 0) text += fmt::format("  both killed: {} of {} left something changed\n", both.runs - both.by_survivors, both.runs);
  if (failed.runs > 0) text += fmt::format("  writes refused: {} of {} restored all the same\n", failed.by_survivors, failed.runs);
  if (restores.runs > 0) text += fmt::format("  restore itself killed or refused: {} times\n", restores.runs);
  return text + fmt::format("  after one restore: {} of {}\n", all.after_restore, all.runs);
}

}  // namespace

std::string summary(const Tally& t) {
  std::string knobs;
  for (const auto& name : t.knobs) knobs += " " + name;
  return fmt::format("{}: {} places, {} of them before a write;{}\n{}", t.platform, t.points, t.writes, knobs, line(t.rows)) +
         fmt::format("  studies: {} read again, {} resumed; slowest rescue {:.2f} s\n", t.reopened, t.resumed, t.slowest_rescue);
}

std::string summary(const std::vector<Tally>& tallies) {
  Tally sum;
  for (const auto& t : tallies) {
    sum.points += t.points;
    sum.reopened += t.reopened;
    sum.resumed += t.resumed;
    sum.slowest_rescue = std::max(sum.slowest_rescue, t.slowest_rescue);
    for (const auto& [kind, row] : t.rows) {
      sum.rows[kind].runs += row.runs;
      sum.rows[kind].by_survivors += row.by_survivors;
      sum.rows[kind].after_restore += row.after_restore;
    }
  }
  return fmt::format("All {} platforms: {} places\n{}", tallies.size(), sum.points, line(sum.rows)) +
         fmt::format("  studies: {} read again, {} resumed; slowest rescue {:.2f} s\n", sum.reopened, sum.resumed, sum.slowest_rescue);
}

}  // namespace polythrottle::crash
