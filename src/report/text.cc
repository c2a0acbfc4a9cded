#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/stats.h"
#include "report/control.h"
#include "report/discarded.h"
#include "report/report.h"
#include "study/cool_down.h"
#include "study/proof.h"
#include "study/sizing.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

std::string with_error(std::string_view metric, const Estimate& e) {
  std::string out = format_metric(metric, e.value);
  if (e.std_error && *e.std_error > 0.0 && e.value > 0.0) out += fmt::format(" +-{:.2g} %", 100.0 * *e.std_error / e.value);
  return out;
}

std::string change(const Metrics& best, const Metrics& reference, std::string_view metric) {
  const auto a = best.find(metric), b = reference.find(metric);
  if (a == best.end() || b == reference.end() || b->second.value == 0.0) return "";
  const double ratio = a->second.value / b->second.value;
  return ratio < 2.0 ? fmt::format("{:+.1f} %", 100.0 * (ratio - 1.0)) : fmt::format("{:.3g} x", ratio);
}

std::string percent(double ratio) { return fmt::format("{:.1f} %", 100.0 * ratio); }

std::string fact_of(const Summary& s, const char* key) {
  const auto it = s.facts.find(key);
  return it == s.facts.end() ? std::string("-") : it->second;
}

/// "16.1 % less energy per inference than the reference (95 % interval 15.2 to 17.0 %, measured)".
std::string saving_sentence(const Summary& s, std::string_view metric, const Saving& saving, const std::string& against) {
  const MetricRow* row = find_metric(metric);
  const bool more_wanted = row != nullptr && !row->less_is_better;
  // Only energy and power come from the meter; a throughput is counted, whatever the meter is.
  const bool metered = row != nullptr && (row->unit == "J" || row->unit == "W");
  const Provenance provenance = metered || s.provenance != Provenance::kEstimated ? s.provenance : Provenance::kMeasured;
  const double size = std::abs(saving.ratio);
  const bool less = saving.ratio >= 0.0;
  std::string interval;
  if (saving.low && saving.high) {
    const double a = more_wanted ? -*saving.high : *saving.low, b = more_wanted ? -*saving.low : *saving.high;
    interval = fmt::format("95 % interval {:.1f} to {:.1f} %", 100.0 * a, 100.0 * b);
    if (provenance == Provenance::kEstimated) interval += ", the model's error included";
  } else {
    interval = "no interval: the source states no error";
  }
  std::string out = fmt::format("{} {} {} than {} ({}; {})", percent(size), less ? "less" : "more", metric_label(metric), against,
                                to_string(provenance), interval);
  if (saving.spans_zero()) out += ". The interval spans zero: this is not shown to be a saving";
  return out + ".";
}

void add_side_rows(const Summary& s, std::vector<std::vector<std::string>>& rows, const std::vector<const Side*>& sides) {
  for (const auto& [name, value] : sides.front()->config.entries()) {
    std::vector<std::string> row{name};
    for (const Side* side : sides) {
      const auto v = side->config.get(name);
      row.push_back(v ? knob_text(name, *v) : "-");
    }
    rows.push_back(std::move(row));
  }
  for (const auto& metric : metric_table()) {
    if (metric.of_the_trial) continue;
    if (std::none_of(sides.begin(), sides.end(), [&](const Side* side) { return side->metrics.contains(metric.name); })) continue;
    std::vector<std::string> row{metric_label(metric.name)};
    for (const Side* side : sides) {
      const auto it = side->metrics.find(metric.name);
      row.push_back(it == side->metrics.end() ? "-" : with_error(metric.name, it->second));
    }
    if (sides.size() > 1) row.push_back(change(sides.back()->metrics, sides.front()->metrics, metric.name));
    const bool joules = metric.unit == "J" || metric.unit == "W";
    if (joules) row.push_back(to_string(s.provenance));
    rows.push_back(std::move(row));
  }
}

