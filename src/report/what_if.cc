#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/explain.h"
#include "report/json.h"
#include "report/report.h"

namespace polythrottle {
namespace {

/// A trial that is less likely to meet the limits is not worth proposing.
constexpr double kHopeless = 0.05;

/// A limit as `tune` reads it, with its number: "mean=12.65ms", "power<=15W".
std::string typed(const Constraint& c, bool slo) {
  const MetricRow* row = find_metric(c.metric);
  if (slo) return fmt::format("{}={:.6g}s", row->alias, c.limit);
  return fmt::format("'{}{}{:.6g}{}'", row->alias, c.bound == Bound::kAtMost ? "<=" : ">=", c.limit, row->unit);
}

/// The flags with which `tune` measures one setting under these limits. Relative limits would be relative to that setting, so they stand
/// as numbers.
std::string trial_flags(const Summary& s, const Config& config) {
  std::string setting;
  for (const auto& [name, value] : config.entries()) setting += (setting.empty() ? "" : ",") + name + '=' + to_text(value);
  std::string out;
  for (std::size_t i = 0; i < s.constraints.size(); ++i) {
    out += fmt::format("{} {} ", i == 0 ? "--slo" : "--constraint", typed(s.constraints[i], i == 0));
  }
  return out + "--reference " + setting + " --budget 1";
}

std::string trial_sentence(const Summary& s, const Config& config) {
  return fmt::format("To measure it: polythrottle tune with the study's other options and {}\n", trial_flags(s, config));
}

/// "predicted to save 3.2 % (1.0 to 5.1) against it, P(meets limits) 0.74".
std::string promise(const Summary& s, const WhatIf::Option& next) {
  return fmt::format("predicted to {} against it, P(meets limits) {}", change_text(s.objective, *next.saving),
                     probability_text(next.chance.met));
}

std::string against_best(const Summary& s, const WhatIf& w) {
  std::string out =
      fmt::format("Best measured: {}, P(meets limits) {}.\n", setting_text(w.best->config), probability_text(w.best->chance.met));
  if (!w.next) return out + "Every candidate was measured: this answer would not change.\n";
  const char* does = s.objective.direction == Direction::kMinimize ? "save" : "gain";
  if (w.settled) {
    return out + fmt::format(
                     "No single trial is expected to {} more than {:.2g} %: this answer would not change. The most promising one, "
                     "{}, is {}.\n",
                     does, 100.0 * w.min_gain, setting_text(w.next->config), promise(s, *w.next));
  }
  return out +
         fmt::format("Likely better, not measured: {}, {}. A trial of it would settle that, and is expected to {} {:.2g} %.\n",
                     setting_text(w.next->config), promise(s, *w.next), does, 100.0 * w.expected_gain) +
         trial_sentence(s, w.next->config);
}

std::string nothing_meets(const Summary& s, const WhatIf& w) {
  if (!w.next) return "Nothing measured is known to meet these limits, and every candidate was measured.\n";
  if (w.next->chance.met < kHopeless) {
    return fmt::format(
        "Nothing measured is known to meet these limits, and no other candidate is likely to: {} is the likeliest, with P {}.\n",
        setting_text(w.next->config), probability_text(w.next->chance.met));
  }
  const bool likely = w.next->chance.met >= kConfidence;
  const Forecast& f = w.next->predicted;
  return fmt::format("Nothing measured is known to meet these limits. {}: {}, P(meets limits) {}, {} predicted as {} ({} to {}; {}).\n",
                     likely ? "Likely to, and the best of what is" : "The likeliest to, not measured", setting_text(w.next->config),
                     probability_text(w.next->chance.met), metric_label(s.objective.metric), format_metric(s.objective.metric, f.value),
                     format_metric(s.objective.metric, f.low), format_metric(s.objective.metric, f.high), to_string(s.provenance)) +
         trial_sentence(s, w.next->config);
}

Json option(const std::optional<WhatIf::Option>& o) {
  if (!o) return nullptr;
  Json out{{"config", to_json(o->config)},
           {"probability_met", o->chance.met},
           {"predicted", {{"value", o->predicted.value}, {"low", o->predicted.low}, {"high", o->predicted.high}}},
           {"saving", nullptr}};
  if (o->saving) out["saving"] = {{"ratio", o->saving->ratio}, {"low", o->saving->low}, {"high", o->saving->high}};
  return out;
}

}  // namespace

std::string render_json(const Summary& s, const WhatIf* w) {
  Json out = summary_json(s);
  out["what_if"] = nullptr;
  if (w != nullptr) {
    out["what_if"] = {{"best", option(w->best)},
                      {"next", option(w->next)},
                      {"expected_gain", w->expected_gain},
                      {"min_gain", w->min_gain},
                      {"settled", w->settled}};
  }
  return dumped(out);
}

std::string render_what_if(const Summary& s, const WhatIf& w) {
  return "Among all candidates, by what the trials predict of those not measured (95 % intervals in brackets):\n" +
         (w.best ? against_best(s, w) : nothing_meets(s, w));
}

}  // namespace polythrottle
