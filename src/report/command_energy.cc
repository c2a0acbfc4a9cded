#include "report/command_energy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/report.h"

namespace polythrottle {
namespace {

/// Shorter than so many refreshes, and a run is said to be short for its meter.
constexpr double kFewRefreshes = 10.0;
/// Or if the meter's own error of it is above that part of its energy.
constexpr double kMuchOwnError = 0.1;
/// RunValue the meter is said to cost something from this share of the time on.
constexpr double kCostWorthSaying = 1e-3;

using Quantity = RunValue (*)(const CommandRun&);
struct Row {
  const char* label;
  const char* unit;
  Quantity quantity;
  bool metered;
};
constexpr Row kRows[]{{"energy", "J", energy_of, true}, {"power", "W", power_of, true}, {"time", "s", time_of, false}};

const char* word(const MeterInfo& meter) { return to_string(meter.estimated ? Provenance::kEstimated : Provenance::kMeasured); }

template <class Of>
MeanOfRuns mean_of(const std::vector<const CommandRun*>& runs, const MeterInfo& meter, const Of& of) {
  std::vector<RunValue> readings;
  for (const CommandRun* run : runs) readings.push_back(of(*run));
  return mean_of_runs(readings, meter.error_sources);
}

/// 0.034 is "3.4 %", 4.1 is "410 %".
std::string percent(double ratio) {
  return ratio < 0.995 ? fmt::format("{:.2g} %", 100.0 * ratio) : fmt::format("{:.0f} %", 100.0 * ratio);
}

/// "+-3.2 %": half the interval, of the value.
std::string half_width(const MeanOfRuns& mean) {
  if (!mean.interval || !(mean.estimate.value > 0.0)) return "";
  return "+-" + percent((mean.interval->high - mean.interval->low) / 2.0 / mean.estimate.value);
}

std::string range(double low, double high, std::string_view unit) {
  return fmt::format("{} to {}", format_si(low, unit), format_si(high, unit));
}

std::string interval_text(const MeanOfRuns& mean, std::string_view unit) {
  // Less than nothing is nowhere drawn; the interval of a very short run may say so.
  return mean.interval ? range(std::max(mean.interval->low, 0.0), mean.interval->high, unit) : "not known";
}

/// No run draws nothing: a meter that says so was not able to tell.
std::string value_text(const MeanOfRuns& mean, std::string_view unit) {
  return mean.estimate.value > 0.0 ? format_si(mean.estimate.value, unit) : "none seen";
}

std::vector<std::string> mean_row(const std::string& label, const MeanOfRuns& mean, std::string_view unit, const std::string& provenance) {
  std::vector<std::string> row{label, value_text(mean, unit), half_width(mean), interval_text(mean, unit)};
  if (mean.scatter_known) row.push_back(range(mean.lowest, mean.highest, unit));
  row.push_back(provenance);
  return row;
}

std::string rail_label(const MeterInfo& meter, const Rail& rail) {
  std::string out = "  " + rail.name;
  if (rail.inside && *rail.inside < meter.rails.size()) return out + " (part of " + meter.rails[*rail.inside].name + ")";
  return rail.counted ? out : out + " (not in the sum)";
}

RunValue rail_of(const CommandRun& run, std::size_t rail) {
  return {rail < run.reading.rails.size() ? run.reading.rails[rail].si() : 0.0, 0.0, {}};
}

/// A meter states the error of its whole, not of its parts; how far runs differ in one says nothing of that.
std::vector<std::string> rail_row(const std::string& label, const MeanOfRuns& mean, const std::string& provenance) {
  std::vector<std::string> row{label, value_text(mean, "J"), "", "no error stated"};
  if (mean.scatter_known) row.push_back(mean.highest > 0.0 ? range(mean.lowest, mean.highest, "J") : "");
  row.push_back(provenance);
  return row;
}

/// One command: a row a quantity.
std::string single_table(const CommandEnergy& found) {
  const auto runs = counted_runs(found.series, 0);
  std::vector<std::vector<std::string>> rows{{"", runs.size() > 1 ? "mean" : "", "", "95 % interval"}};
  if (runs.size() > 1) rows[0].emplace_back("lowest and highest run");
  for (const Row& row : kRows) {
    const auto mean = mean_of(runs, found.meter, row.quantity);
    rows.push_back(mean_row(row.label, mean, row.unit, row.metered ? word(found.meter) : ""));
    if (row.quantity != energy_of) continue;
    if (found.units) {
      const auto each = mean_of(runs, found.meter, [&](const CommandRun& run) { return energy_of(run).over(*found.units); });
      rows.push_back(mean_row("energy per unit", each, "J", word(found.meter)));
    }
    for (std::size_t k = 0; k < found.meter.rails.size() && found.meter.rails.size() > 1; ++k) {
      const auto rail = mean_of(runs, found.meter, [k](const CommandRun& run) { return rail_of(run, k); });
      rows.push_back(rail_row(rail_label(found.meter, found.meter.rails[k]), rail, word(found.meter)));
    }
  }
  return align(rows, {1, 2});
}

std::string change_text(double ratio) {
  return ratio < 2.0 ? fmt::format("{:+.1f} %", 100.0 * (ratio - 1.0)) : fmt::format("{:.3g} x", ratio);
}

/// Two commands side by side.
std::string pair_table(const CommandEnergy& found) {
  const auto a = counted_runs(found.series, 0), b = counted_runs(found.series, 1);
  std::vector<std::vector<std::string>> rows{{"", "A", "", "B", "", "B against A", "95 % interval"}};
  const auto add = [&](const std::string& label, std::string_view unit, const auto& of, const std::string& provenance,
                       const Result<RatioOfRuns>& ratio) {
    std::vector<std::string> row{label};
    for (const auto& runs : {a, b}) {
      const auto mean = mean_of(runs, found.meter, of);
      row.push_back(value_text(mean, unit));
      row.push_back(half_width(mean));
    }
    row.push_back(ratio ? change_text(ratio->ratio) : "-");
    row.push_back(ratio && ratio->interval ? fmt::format("{} to {}", change_text(ratio->interval->low), change_text(ratio->interval->high))
                                           : "not known");
    row.push_back(provenance);
    rows.push_back(std::move(row));
  };
  for (const Row& row : kRows) {
    const auto ratio =
        ratio_of_runs(pairs_of(found.series, row.quantity), row.metered ? found.meter.error_sources : std::vector<std::string>{});
    add(row.label, row.unit, row.quantity, row.metered ? word(found.meter) : "", ratio);
    if (row.quantity == energy_of && found.units) {
      add(
          "energy per unit", "J", [&](const CommandRun& run) { return energy_of(run).over(*found.units); }, word(found.meter), ratio);
    }
  }
  return align(rows, {1, 2, 3, 4, 5});
}

std::string verdict(const CommandEnergy& found) {
  const auto ratio = ratio_of_runs(pairs_of(found.series, energy_of), found.meter.error_sources);
  if (!ratio) return "No comparison: " + ratio.error().text() + ".\n";
  const auto size = [](double r) { return fmt::format("{:.1f} %", 100.0 * std::abs(1.0 - r)); };
  const auto side = [&](double r) { return fmt::format("{} {}", size(r), r < 1.0 ? "less" : "more"); };
  if (!ratio->interval) {
    return fmt::format("B took {} energy than A ({}) in one round; how far rounds differ is not known, --runs 6 shows it.\n",
                       side(ratio->ratio), word(found.meter));
  }
  const auto [low, high] = *ratio->interval;
  if (!ratio->shows_difference()) {
    return fmt::format("No difference in energy is shown ({}): B against A is {}, and its 95 % interval, {} to {}, spans zero.\n",
                       word(found.meter), change_text(ratio->ratio), change_text(low), change_text(high));
  }
  const bool less = ratio->ratio < 1.0;
  if (!less && high >= 2.0) {
    return fmt::format("B needs {:.3g} x the energy of A ({}; 95 %: {:.3g} to {:.3g}).\n", ratio->ratio, word(found.meter), low, high);
  }
  return fmt::format("B needs {} energy than A ({}; 95 %: {} to {}).\n", side(ratio->ratio), word(found.meter), size(less ? high : low),
                     size(less ? low : high));
}

/// Why the ratio is known better than what it is made of.
std::string cancelling_text(const CommandEnergy& found) {
  const auto mean = mean_of(counted_runs(found.series, 0), found.meter, energy_of);
  if (!(mean.estimate.shared_relative() > 0.0)) return "";
  return "The meter's own error is the same in every run: it is in A and in B, and cancels in B against A as far as both share it.\n";
}

std::string side_name(const CommandEnergy& found, std::size_t side) { return found.compares() ? (side == 0 ? " of A" : " of B") : ""; }

/// What did not count, and why.
std::string discarded_text(const CommandEnergy& found) {
  std::string out;
  const auto& turns = found.series.turns;
  const auto warm = std::count_if(turns.begin(), turns.end(), [](const Turn& t) { return t.fate == Fate::kWarmUp; });
  if (warm > 0) out += fmt::format("Discarded to warm up: {}.\n", counted(static_cast<std::size_t>(warm), "run", "runs"));
  for (const auto& turn : turns) {
    if (turn.fate == Fate::kVoid) {
      out += fmt::format("Discarded as void: run {}{} ({}): {}.\n", turn.round + 1, side_name(found, turn.side),
                         describe(turn.run, found.meter), turn.run.spoiled);
    }
  }
  if (const Turn* last = cut_short_by(found.series)) {
    out += fmt::format("Run {}{} {}: {}; it is in no mean.\n", last->round + 1, side_name(found, last->side),
                       last->fate == Fate::kFailed ? "failed" : "was interrupted", describe(last->run, found.meter));
  }
  return out;
}

/// A run that the meter can hardly resolve.
std::string short_run_text(const CommandEnergy& found, std::size_t side) {
  const auto runs = counted_runs(found.series, side);
  const Seconds step = std::max(found.meter.refresh, found.meter.sampling);
  if (runs.empty() || step <= Seconds(0)) return "";
  const double seconds = mean_of(runs, found.meter, time_of).estimate.value;
  double own = 0.0, joules = 0.0;
  for (const CommandRun* run : runs) {
    own += run->reading.own_error.si();
    joules += run->reading.energy.si();
  }
  const bool resolved = joules > 0.0 && own <= kMuchOwnError * joules && seconds >= kFewRefreshes * step.count();
  if (resolved) return "";
  const std::string error = joules <= 0.0 ? "it saw no energy at all"
                            : own > 0.0   ? fmt::format("that alone makes +-{} of one run's energy (1 sigma)", percent(own / joules))
                                          : "how far off that makes it, it does not say";
  return fmt::format(
      "Short: a run{} takes {}, {:.2g} refreshes of the meter {} ({} each); {}. More work in a run helps, more --runs too.\n",
      side_name(found, side), format_si(seconds, "s"), seconds / step.count(), found.meter.name, format_si(step.count(), "s"), error);
}

std::string temperature_text(const CommandEnergy& found) {
  std::optional<double> first, last;
  for (const auto& turn : found.series.turns) {
    if (!first) first = turn.run.celsius_before;
    if (turn.run.celsius_after) last = turn.run.celsius_after;
  }
  if (!first || !last) return "";
  return fmt::format("Temperature: {} before the first run, {} after the last.\n", format_si(*first, "degC"), format_si(*last, "degC"));
}

std::string reading_cost_text(const CommandEnergy& found) {
  double reading = 0.0, elapsed = 0.0;
  for (const auto& turn : found.series.turns) {
    if (turn.fate != Fate::kCounted) continue;
    reading += turn.run.reading.reading_time.count();
    elapsed += turn.run.reading.elapsed.count();
  }
  if (!(elapsed > 0.0) || reading / elapsed < kCostWorthSaying) return "";
  return fmt::format("Reading the meter took {} of the time of the runs; some of that is in their energy.\n", percent(reading / elapsed));
}

std::string idle_text(const CommandEnergy& found) {
  if (!found.idle || !(found.idle->reading.elapsed > Seconds(0))) return "";
  const double watts = found.idle->power().si();
  std::string out = fmt::format("Idle: {} ({}, for {} before the first run)", format_si(watts, "W"), word(found.meter),
                                format_si(found.idle->time.count(), "s"));
  for (std::size_t side = 0; side < found.commands.size(); ++side) {
    const auto runs = counted_runs(found.series, side);
    if (runs.empty()) continue;
    const double seconds = mean_of(runs, found.meter, time_of).estimate.value;
    const double joules = mean_of(runs, found.meter, energy_of).estimate.value;
    if (!(joules > 0.0)) continue;
    out += fmt::format("{} {} of the energy{}, {:.0f} %, would have been drawn doing nothing", side == 0 ? ":" : ";",
                       format_si(watts * seconds, "J"), side_name(found, side), 100.0 * watts * seconds / joules);
  }
  return out + ". It is not subtracted.\n";
}

/// Where the error of one command's energy comes from.
std::string error_text(const CommandEnergy& found) {
  const auto runs = counted_runs(found.series, 0);
  const auto mean = mean_of(runs, found.meter, energy_of);
  const auto without = mean_of_runs(
      [&] {
        std::vector<RunValue> readings;
        for (const CommandRun* run : runs) readings.push_back({energy_of(*run).value, energy_of(*run).own_error, {}});
        return readings;
      }(),
      {});
  if (!mean.scatter_known) return "One run: how far runs differ is not known, and in no interval; --runs 5 shows it.\n";
  if (!(mean.estimate.shared_relative() > 0.0) || half_width(without).empty()) return "";
  return fmt::format(
      "The runs alone give {}; the rest is the meter's own error, the same in every run: it cancels in a comparison (--vs).\n",
      half_width(without));
}

}  // namespace

std::string quoted(const std::vector<std::string>& words) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:,./";
  std::string out;
  for (const auto& word : words) {
    if (!out.empty()) out += ' ';
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return out;
}

std::string describe(const CommandRun& run, const MeterInfo& meter) {
  std::string out = format_si(run.time.count(), "s");
  if (run.reading.elapsed > Seconds(0)) {
    out += fmt::format(", {} and {} ({})", format_si(run.reading.energy.si(), "J"),
                       format_si((run.reading.energy / run.reading.elapsed).si(), "W"), word(meter));
  }
  if (run.interrupted) return out;
  if (run.exit.signal != 0) return out + fmt::format(", killed by signal {}", run.exit.signal);
  return run.exit.code == 0 ? out : out + fmt::format(", exit code {}", run.exit.code);
}

std::string render_command_energy(const CommandEnergy& found) {
  std::vector<std::vector<std::string>> head;
  for (std::size_t side = 0; side < found.commands.size(); ++side) {
    head.push_back({found.compares() ? (side == 0 ? "A" : "B") : "Command", quoted(found.commands[side])});
  }
  head.push_back({"Energy", fmt::format("{}: meter {}, {}", word(found.meter), found.meter.name, found.meter.boundary)});
  head.push_back({"Error", found.meter.error.empty() ? "the meter states none" : found.meter.error});
  const bool any = std::all_of(found.commands.begin(), found.commands.end(),
                               [&, side = std::size_t{0}](const auto&) mutable { return !counted_runs(found.series, side++).empty(); });
  const std::size_t runs = counted_runs(found.series, 0).size();
  const std::string missing = runs < found.runs ? fmt::format(" of {}", found.runs) : "";
  std::string rounds = fmt::format("{}{}", runs, missing);
  if (found.compares()) {
    const std::size_t pairs = pairs_of(found.series, time_of).size();
    rounds = fmt::format("{}{} of both{}", pairs, pairs < found.runs ? fmt::format(" of {}", found.runs) : "",
                         pairs > 1 ? ", in the order A B, B A, A B ...: a steady drift cancels" : "");
  }
  if (found.units) rounds += fmt::format("; {:g} units of work in each", *found.units);
  head.push_back({"Runs", rounds});
  std::string out = align(head);
  if (any) out += '\n' + (found.compares() ? pair_table(found) : single_table(found));
  out += '\n';
  if (any) out += found.compares() ? verdict(found) + cancelling_text(found) : error_text(found);
  out += discarded_text(found);
  if (!found.series.given_up.empty()) out += "Given up: too many runs in a row were void.\n";
  for (std::size_t side = 0; side < found.commands.size(); ++side) out += short_run_text(found, side);
  out += idle_text(found) + temperature_text(found) + reading_cost_text(found);
  if (found.series.interrupted && cut_short_by(found.series) == nullptr) out += "Interrupted between two runs.\n";
  for (const auto& remark : found.meter.remarks) out += "Note: " + remark + ".\n";
  std::string others;
  for (const auto& name : found.other_meters) others += (others.empty() ? "" : ", ") + name;
  if (!others.empty())
    out += fmt::format("Note: this machine has other meters too, whose energy may not be in this one: {} (--meter NAME).\n", others);
  return out;
}

}  // namespace polythrottle
