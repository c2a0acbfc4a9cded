#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "report/explain.h"
#include "report/report.h"

namespace polythrottle {
namespace {

using Side = Neighbour::Side;
using Verdict = Neighbour::Verdict;
using Rows = std::vector<std::vector<std::string>>;

constexpr double kBarCells = 16.0;

std::string fact_of(const Summary& s, const char* key) {
  const auto it = s.facts.find(key);
  return it == s.facts.end() ? std::string("-") : it->second;
}

std::string marked(const std::string& text, bool measured) { return measured ? text + '*' : text; }

/// "energy per inference (simulated)": the word where joules are meant.
std::string objective_text(const Summary& s) {
  const MetricRow* row = find_metric(s.objective.metric);
  const bool metered = row != nullptr && (row->unit == "J" || row->unit == "W");
  return metric_label(s.objective.metric) + (metered ? fmt::format(" ({})", to_string(s.provenance)) : "");
}

const char* verb(const Summary& s) { return s.objective.direction == Direction::kMinimize ? "saves" : "gains"; }

std::string head(const Explanation& e) {
  std::string limits;
  for (const auto& c : e.summary.constraints) limits += (limits.empty() ? "" : ", ") + describe(c);
  Rows rows{{"Device", fact_of(e.summary, fact::kDeviceText)}};
  if (e.summary.facts.contains(fact::kModel)) rows.push_back({"Model", fact_of(e.summary, fact::kModel)});
  if (e.summary.facts.contains(fact::kCommand)) rows.push_back({"Command", fact_of(e.summary, fact::kCommand)});
  rows.push_back({"Limits", limits});
  rows.push_back(
      {"Best", fmt::format("{} ({}; P(meets limits) {})", setting_text(e.best),
                           e.chosen ? "the study's choice" : "recommended from the study's trials", probability_text(e.all.chance.met))});
  std::string out = align(rows);
  if (!e.known_to_meet) out += "No setting is known to meet the limits; this one is the nearest to it.\n";
  out += fmt::format("Changes of {} are predicted from {} measured settings of {}; 95 % intervals in brackets.\n",
                     objective_text(e.summary), e.measured, e.candidates);
  out += fmt::format("* this setting was measured: {} of the {} compared here.\n", e.compared_measured, e.compared);
  if (e.warm_started) out += "The search also knew earlier studies; they are no part of this.\n";
  if (e.summary.provenance == Provenance::kEstimated) out += "The error of the estimate's power model is not in these intervals.\n";
  return out;
}

double largest_saving(const Explanation& e) {
  double largest = std::abs(e.all.saving.ratio);
  for (const auto& k : e.knobs) largest = std::max(largest, k.alone ? std::abs(k.alone->saving.ratio) : 0.0);
  return largest;
}

std::string bar(double ratio, double largest) {
  const double cells = largest > 0.0 ? std::round(kBarCells * std::abs(ratio) / largest) : 0.0;
  return std::string(static_cast<std::size_t>(cells), ratio < 0.0 ? '-' : '#');
}

std::vector<std::string> moved_row(const KnobExplanation& k, double largest) {
  const auto saving = [](const std::optional<Compared>& c) {
    return c ? marked(percent_text(c->saving), c->measured) : std::string("not allowed");
  };
  return {k.name,
          knob_text(k.name, k.at_reference),
          knob_text(k.name, k.at_best),
          saving(k.alone),
          k.alone ? probability_text(k.alone->chance.met) : "-",
          saving(k.last),
          k.alone ? bar(k.alone->saving.ratio, largest) : ""};
}

/// What the better of the nearest other levels would do.
std::vector<std::string> staying_row(const KnobExplanation& k) {
  const Neighbour* nearest = nullptr;
  for (const auto& n : k.neighbours) {
    if (n.compared && (nearest == nullptr || n.compared->saving.ratio > nearest->compared->saving.ratio)) nearest = &n;
  }
  std::vector<std::string> row{k.name, knob_text(k.name, k.at_reference), "stays"};
  if (nearest == nullptr) {
    row.emplace_back("no other level is allowed");
    return row;
  }
  const std::string saving = marked(percent_text(nearest->compared->saving), nearest->compared->measured);
  row.push_back(fmt::format("{} instead: {}", knob_text(k.name, nearest->value), saving));
  row.push_back(probability_text(nearest->compared->chance.met));
  return row;
}

std::string effects_table(const Explanation& e) {
  const double largest = largest_saving(e);
  const std::string does = verb(e.summary);
  Rows rows{{"knob", "reference", "best", does + " alone", "P(meets)", does + " last", "alone"}};
  for (const auto& k : e.knobs) {
    if (k.neighbours.empty()) continue;
    rows.push_back(k.moved ? moved_row(k, largest) : staying_row(k));
  }
  rows.push_back({"all", "", "", marked(percent_text(e.all.saving), e.all.measured), probability_text(e.all.chance.met), "",
                  bar(e.all.saving.ratio, largest)});
  return align(rows);
}

std::string interaction_sentence(const Explanation& e) {
  const auto moved = std::count_if(e.knobs.begin(), e.knobs.end(), [](const auto& k) { return k.moved; });
  if (moved < 2) return "";
  if (!e.strongest) return "No two moved knobs can be compared: the settings that this needs are not allowed.\n";
  const Predicted& more = e.strongest->more;
  const std::string pair = e.strongest->first + " with " + e.strongest->second;
  if (more.spans_zero()) {
    return fmt::format("No interaction is shown: the strongest predicted one, {}, is {}.\n", pair, percent_text(more));
  }
  const bool helps = more.ratio > 0.0;
  const Predicted size = helps ? more : Predicted{-more.ratio, -more.high, -more.low, 1.0 - more.probability_better};
  return fmt::format("Strongest interaction: {}, together they are predicted to {} {} {} than each alone would suggest.\n", pair,
                     e.summary.objective.direction == Direction::kMinimize ? "save" : "gain", percent_text(size), helps ? "more" : "less");
}

void add_neighbour(std::vector<std::string>& row, const KnobExplanation& k, const Neighbour& n) {
  if (!n.compared) {
    row.insert(row.end(), {n.verdict == Verdict::kEnd ? "end" : "not allowed", "", ""});
    return;
  }
  row.insert(row.end(), {knob_text(k.name, n.value), marked(percent_text(n.compared->saving), n.compared->measured),
                         probability_text(n.compared->chance.met)});
}

std::string binding_table(const Explanation& e) {
  const std::string does = verb(e.summary);
  Rows rows{{"knob", "below", does, "P(meets)", "above", does, "P(meets)"}};
  std::vector<std::string> verdicts{""};
  for (const auto& k : e.knobs) {
    if (k.neighbours.empty()) continue;
    std::vector<std::string> row{k.name};
    for (const auto& n : k.neighbours) add_neighbour(row, k, n);
    rows.push_back(std::move(row));
    verdicts.push_back("  " + verdict_text(e, k) + ".\n");
  }
  std::istringstream lines(align(rows));
  std::string out, line;
  for (std::size_t i = 0; std::getline(lines, line); ++i) out += line + '\n' + verdicts[i];
  return out;
}

}  // namespace

std::string render_explanation(const Explanation& e) {
  return fmt::format("{}\n{}\n{}\nWhat binds the best setting: one knob a level lower or higher, all else as it is.\n{}", head(e),
                     effects_table(e), interaction_sentence(e), binding_table(e));
}

}  // namespace polythrottle