std::string violations_sentence(const Summary& s) {
  std::map<TrialId, double> worst;  // a trial may break several limits
  for (const auto& v : s.violations) worst[v.trial] = std::max(worst[v.trial], v.excess);
  if (worst.empty()) return fmt::format("No trial of {} broke a limit.", s.trials.size());
  std::vector<double> sizes;
  for (const auto& [id, excess] : worst) sizes.push_back(excess);
  std::sort(sizes.begin(), sizes.end());
  const auto over = [](double excess) {
    return excess < 2.0 ? fmt::format("{:.1f} % over", 100.0 * (excess - 1.0)) : fmt::format("{:.3g} x the limit", excess);
  };
  if (sizes.size() == 1) return fmt::format("1 trial of {} broke a limit: {}.", s.trials.size(), over(sizes.front()));
  return fmt::format("{} trials of {} broke a limit: median {}, worst {}.", worst.size(), s.trials.size(),
                     over(sorted_quantile(sizes, 0.5)), over(sizes.back()));
}

std::string duration(double seconds) {
  if (seconds < 120.0) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200.0) return fmt::format("{:.0f} min", seconds / 60.0);
  return fmt::format("{:.1f} h", seconds / 3600.0);
}

/// "Search: 20 trials, 2 second looks, 6 to confirm; 47.7 s. Stopped: budget of 20 used."
std::string search_sentence(const Summary& s) {
  const auto confirming =
      std::count_if(s.trials.begin(), s.trials.end(), [](const Trial& t) { return t.advice.kind == Advice::Kind::kConfirm; });
  std::string out = "Search: " + counted(s.explored, "trial", "trials");
  if (s.second_looks > 0) out += ", " + counted(s.second_looks, "second look", "second looks");
  if (s.checks > 0) out += ", " + counted(s.checks, "check", "checks");
  if (confirming > 0) out += fmt::format(", {} to confirm", confirming);
  out += fmt::format("; {:.1f} s{}. ", s.search_seconds, s.provenance == Provenance::kSimulated ? " of simulated time" : "");
  if (s.stop_reason == "running") return out + "It has not stopped yet, or was killed.";
  out += "Stopped: " + (s.stop_text.empty() ? s.stop_reason : s.stop_text);
  if (s.expected_missed)
    out += fmt::format("; one more is expected to save at most {:.2g} %, wherever it goes", 100.0 * *s.expected_missed);
  return out + ".";
}

/// "it is repaid after 1.48e+04 inferences (3 min at this rate)", or why not.
std::string repayment(const Summary& s) {
  if (!s.repaid_after_inferences) {
    if (s.best->config == s.reference->config) return "it is not repaid: nothing better than the reference was found";
    return s.saving->ratio <= 0.0 ? "it is not repaid: the best setting saves no energy"
                                  : "it is not repaid as far as is known: the interval of the saving spans zero";
  }
  std::string out = fmt::format("it is repaid after {:.3g} inferences", *s.repaid_after_inferences);
  if (s.repaid_after_seconds) out += fmt::format(" ({} at this rate)", duration(*s.repaid_after_seconds));
  return out;
}

/// "The search cost 742.6 J (simulated) and answered 3140 batches in trials that broke a latency limit; it is repaid after ...". Empty
/// where the source knows of neither.
std::string cost_sentence(const Summary& s) {
  std::string out;
  if (s.search_joules) out = fmt::format("{} ({})", format_metric(kTrialEnergy, *s.search_joules), to_string(s.provenance));
  if (s.requests_in_violation.value_or(0) > 0) {
    const bool open_loop = fact_of(s, fact::kLoad).starts_with("open loop");
    out += fmt::format(
        "{}{} answered in trials that broke a latency limit", out.empty() ? "" : " and ",
        open_loop ? counted(*s.requests_in_violation, "request", "requests") : counted(*s.requests_in_violation, "batch", "batches"));
  }
  if (out.empty()) return out;
  out = "The search cost " + out;
  if (s.search_joules && s.best && s.saving && s.objective.metric == kEnergy) out += "; " + repayment(s);
  return out + ".\n";
}

}  // namespace

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string knob_text(const std::string& name, const Value& value) {
  const auto* number = std::get_if<double>(&value);
  if (number != nullptr && name.ends_with("_hz")) return fmt::format("{:.4g}MHz", *number / 1e6);
  return to_text(value);
}

std::string setting_text(const Config& config) {
  std::string out;
  for (const auto& [name, value] : config.entries()) out += (out.empty() ? "" : " ") + name + '=' + knob_text(name, value);
  return out;
}

