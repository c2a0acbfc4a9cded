#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "replay/duration.h"
#include "report/gnuplot_text.h"
#include "report/replay.h"

namespace polythrottle {
namespace {

constexpr const char* kAnswer = "#1f6f8b";
constexpr const char* kViolation = "#c8553d";
constexpr const char* kStep = "#e9c46a";

}  // namespace

std::string render_timeline_csv(const replay::ReplayResult& run) {
  std::string out = "kind,start_seconds,end_seconds,deadline_seconds,size,queued,job,row,watts\n";
  for (const auto& r : run.requests) {
    out += r.answered ? fmt::format("answered,{:.6f},{:.6f},{:.6f},,,,,\n", r.arrived.count(), r.answered->count(), r.deadline.count())
                      : fmt::format("dropped,{:.6f},{:.6f},{:.6f},,,,,\n", r.arrived.count(), r.dropped.count(), r.deadline.count());
  }
  for (const auto& b : run.timeline.batches) {
    out += fmt::format("batch,{:.6f},{:.6f},,{},{},,,\n", b.started.count(), b.ended.count(), b.size, b.queued);
  }
  for (const auto& s : run.timeline.steps) {
    out += fmt::format("step,{:.6f},{:.6f},,{},,{},,\n", s.started.count(), s.ended.count(), s.items, s.job + 1);
  }
  for (const auto& r : run.timeline.rows) out += fmt::format("row,{:.6f},,,,,,{},\n", r.at.count(), r.row);
  double from = 0.0;
  for (const auto& p : run.timeline.power) {
    out += fmt::format("power,{:.6f},{:.6f},,,,,,{:.4f}\n", from, p.until.count(), p.mean.si());
    from = p.until.count();
  }
  return out;
}

std::string render_timeline_plot(const ReplayHeading& h, const std::string& contender, const replay::ReplayResult& run) {
  // A job that was given up may have gone on long after anything happened.
  Seconds end = h.duration;
  for (const auto& step : run.timeline.steps) end = std::max(end, step.ended);
  std::string in_time, late, dropped, limits, power;
  double most = 0.0;
  for (const auto& r : run.requests) {
    if (r.arrived > end) break;
    const double slo = (r.deadline - r.arrived).count();
    limits += fmt::format("{:.6f} {:.6f}\n", r.arrived.count(), 1e3 * slo);
    const double latency = ((r.answered ? *r.answered : r.dropped) - r.arrived).count();
    most = std::max({most, latency, slo});
    (r.in_time() ? in_time : r.answered ? late : dropped) += fmt::format("{:.6f} {:.6f}\n", r.arrived.count(), 1e3 * latency);
  }
  for (const auto& p : run.timeline.power) {
    if (p.until > end) break;
    power += fmt::format("{:.6f} {:.4f}\n", p.until.count(), p.mean.si());
  }
  std::string out = "set terminal svg size 1200,640 dynamic background '#ffffff' font 'sans,13' noenhanced\n";
  const auto block = [&out](const char* name, const std::string& rows) {
    // An empty block is an error to gnuplot; a point nowhere is none.
    out += fmt::format("${} << END\n{}END\n", name, rows.empty() ? "NaN NaN\n" : rows);
  };
  block("in_time", in_time);
  block("late", late);
  block("dropped", dropped);
  block("slo", limits);
  block("power", power);
  out += fmt::format("set multiplot title {}\n",
                     quoted(fmt::format("{} on {} (simulated), {}, SLO {}, {}", h.model, h.device, h.arrivals, h.slo, contender)));
  out += fmt::format("set lmargin at screen 0.08\nset rmargin at screen 0.98\nset xrange [0:{:.6g}]\nset grid ytics lc rgb '#e0e0e0'\n",
                     end.count());
  out +=
      "set tmargin at screen 0.84\nset bmargin at screen 0.42\nset format x ''\nset ylabel 'latency / ms'\nset key at screen 0.06,0.92 "
      "left horizontal\n";
  // Bars behind the points while steps run; steps that follow each other at once are one bar.
  int objects = 0;
  for (std::size_t i = 0; i < run.timeline.steps.size();) {
    const double from = run.timeline.steps[i].started.count();
    double to = run.timeline.steps[i].ended.count();
    for (++i; i < run.timeline.steps.size() && run.timeline.steps[i].started.count() - to < 1e-3; ++i) {
      to = run.timeline.steps[i].ended.count();
    }
    out += fmt::format("set object {} rectangle from {:.6g}, graph 0 to {:.6g}, graph 1 behind fc rgb '{}' fs solid 0.45 noborder\n",
                       ++objects, from, to, kStep);
  }
  out += fmt::format("set yrange [0:{:.6g}]\n", 1.1e3 * most);
  out += fmt::format(
      "plot NaN with boxes fs solid 0.45 noborder lc rgb '{}' title 'fine-tuning runs', $slo using 1:2 with lines lc rgb '#404040' dt 2 "
      "title "
      "'SLO', $in_time using 1:2 with points pt 7 ps 0.35 lc rgb '{}' title 'answered in time', $late using 1:2 with points pt 7 ps 0.5 lc "
      "rgb '{}' title 'late', $dropped using 1:2 with points pt 2 ps 0.6 lc rgb '{}' title 'dropped'\n",
      kStep, kAnswer, kViolation, kViolation);
  out += "set tmargin at screen 0.38\nset bmargin at screen 0.10\nset format x '%g'\nset xlabel 'time / s'\nset ylabel 'power / W'\n";
  out += fmt::format("set yrange [0:*]\nset key off\nplot $power using 1:2 with steps lc rgb '{}' lw 1.5\nunset multiplot\n", kAnswer);
  return out;
}

}  // namespace polythrottle
