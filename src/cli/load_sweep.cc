#include "cli/load_sweep.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "serving/load_adaptive.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

/// Requests come alike for all three, and for one load otherwise than for the next.
Result<Arrivals> arrivals_of(const std::string& word, double rate, std::uint64_t seed) {
  if (word == "uniform") return Arrivals::uniform(rate);
  if (word == "poisson") return Arrivals::poisson(rate, seed);
  return Arrivals::load(word, rate);
}

/// What was measured of batches alone, so that the predictor knows them before the first request.
interference::Samples samples_of(const ServingRows& rows) {
  interference::Samples samples;
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    for (const auto& curve : rows.costs[row].batches) {
      samples.batches.push_back({{rows.rows[row].speeds, curve.batch, {}}, curve.points.back().latency, 0.0});
    }
  }
  return samples;
}

SweepSide side_of(const replay::ReplayResult& result) {
  return {result.energy_per_answer, result.counted.violations_ratio(), result.row_changes};
}

Result<SweepPoint> point_of(const SweepOptions& o, const std::string& arrivals, double load, double capacity) {
  SweepPoint point{arrivals, load, load * capacity, {}, {}, {}, {}};
  replay::ReplayOptions base = o.base;
  base.rows = o.rows.rows;
  base.policy = "inference-only";
  base.expected_rate = point.rate;
  base.samples = samples_of(o.rows);
  base.stop = o.stop;
  TRY(base.arrivals, arrivals_of(arrivals, point.rate, base.seed));
  base.row = 0;
  base.row_choice = nullptr;
  TRY(const auto reference, replay::replay(base));
  base.row = o.rows.tuned;
  TRY(const auto tuned, replay::replay(base));
  base.row = 0;
  serving::LoadAdaptiveOptions adaptive{.costs = o.rows.costs};
  adaptive.model.wait = base.policy_options.wait;
  adaptive.model.margin = kGovernorMargin;
  if (o.rows.actuation > Seconds(0)) adaptive.actuation = o.rows.actuation;
  TRY_STATUS(serving::LoadAdaptive::make(adaptive, base.slo));
  base.row_choice = [&] { return std::move(*serving::LoadAdaptive::make(adaptive, base.slo)); };
  TRY(const auto adapted, replay::replay(base));
  point.reference = side_of(reference);
  point.tuned = side_of(tuned);
  point.adaptive = side_of(adapted);
  point.row_shares = adapted.row_shares;
  return point;
}

std::string change(const SweepSide& side, const SweepSide& baseline) {
  if (!side.energy || !baseline.energy) return "-";
  return fmt::format("{:+.1f} %", (*side.energy / *baseline.energy - 1.0) * 100.0);
}

std::string joules(const SweepSide& side) { return side.energy ? format_si(side.energy->si(), "J") : "-"; }

Json to_json(const SweepSide& side) {
  Json out;
  out["energy_joules_per_answer"] = side.energy ? Json(side.energy->si()) : Json(nullptr);
  out["violations_ratio"] = side.violations;
  out["row_changes"] = side.switches;
  return out;
}

}  // namespace

double reference_capacity(const ServingRows& rows) { return rows.costs.front().batches.back().points.back().rate; }

Result<Sweep> load_sweep(const SweepOptions& options, const std::function<void(std::size_t, std::size_t)>& progress) {
  Sweep sweep;
  sweep.capacity = reference_capacity(options.rows);
  const std::size_t all = options.arrivals.size() * options.loads.size();
  for (const auto& arrivals : options.arrivals) {
    for (const double load : options.loads) {
      if (progress) progress(sweep.points.size(), all);
      TRY(auto point, point_of(options, arrivals, load, sweep.capacity));
      sweep.points.push_back(std::move(point));
    }
  }
  return sweep;
}

std::string render_sweep(const ServingRows& rows, Seconds slo, const Sweep& sweep) {
  std::string out = fmt::format("Rows (idle power {}):\n", rows.idle);
  const auto table = serving::LoadTable::make(rows.costs, slo);
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    const serving::Row& r = rows.rows[row];
    out += fmt::format("{:3}  {}  idle {} busy {}", row, r.config.text(), r.idle ? format_si(r.idle->si(), "W") : "-",
                       r.busy ? format_si(r.busy->si(), "W") : "-");
    if (table) out += fmt::format("  serves up to {:.3g}/s", table->highest_rate(row, 1.0));
    out += row == 0 ? "  (reference)\n" : row == rows.tuned ? "  (tuned)\n" : "\n";
  }
  if (table) {
    out += "Least power under Poisson arrivals:";
    for (const auto& s : table->stretches(1.0)) out += fmt::format("  {:.3g} to {:.3g}/s row {}", s.from, s.to, s.row);
    out += "\n";
  }
  out +=
      fmt::format("\nEnergy per answer and share of requests over the SLO. Load is over {:.4g}/s, what the reference does back to back.\n",
                  sweep.capacity);
  out += fmt::format("{:<10} {:>5} {:>8}  {:>9} {:>6}  {:>9} {:>6}  {:>9} {:>6} {:>4}  {:>9} {:>9}\n", "arrivals", "load", "rate",
                     "reference", "over", "tuned", "over", "adaptive", "over", "sw.", "vs ref.", "vs tuned");
  for (const SweepPoint& p : sweep.points) {
    const auto name = p.arrivals.substr(p.arrivals.rfind('/') + 1);
    const auto over = [](const SweepSide& side) { return fmt::format("{:.2f}%", side.violations * 100.0); };
    out += fmt::format("{:<10.10} {:>4.0f}% {:>6.3g}/s  {:>9} {:>6}  {:>9} {:>6}  {:>9} {:>6} {:>4}  {:>9} {:>9}\n", name, p.load * 100.0,
                       p.rate, joules(p.reference), over(p.reference), joules(p.tuned), over(p.tuned), joules(p.adaptive), over(p.adaptive),
                       p.adaptive.switches, change(p.adaptive, p.reference), change(p.adaptive, p.tuned));
  }
  return out;
}

std::string render_sweep_json(const ServingRows& rows, Seconds slo, const Sweep& sweep) {
  Json out;
  out["slo_seconds"] = slo.count();
  out["idle_power"] = rows.idle;
  out["reference_capacity_per_second"] = sweep.capacity;
  out["tuned_row"] = rows.tuned;
  for (std::size_t row = 0; row < rows.rows.size(); ++row) out["rows"].push_back(polythrottle::to_json(rows.rows[row].config));
  for (const SweepPoint& p : sweep.points) {
    Json point;
    point["arrivals"] = p.arrivals;
    point["load_ratio"] = p.load;
    point["rate_per_second"] = p.rate;
    point["reference"] = to_json(p.reference);
    point["tuned"] = to_json(p.tuned);
    point["load_adaptive"] = to_json(p.adaptive);
    point["row_shares"] = p.row_shares;
    out["points"].push_back(std::move(point));
  }
  return out.dump(2) + "\n";
}

}  // namespace polythrottle