std::string metric_label(std::string_view metric) {
  if (metric == kEnergy) return "energy per inference";
  if (metric == kLatencyMean) return "mean latency";
  if (metric == kLatencyP50) return "p50 latency";
  if (metric == kLatencyP95) return "p95 latency";
  if (metric == kLatencyP99) return "p99 latency";
  if (metric == kGpuClockSeen) return "GPU clock";
  if (metric == kMemoryClockSeen) return "memory clock";
  if (metric == kCpuClockSeen) return "CPU clock";
  if (metric == kGpuTemperature) return "GPU temperature";
  if (metric == kSystemMemory) return "system memory";
  if (metric == kGpuMemory) return "GPU memory";
  const MetricRow* row = find_metric(metric);
  return std::string(row ? row->alias : metric);
}

std::string describe(const Constraint& constraint) {
  return fmt::format("{} {} {}", metric_label(constraint.metric),
                     constraint.bound == Bound::kAtMost ? "<=" : ">=", format_metric(constraint.metric, constraint.limit));
}

std::string align(const std::vector<std::vector<std::string>>& rows, const std::vector<std::size_t>& right) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    if (row.size() > widths.size()) widths.resize(row.size(), 0);
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool flush = std::find(right.begin(), right.end(), i) != right.end();
      line += flush ? fmt::format("{:>{}}", row[i], widths[i]) : fmt::format("{:<{}}", row[i], widths[i]);
      if (i + 1 < row.size()) line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

std::string render_answer(const Summary& s) {
  std::string out;
  std::string limits;
  for (const auto& c : s.constraints) limits += (limits.empty() ? "" : ", ") + describe(c);
  std::vector<std::vector<std::string>> head{{"Device", fact_of(s, fact::kDeviceText)}};
  if (s.facts.contains(fact::kModel)) head.push_back({"Model", fact_of(s, fact::kModel)});
  if (s.facts.contains(fact::kCommand)) head.push_back({"Command", fact_of(s, fact::kCommand)});
  head.push_back({"Limits", limits.empty() ? "not resolved yet" : limits});
  head.push_back({"Load", fact_of(s, fact::kLoad)});
  head.push_back({"Energy", fmt::format("{}: {}", to_string(s.provenance), fact_of(s, fact::kBoundary))});
  out += align(head) + '\n';

  if (!s.reference || s.reference->metrics.empty())
    return out + "The reference setting has not been measured yet.\n" + search_sentence(s) + '\n';
  std::vector<const Side*> sides{&*s.reference};
  std::vector<std::string> titles{"", "reference"};
  if (s.found) sides.push_back(&*s.found), titles.emplace_back("found");
  const bool improved = s.best && !(s.best->config == s.reference->config);
  if (s.best) {
    sides.push_back(&*s.best), titles.emplace_back("best");
  } else if (s.closest) {
    sides.push_back(&*s.closest), titles.emplace_back("closest");
  }
  if (sides.size() > 1) titles.emplace_back("change");
  std::vector<std::vector<std::string>> rows{titles};
  add_side_rows(s, rows, sides);
  out += align(rows) + '\n';

  if (!s.best) {
    out += "No setting is known to meet the SLO.";
    if (s.fastest) {
      const auto& c = s.constraints.front();
      out += fmt::format(" Fastest seen: {} with {} {}; the limit is {}.", setting_text(s.fastest->config), metric_label(c.metric),
                         format_metric(c.metric, s.fastest->metrics.find(c.metric)->second.value), format_metric(c.metric, c.limit));
    }
    if (s.closest) {
      for (const auto& c : s.constraints) {
        const auto it = s.closest->metrics.find(c.metric);
        if (judge(c, s.closest->metrics) != Verdict::kUndecided || it == s.closest->metrics.end()) continue;
        out += fmt::format(" Undecided for {}: {} latencies are too few to judge its {}; a longer --window-limit gives more.",
                           setting_text(s.closest->config), it->second.samples.value_or(0), metric_label(c.metric));
      }
    }
    out += '\n';
  } else if (!improved) {
    out += "The reference is the best setting known: nothing measured is better within the limits.\n";
  } else {
    if (s.improvement && s.objective.metric != kEnergy) {
      out += saving_sentence(s, s.objective.metric, *s.improvement, "the reference") + '\n';
    }
    if (s.saving) {
      out += (s.provenance == Provenance::kEstimated ? "Estimated: " : "") + saving_sentence(s, kEnergy, *s.saving, "the reference") + '\n';
    }
    if (s.saving_found) out += saving_sentence(s, kEnergy, *s.saving_found, "what was found") + '\n';
  }
  if (s.best) {
    for (const auto& c : s.constraints) {
      const auto value = s.best->metrics.find(c.metric);
      if (value == s.best->metrics.end()) continue;
      const double room = 1.0 - *excess(c, s.best->metrics);
      out += fmt::format("Limit {}: {}, {:.1f} % {}.\n", describe(c), format_metric(c.metric, value->second.value), 100.0 * std::abs(room),
                         room >= 0.0             ? "to spare"
                         : -room <= kSlack - 1.0 ? "over (within the 1 % tolerance)"
                                                 : "over");
    }
  }
  if (s.confirmed > 0)
    out +=
        fmt::format("Both columns are means of {} rounds in which reference and best were measured again in alternation.\n", s.confirmed);
  out += render_idle(s);
  out += violations_sentence(s) + '\n' + render_mishaps(s) + search_sentence(s) + '\n' + cost_sentence(s) + render_discarded(s);
  out += render_control(s);
  if (s.stale) out += fmt::format("Note: {}.\n", stale_text(*s.stale));
  if (const auto notes = s.facts.find(fact::kNotes); notes != s.facts.end()) {
    if (const auto list = parse_json(notes->second)) {
      for (const auto& note : *list) {
        if (note.is_string()) out += "Note: " + note.get<std::string>() + ".\n";
      }
    }
  }
  return out;
}

