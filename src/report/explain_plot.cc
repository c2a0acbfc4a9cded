#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/explain.h"
#include "report/gnuplot_text.h"
#include "report/report.h"

namespace polythrottle {
namespace {

constexpr const char* kSettled = "#1f6f8b";  // what is known of the objective
constexpr const char* kSecond = "#c8553d";
constexpr const char* kBroken = "#f3d9d3";  // where limits are predicted to break
constexpr const char* kBand = "#cfe3ea";

/// How a metric or knob stands on an axis: values are divided by `divisor` and called `unit`.
struct Axis {
  std::string label, unit;
  double divisor = 1.0;
  std::string text() const { return unit.empty() ? label : label + " / " + unit; }
};

Axis scaled(std::string label, const std::string& unit, double largest) {
  struct Prefix {
    double size;
    const char* text;
  };
  static constexpr Prefix kPrefixes[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1.0, ""}, {1e-3, "m"}, {1e-6, "u"}};
  for (const auto& p : kPrefixes) {
    const bool fits = unit == "J" || unit == "s" || unit == "W" || unit == "B" || unit == "Hz";
    if (fits && largest >= p.size) return {std::move(label), p.text + unit, p.size};
  }
  return {std::move(label), unit == "degC" ? "°C" : unit, 1.0};
}

Axis objective_axis(const Explanation& e) {
  const MetricRow* row = find_metric(e.summary.objective.metric);
  const std::string unit(row ? row->unit : "");
  double largest = 0.0;
  for (const auto& p : e.curve->points) largest = std::max(largest, std::abs(p.predicted.value));
  const bool metered = unit == "J" || unit == "W";
  const std::string word = metered ? fmt::format(" ({})", to_string(e.summary.provenance)) : "";
  return scaled(metric_label(e.summary.objective.metric) + word, unit, largest);
}

/// Clocks and the like stand at their value; labels and counts (batch, threads), which grow by factors, at their place in the list.
struct KnobAxis {
  Axis axis;
  std::vector<double> at;  // of each point
  bool labels = false;
};

KnobAxis knob_axis(const Curve& curve) {
  KnobAxis out;
  const Role role = curve.knob.role;
  out.labels = role == Role::kBatch || role == Role::kParallelism ||
               std::any_of(curve.points.begin(), curve.points.end(), [](const auto& p) { return p.level.index() != 0; });
  double largest = 0.0;
  for (std::size_t i = 0; i < curve.points.size(); ++i) {
    out.at.push_back(out.labels ? static_cast<double>(i) : std::get<double>(curve.points[i].level));
    largest = std::max(largest, std::abs(out.at.back()));
  }
  // Clocks of recorded tables may be in MHz already; those of a machine are in Hz and read better in MHz.
  out.axis =
      curve.knob.unit == "Hz" ? Axis{curve.knob.name, "MHz", 1e6} : scaled(curve.knob.name, out.labels ? "" : curve.knob.unit, largest);
  for (double& x : out.at) x /= out.axis.divisor;
  return out;
}

std::string terminal(PlotFormat format) {
  if (format == PlotFormat::kSvg) return "set terminal svg size 1200,600 dynamic background '#ffffff' font 'sans,13' noenhanced\n";
  return "set terminal pngcairo size 1200,600 background '#ffffff' font 'sans,11' noenhanced\n";
}

/// One row for each moved knob: place, alone (saving, low, high), last (the same); NaN where it is not allowed.
std::string effects_data(const std::vector<const KnobExplanation*>& knobs) {
  const auto numbers = [](const std::optional<Compared>& c) {
    if (!c) return std::string("NaN NaN NaN");
    return fmt::format("{:.6g} {:.6g} {:.6g}", 100.0 * c->saving.ratio, 100.0 * c->saving.low, 100.0 * c->saving.high);
  };
  std::string out = "$effects << END\n";
  for (std::size_t i = 0; i < knobs.size(); ++i) out += fmt::format("{} {} {}\n", i, numbers(knobs[i]->alone), numbers(knobs[i]->last));
  return out + "END\n";
}

/// A bar from zero and its interval, `shift` above the knob's place; `first` is the column of the saving.
std::string bars(int first, double shift, const char* colour, const std::string& title) {
  const std::string value = fmt::format("${}", first);
  return fmt::format(
      "$effects using {0}:($1{1:+}):({0} < 0 ? {0} : 0):({0} < 0 ? 0 : {0}):($1{1:+}-0.13):($1{1:+}+0.13) with boxxyerror lc rgb '{2}' "
      "fs solid 0.6 noborder title {3}, $effects using {4}:($1{1:+}):{5}:{6} with xerrorbars lc rgb '{2}' lw 2 pt 7 ps 0.6 notitle",
      fmt::format("({})", value), shift, colour, quoted(title), first, first + 1, first + 2);
}

std::string effects_panel(const Explanation& e) {
  std::vector<const KnobExplanation*> moved;
  for (const auto& k : e.knobs) {
    if (k.moved) moved.push_back(&k);
  }
  const bool less = e.summary.objective.direction == Direction::kMinimize;
  std::string out = fmt::format("set title {}\nset xlabel {}\n", quoted(less ? "What each knob saves" : "What each knob gains"),
                                quoted(less ? "predicted saving / %, 95 % interval" : "predicted gain / %, 95 % interval"));
  if (moved.empty()) {
    return out +
           "set label 1 'No knob differs from the reference.' at graph 0.5, graph 0.5 center\nset xrange [0:1]\nset yrange [0:1]\n"
           "unset tics\nplot NaN notitle\nunset label 1\nset tics nomirror\n";
  }
  out += effects_data(moved) + "set ytics (";
  for (std::size_t i = 0; i < moved.size(); ++i) {
    const auto& k = *moved[i];
    const std::string values = knob_text(k.name, k.at_reference) + " to " + knob_text(k.name, k.at_best);
    // In double quotes only the line break that we put there ourselves.
    out += fmt::format("{}{}.\"\\n\".{} {}", i == 0 ? "" : ", ", quoted(k.name), quoted(values), i);
  }
  out += fmt::format(
      ") scale 0\nset yrange [{}.6:-0.6]\nset xrange [*:*]\nset arrow 1 from 0, graph 0 to 0, graph 1 nohead lc rgb '#808080'\n",
      moved.size() - 1);
  return out + "plot " + bars(2, -0.16, kSettled, "alone, from the reference") + ", " +
         bars(5, 0.16, kSecond, "last, at the best setting") + "\nunset arrow 1\n";
}

/// Half way to the neighbours, and as far beyond the ends.
std::pair<double, double> reach(const std::vector<double>& at, std::size_t i) {
  const double left = i > 0 ? 0.5 * (at[i] - at[i - 1]) : 0.5 * (at[i + 1] - at[i]);
  const double right = i + 1 < at.size() ? 0.5 * (at[i + 1] - at[i]) : left;
  return {at[i] - left, at[i] + right};
}

/// One rectangle for each run of levels that are predicted to break a limit.
std::string broken_regions(const Curve& curve, const KnobAxis& x) {
  const auto broken = [&](std::size_t i) { return i < curve.points.size() && curve.points[i].probability_met < 0.5; };
  std::string out;
  double from = 0.0;
  for (std::size_t i = 0; i < curve.points.size(); ++i) {
    if (!broken(i)) continue;
    if (i == 0 || !broken(i - 1)) from = reach(x.at, i).first;
    if (broken(i + 1)) continue;
    out += fmt::format("set object rectangle from {:.9g}, graph 0 to {:.9g}, graph 1 behind fc rgb '{}' fs solid noborder\n", from,
                       reach(x.at, i).second, kBroken);
  }
  return out;
}

std::string curve_data(const Explanation& e, const KnobAxis& x, const Axis& y) {
  std::string line = "$curve << END\n", points = "$measured << END\n", best = "$best << END\n";
  for (std::size_t i = 0; i < e.curve->points.size(); ++i) {
    const Curve::Point& p = e.curve->points[i];
    line += fmt::format("{:.9g} {:.9g} {:.9g} {:.9g}\n", x.at[i], p.predicted.value / y.divisor, p.predicted.low / y.divisor,
                        p.predicted.high / y.divisor);
    if (p.best) best += fmt::format("{:.9g} {:.9g}\n", x.at[i], (p.measured ? p.measured->value : p.predicted.value) / y.divisor);
    if (!p.measured) continue;
    points += fmt::format("{:.9g} {:.9g} {:.9g}\n", x.at[i], p.measured->value / y.divisor,
                          1.96 * p.measured->std_error.value_or(0.0) / y.divisor);
  }
  return line + "END\n" + points + "END\n" + best + "END\n";
}

/// Up to what matters (measured, or expected to meet the limits) and a half more; what is hardly known would flatten everything else.
std::string value_range(const Curve& curve, double divisor) {
  double low = INFINITY, high = -INFINITY, most = -INFINITY;
  for (const auto& p : curve.points) {
    low = std::min(low, p.predicted.low), high = std::max(high, p.predicted.high);
    if (p.measured || p.probability_met >= 0.5) most = std::max(most, p.predicted.value);
  }
  if (!(low > 0.0)) return "set yrange [*:*]\n";
  return fmt::format("set yrange [{:.9g}:{:.9g}]\n", 0.97 * low / divisor, 1.03 * std::min(high, 1.5 * most) / divisor);
}

std::string curve_panel(const Explanation& e) {
  const KnobAxis x = knob_axis(*e.curve);
  const Axis y = objective_axis(e);
  std::string limits;
  for (const auto& c : e.summary.constraints) limits += (limits.empty() ? "" : ", ") + describe(c);
  std::string out = curve_data(e, x, y) + broken_regions(*e.curve, x);
  out += fmt::format("set title {}\nset xlabel {}\nset ylabel {}\n",
                     quoted("Along " + e.curve->knob.name + ", all else as at the best setting"), quoted(x.axis.text()), quoted(y.text()));
  out += fmt::format("set xrange [{:.9g}:{:.9g}]\n", reach(x.at, 0).first, reach(x.at, x.at.size() - 1).second);
  out += value_range(*e.curve, y.divisor) + "set xtics auto scale 1\nset ytics auto scale 1\n";
  if (x.labels) {
    out += "set xtics (";
    for (std::size_t i = 0; i < x.at.size(); ++i)
      out += fmt::format("{}{} {}", i == 0 ? "" : ", ", quoted(to_text(e.curve->points[i].level)), i);
    out += ")\n";
  }
  const bool broken = std::any_of(e.curve->points.begin(), e.curve->points.end(), [](const auto& p) { return p.probability_met < 0.5; });
  const bool seen = std::any_of(e.curve->points.begin(), e.curve->points.end(), [](const auto& p) { return p.measured.has_value(); });
  out += fmt::format("plot $curve using 1:3:4 with filledcurves fc rgb '{}' title '95 % band', ", kBand);
  out += fmt::format("$curve using 1:2 with linespoints lc rgb '{}' lw 2 pt 7 ps 0.4 title 'predicted'", kSettled);
  if (seen) out += ", $measured using 1:2:3 with yerrorbars lc rgb '#202020' lw 1.5 pt 7 ps 1 title 'measured, 95 % interval'";
  out += fmt::format(", $best using 1:2 with points lc rgb '{}' pt 6 ps 2.6 lw 2.5 title 'best setting'", kSecond);
  if (broken)
    out += fmt::format(", NaN with boxes fs solid noborder lc rgb '{}' title {}", kBroken, quoted("predicted to break " + limits));
  return out + '\n';
}

}  // namespace

std::string render_plot_script(const Explanation& e, PlotFormat format) {
  std::string title = metric_label(e.summary.objective.metric);
  const auto device = e.summary.facts.find(fact::kDeviceText), model = e.summary.facts.find(fact::kModel);
  if (device != e.summary.facts.end()) title += ", " + device->second;
  if (model != e.summary.facts.end()) title += ", " + model->second;
  std::string out = terminal(format);
  out += fmt::format("set multiplot layout 1,{} title {}\n", e.curve ? 2 : 1, quoted(title));
  out +=
      "set border 3 lc rgb '#606060'\nset tics nomirror\nset grid lc rgb '#e4e4e4'\nset key outside below center vertical maxrows 5 "
      "samplen 2\nset bmargin 10\n";
  out += effects_panel(e);
  if (e.curve) out += curve_panel(e);
  return out + "unset multiplot\n";
}

}  // namespace polythrottle
