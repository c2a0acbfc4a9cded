#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "replay/duration.h"
#include "report/replay.h"
#include "report/replay_metrics.h"
#include "report/report.h"
#include "serving/decision.h"

namespace polythrottle {
namespace {

using replay::Comparison;
using replay::ContenderRuns;

/// A number and its uncertainty in one unit.
struct Shown {
  double scale = 1.0;
  int digits = 0;
  const char* unit = "";
};

Shown shown(ReplayUnit unit, double value, bool mean) {
  switch (unit) {
    case ReplayUnit::kCount: return {1.0, mean ? 1 : 0, ""};
    case ReplayUnit::kPercent: return {100.0, 2, " %"};
    case ReplayUnit::kSeconds: return value < 1.0 ? Shown{1e3, 1, " ms"} : Shown{1.0, 2, " s"};
    case ReplayUnit::kJoules: return {1.0, value < 10.0 ? 3 : value < 1000.0 ? 1 : 0, " J"};
    case ReplayUnit::kRatio: return {1.0, 2, " x"};
    case ReplayUnit::kNumber: return {1.0, 2, ""};
  }
  return {};
}

std::string cell(const ReplayMetric& metric, const ContenderRuns& contender) {
  const auto e = over_seeds(metric, contender);
  if (!e) return "-";
  const Shown how = shown(metric.unit, e->mean, e->count > 1);
  std::string text = fmt::format("{:.{}f}", e->mean * how.scale, how.digits);
  if (e->half_width) text += fmt::format(" ± {:.{}f}", *e->half_width * how.scale, how.digits);
  text += how.unit;
  if (e->count < contender.runs.size()) text += fmt::format(" (of {})", e->count);
  return text;
}

using Causes = std::map<serving::Cause, std::size_t>;

/// Over all runs.
template <class CausesOf>
std::string causes_text(const ContenderRuns& contender, CausesOf causes_of) {
  Causes sum;
  for (const auto& run : contender.runs) {
    for (const auto& [cause, count] : causes_of(run)) sum[cause] += count;
  }
  std::string out;
  for (const auto& [cause, count] : sum) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, serving::to_string(cause));
  return out.empty() ? "-" : out;
}

std::string drops_text(const ContenderRuns& contender) {
  return causes_text(contender, [](const auto& run) -> const Causes& { return run.counted.drops; });
}
std::string row_causes_text(const ContenderRuns& contender) {
  return causes_text(contender, [](const auto& run) -> const Causes& { return run.row_causes; });
}

std::string shares_text(const ContenderRuns& contender) {
  std::vector<double> shares(contender.contender.rows.size(), 0.0);
  for (const auto& run : contender.runs) {
    for (std::size_t i = 0; i < shares.size(); ++i) shares[i] += run.row_shares[i] / static_cast<double>(contender.runs.size());
  }
  if (shares.size() == 1) return fmt::format("{:.0f} %", 100.0 * shares[0]);
  const auto others = std::count_if(shares.begin() + 1, shares.end(), [](double share) { return share >= 0.005; });
  return fmt::format("reference {:.0f} %, {} others", 100.0 * shares[0], others);
}

std::string heading_text(const ReplayHeading& h, const Comparison& comparison) {
  std::vector<std::vector<std::string>> rows{
      {"Replay", fmt::format("{} on {} ({})", h.model, h.device, h.board)},
      {"Load", fmt::format("{}, {}; SLO {}", h.arrivals, replay::duration_text(h.duration), h.slo)},
  };
  std::vector<std::string> said;
  for (std::size_t i = 0; i < comparison.contenders.size(); ++i) {
    const auto& contender = comparison.contenders[i].contender;
    const std::string& row = setting_text(contender.rows[contender.row].config);
    const std::string text = fmt::format("{} ({})", row, h.configs[i]);
    if (std::find(said.begin(), said.end(), text) != said.end()) continue;
    said.push_back(text);
    rows.push_back({said.size() == 1 ? "Clocks" : "", text});
  }
  const auto& jobs = comparison.contenders.front().runs.front().jobs;
  for (std::size_t i = 0; i < jobs.size(); ++i) rows.push_back({i == 0 ? "Job" : "", replay::to_text(jobs[i].job)});
  rows.push_back({"Predictor", h.predictor});
  rows.push_back({"Seeds", h.seeds == 1 ? fmt::format("{}", h.first_seed)
                                        : fmt::format("{} to {}; means with 95 % intervals", h.first_seed, h.first_seed + h.seeds - 1)});
  std::string out = align(rows);
  for (const auto& note : h.notes) out += fmt::format("Note: {}\n", note);
  return out;
}

/// Why jobs did not end, one line each.
std::string unfinished_text(const Comparison& comparison) {
  std::string out;
  for (const auto& contender : comparison.contenders) {
    std::map<std::pair<std::size_t, std::string>, std::size_t> why;
    for (const auto& run : contender.runs) {
      for (std::size_t j = 0; j < run.jobs.size(); ++j) {
        if (!run.jobs[j].time) ++why[{j, run.jobs[j].why_not}];
      }
    }
    for (const auto& [key, count] : why) {
      const std::string runs = contender.runs.size() > 1 ? fmt::format(" in {} of {} runs", count, contender.runs.size()) : "";
      out += fmt::format("{}: job {} did not end{}: {}\n", contender.contender.name, key.first + 1, runs, key.second);
    }
  }
  return out;
}

}  // namespace