namespace {

/// What stands behind a trial: its note, that nobody saw its clocks, or what its window could not tell.
std::string remark(const Trial& trial) {
  if (!trial.outcome.note.empty()) return trial.outcome.note;
  const auto unproved = unproved_text(trial);
  if (!unproved.empty()) return "not proved: " + unproved;
  const auto& notes = trial.outcome.notes;
  const auto told = std::find_if(notes.begin(), notes.end(), [](const std::string& note) {
    return note.starts_with(kUndecidedEnergy) || note.starts_with(kNotSteady) || note.starts_with(kStillWarm);
  });
  return told == notes.end() ? std::string() : *told;
}

}  // namespace

std::string render_trials(const Summary& s) {
  std::vector<std::vector<std::string>> rows{{"trial", "state", "kind", "setting", "energy", "latency", "limits", ""}};
  const std::string latency = s.constraints.empty() ? std::string(kLatencyMean) : s.constraints.front().metric;
  rows[0][4] = metric_label(s.objective.metric);
  rows[0][5] = metric_label(latency);
  for (const auto& t : s.trials) {
    const auto cell = [&](std::string_view metric) {
      const auto it = t.metrics().find(metric);
      return it == t.metrics().end() ? std::string("-") : format_metric(metric, it->second.value);
    };
    Verdict verdict = Verdict::kMet;
    for (const auto& c : s.constraints) {
      const Verdict v = judge(c, t.metrics());
      if (verdict == Verdict::kMet) verdict = v;
    }
    const bool judged = t.state == TrialState::kCompleted || t.state == TrialState::kAborted;
    rows.push_back({std::to_string(t.id), to_string(t.state), to_string(t.advice.kind), setting_text(t.asked), cell(s.objective.metric),
                    cell(latency), judged ? to_string(verdict) : "-", remark(t)});
  }
  return align(rows, {0, 4, 5});
}

std::string render_pareto(const Summary& s) {
  if (s.pareto.empty()) return "No completed trial yet.\n";
  const std::string& latency = s.constraints.front().metric;
  std::vector<std::vector<std::string>> rows{{"trial", metric_label(latency), metric_label(s.objective.metric), "setting"}};
  for (const TrialId id : s.pareto) {
    const auto t = std::find_if(s.trials.begin(), s.trials.end(), [&](const Trial& trial) { return trial.id == id; });
    rows.push_back({std::to_string(id), with_error(latency, t->metrics().find(latency)->second),
                    with_error(s.objective.metric, t->metrics().find(s.objective.metric)->second), setting_text(t->asked)});
  }
  return align(rows, {0, 1, 2});
}

}  // namespace polythrottle
