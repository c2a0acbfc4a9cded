#include "bench/comparison_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/report.h"

namespace polythrottle::bench {
namespace {

using Line = std::vector<std::string>;

const Line kHeader{
    "method",          "to 5 %", "+-",     "p90", "never",  "to 1 %", "over", "by stop", "size", ">1.5x", "regret % at 5/8/10/15/25",
    "stop (measured)", "missed", "regret", "ms",  "largest"};

std::string percent(double share) { return fmt::format("{:.0f} %", 100.0 * share); }

std::string short_percent(double share) { return fmt::format("{:.{}f}", 100.0 * share, share < 0.1 ? 1 : 0); }

std::string milliseconds(double ms) { return fmt::format("{:.{}f}", ms, ms < 10.0 ? 1 : 0); }

std::string regrets(const Group& group) {
  std::string out;
  for (const Figure figure : {Figure::kRegret5, Figure::kRegret8, Figure::kRegret10, Figure::kRegret15, Figure::kRegret25}) {
    out += (out.empty() ? "" : " / ") + short_percent(group[figure].mean);
  }
  return out;
}

Line line_of(const std::string& method, const Group& group) {
  const auto mean = [&](Figure figure) { return group[figure].mean; };
  const auto size = group.violation_size(Figure::kExcessToStop, Figure::kViolationsToStop);
  Line line{method,
            fmt::format("{:.2f}", mean(Figure::kTrialsTo5)),
            fmt::format("{:.2f}", group[Figure::kTrialsTo5].std_error),
            fmt::format("{:.0f}", group.p90_trials_to_5()),
            percent(mean(Figure::kNeverTo5)),
            fmt::format("{:.1f}", mean(Figure::kTrialsTo1)),
            fmt::format("{:.2f}", mean(Figure::kViolationsTo5)),
            fmt::format("{:.2f}", mean(Figure::kViolationsToStop)),
            size ? fmt::format("{:.1f}x", *size) : "-",
            percent(mean(Figure::kFarOver)),
            regrets(group)};
  if (std::isnan(mean(Figure::kStopTrials))) {
    line.insert(line.end(), {"-", "-", "-"});
  } else {
    line.push_back(fmt::format("{:.1f} ({:.1f})", mean(Figure::kStopTrials), mean(Figure::kStopMeasurements)));
    line.push_back(percent(mean(Figure::kStopMissed)));
    line.push_back(short_percent(mean(Figure::kStopRegret)) + " %");
  }
  line.push_back(milliseconds(mean(Figure::kSuggestionMilliseconds)));
  line.push_back(milliseconds(group.largest_suggestion_milliseconds()));
  return line;
}

std::string title_of(const Comparison& comparison, const Block& block) {
  std::string where = block.family.empty() ? "Mean over families" : block.family;
  if (block.workloads > 0) where += fmt::format(", {} workload{}", block.workloads, block.workloads == 1 ? "" : "s");
  if (!block.slo.empty()) return where + ", SLO " + block.slo;
  if (comparison.slos.size() == 1) return where + ", SLO " + comparison.slos.front().text;
  return where + ", mean over SLOs";
}

std::string table_of(const Comparison& comparison, const Block& block) {
  std::vector<Line> lines{kHeader};
  for (std::size_t i = 0; i < block.groups.size(); ++i) lines.push_back(line_of(comparison.methods[i].name, block.groups[i]));
  std::vector<std::size_t> right;
  for (std::size_t i = 1; i < kHeader.size(); ++i) right.push_back(i);
  return title_of(comparison, block) + '\n' + align(lines, right);
}

/// Trials to 5 % of each method on each family and in the mean: the last block of each family is its mean over limits.
std::string families_table(const Comparison& comparison, const std::vector<Block>& blocks) {
  std::vector<Line> lines{{"trials to 5 %"}};
  for (const Method& method : comparison.methods) lines.push_back({method.name});
  std::vector<std::size_t> right;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    if (b + 1 < blocks.size() && blocks[b + 1].family == blocks[b].family) continue;
    lines.front().push_back(blocks[b].family.empty() ? "mean of families" : blocks[b].family);
    right.push_back(right.size() + 1);
    for (std::size_t method = 0; method < comparison.methods.size(); ++method) {
      const MeanAndError trials = blocks[b].groups[method][Figure::kTrialsTo5];
      lines[method + 1].push_back(fmt::format("{:.2f} +- {:.2f}", trials.mean, trials.std_error));
    }
  }
  return align(lines, right);
}

std::string abouts(const Comparison& comparison) {
  std::string out;
  for (const Method& method : comparison.methods) {
    if (!method.about.empty()) out += fmt::format("{}: {}\n", method.name, method.about);
  }
  return out;
}

std::string legend() {
  return "Trials count the reference as the first; never = not within the cap, counted as cap + 1. to 5 %: until the setting recommended\n"
         "truly meets the SLO and is within 5 % of the least energy that does; +- its standard error. over: trials truly over the SLO "
         "before\n"
         "that; by stop: before the method's own stop (before 5 % where it has none); size: their mean latency / SLO; >1.5x: searches "
         "with\n"
         "any above 1.5 x SLO. regret: energy of the recommendation over the least, 100 % where it misses the SLO. stop: trials explored\n"
         "(measured) until the method stops by itself; missed: then not within 5 %. ms: per suggestion, mean and largest.\n";
}

}  // namespace

std::string render_text(const Comparison& comparison, const std::vector<Cell>& cells) {
  const std::vector<Block> blocks = blocks_of(comparison, cells);
  std::string out;
  for (const Block& block : blocks) out += table_of(comparison, block) + '\n';
  if (blocks.back().family.empty()) out += families_table(comparison, blocks) + '\n';
  return out + abouts(comparison) + legend();
}

}  // namespace polythrottle::bench