namespace {

/// Where the drift guard alarmed, one line each.
std::string stale_lines(const Comparison& comparison) {
  std::string out;
  for (const auto& contender : comparison.contenders) {
    const auto& runs = contender.runs;
    const auto count = std::count_if(runs.begin(), runs.end(), [](const auto& run) { return run.stale.has_value(); });
    if (count == 0) continue;
    const auto first = std::find_if(runs.begin(), runs.end(), [](const auto& run) { return run.stale.has_value(); });
    const std::string of = runs.size() > 1 ? fmt::format(" in {} of {} runs", count, runs.size()) : "";
    out += fmt::format("{}: what was measured no longer holds{}; from {} on the reference: {}\n", contender.contender.name, of,
                       replay::duration_text(first->stale->at), first->stale->reason);
  }
  return out;
}

}  // namespace

std::string render_replay(const ReplayHeading& h, const Comparison& comparison) {
  const bool jobs = !comparison.contenders.front().runs.front().jobs.empty();
  std::vector<std::vector<std::string>> rows{{"simulated"}};
  for (const auto& contender : comparison.contenders) rows.front().push_back(contender.contender.name);
  const auto add = [&](std::string_view label, const auto& text_of) {
    std::vector<std::string> row{std::string(label)};
    for (const auto& contender : comparison.contenders) row.push_back(text_of(contender));
    const bool empty = std::all_of(row.begin() + 1, row.end(), [](const std::string& text) { return text == "-"; });
    if (!empty) rows.push_back(std::move(row));
  };
  const bool many_rows = std::any_of(comparison.contenders.begin(), comparison.contenders.end(),
                                     [](const auto& contender) { return contender.contender.rows.size() > 1; });
  for (const auto& metric : replay_metrics()) {
    if (metric.of_jobs && !jobs) continue;
    if (metric.name == "row_changes" && !many_rows) continue;
    add(metric.label, [&](const ContenderRuns& contender) { return cell(metric, contender); });
    if (metric.name == "dropped") add("  because", drops_text);
    if (metric.name == "row_changes") add("  because", row_causes_text);
  }
  if (many_rows) add("time in each configuration", shares_text);
  std::vector<std::size_t> right;
  for (std::size_t i = 1; i <= comparison.contenders.size(); ++i) right.push_back(i);
  return heading_text(h, comparison) + "\n" + align(rows, right) + unfinished_text(comparison) + stale_lines(comparison) +
         fmt::format("\nEnergy is that of all rails of the board, over {}.\n", replay::duration_text(h.duration));
}

}  // namespace polythrottle
