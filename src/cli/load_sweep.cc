#include "cli/load_sweep.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/report.h"
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

void add(SweepSide& side, const replay::ReplayResult& result) {
  side.requests += result.counted.requests;
  side.violated += result.counted.late + result.counted.dropped();
  side.answers += result.answers;
  side.drawn += result.energy;
  side.switches += result.row_changes;
  for (const auto& [cause, count] : result.row_causes) side.causes[cause] += count;
}

Status run_seed(const SweepOptions& o, std::uint64_t seed, SweepPoint& point) {
  replay::ReplayOptions base = o.base;
  base.seed = seed;
  base.rows = o.rows.rows;
  base.policy = "inference-only";
  base.expected_rate = point.rate;
  base.samples = samples_of(o.rows);
  base.stop = o.stop;
  TRY(base.arrivals, arrivals_of(point.arrivals, point.rate, seed));
  const auto run = [&](std::size_t row) {
    base.row = row;
    return replay::replay(base);
  };
  TRY(const auto reference, run(0));
  TRY(const auto tuned, run(o.rows.tuned));
  const serving::LoadAdaptiveOptions options = load_adaptive_options(o.rows, base.policy_options.wait);
  TRY_STATUS(serving::LoadAdaptive::make(options, base.slo));
  base.row_choice = [&] { return std::move(*serving::LoadAdaptive::make(options, base.slo)); };
  TRY(const auto adapted, run(o.rows.tuned));
  add(point.reference, reference);
  add(point.tuned, tuned);
  add(point.adaptive, adapted);
  point.row_shares.resize(adapted.row_shares.size());
  for (std::size_t row = 0; row < adapted.row_shares.size(); ++row) {
    point.row_shares[row] += adapted.row_shares[row] / static_cast<double>(o.seeds);
  }
  return {};
}

std::string change(const SweepSide& side, const SweepSide& baseline) {
  if (!side.energy() || !baseline.energy()) return "-";
  return fmt::format("{:+.1f} %", (*side.energy() / *baseline.energy() - 1.0) * 100.0);
}

std::string joules(const SweepSide& side) { return side.energy() ? format_si(side.energy()->si(), "J") : "-"; }

Json to_json(const SweepSide& side) {
  Json out;
  out["energy_joules_per_answer"] = side.energy() ? Json(side.energy()->si()) : Json(nullptr);
  out["violations_ratio"] = side.violations();
  out["row_changes"] = side.switches;
  for (const auto& [cause, count] : side.causes) out["row_change_causes"][serving::to_string(cause)] = count;
  return out;
}

}  // namespace

std::optional<Joules> SweepSide::energy() const {
  if (answers == 0) return std::nullopt;
  return drawn / static_cast<double>(answers);
}
double SweepSide::violations() const { return requests == 0 ? 0.0 : static_cast<double>(violated) / static_cast<double>(requests); }

SweepPoint::Verdict SweepPoint::verdict() const {
  if (tuned.violations() > kTolerated || !tuned.energy()) return Verdict::kTunedFails;
  if (adaptive.violations() > tuned.violations() + kEqual || !adaptive.energy()) return Verdict::kLater;
  return *adaptive.energy() / *tuned.energy() > 1.0 + kDearer ? Verdict::kDearer : Verdict::kMet;
}

const char* to_string(SweepPoint::Verdict verdict) {
  switch (verdict) {
    case SweepPoint::Verdict::kMet: return "met";
    case SweepPoint::Verdict::kDearer: return "dearer";
    case SweepPoint::Verdict::kLater: return "later";
    case SweepPoint::Verdict::kTunedFails: return "tuned fails";
  }
  return "";
}

double reference_capacity(const ServingRows& rows) { return rows.costs.front().batches.back().points.back().rate; }

Result<Sweep> load_sweep(const SweepOptions& options, const std::function<void(std::size_t, std::size_t)>& progress) {
  Sweep sweep;
  sweep.capacity = reference_capacity(options.rows);
  const std::size_t all = options.arrivals.size() * options.loads.size();
  for (const auto& arrivals : options.arrivals) {
    for (const double load : options.loads) {
      SweepPoint point{.arrivals = arrivals, .load = load, .rate = load * sweep.capacity, .row_shares = {}};
      for (std::size_t seed = 0; seed < options.seeds; ++seed) {
        if (progress) progress(sweep.points.size() * options.seeds + seed, all * options.seeds);
        TRY_STATUS(run_seed(options, options.base.seed + seed, point));
      }
      sweep.points.push_back(std::move(point));
    }
  }
  return sweep;
}

std::string rows_text(const ServingRows& rows, Seconds slo, bool wait) {
  const auto table = serving::LoadTable::make(rows.costs, slo, serving_model(wait));
  std::vector<std::vector<std::string>> lines{{"row", "setting", "idle", "busy", "serves up to", "cheapest at"}};
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    const serving::Row& r = rows.rows[row];
    const auto watts = [](const auto& power) { return power ? format_si(power->si(), "W") : std::string("-"); };
    std::string name = setting_text(r.config);
    if (row == rows.tuned) name += " (tuned)";
    if (row == 0) name += " (reference)";
    std::string most = "-", cheapest;
    if (table) {
      if (const double rate = table->highest_rate(row, 1.0); rate > 0.0) most = fmt::format("{:.3g}/s", rate);
      for (const auto& s : table->stretches(1.0)) {
        if (s.row == row) cheapest += fmt::format("{}{:.2g}-{:.2g}/s", cheapest.empty() ? "" : ", ", s.from, s.to);
      }
    }
    lines.push_back({std::to_string(row), name, watts(r.idle), watts(r.busy), most, cheapest.empty() ? "-" : cheapest});
  }
  return align(lines, {0, 2, 3, 4});
}

std::string render_sweep(const SweepOptions& options, const Sweep& sweep) {
  const ServingRows& rows = options.rows;
  std::string out = fmt::format("Rows by the load table, Poisson arrivals (idle power {}):\n{}", rows.idle,
                                rows_text(rows, options.base.slo, options.base.policy_options.wait));
  if (!rows.note.empty()) out += fmt::format("Note: {}.\n", rows.note);
  out += fmt::format(
      "\nEnergy per answer and share of requests over the SLO. Load is over {:.4g}/s, what the reference does back to back.\n"
      "Against tuned: met is at most {:.0f} % dearer with at most {:.1f} points more over the SLO; it says nothing where tuned has over "
      "{:.0f} %.\n",
      sweep.capacity, SweepPoint::kDearer * 100.0, SweepPoint::kEqual * 100.0, SweepPoint::kTolerated * 100.0);
  out += fmt::format("{:<10} {:>5} {:>8}  {:>9} {:>6}  {:>9} {:>6}  {:>9} {:>6} {:>4}  {:>9} {:>9}  {:<11}  {}\n", "arrivals", "load",
                     "rate", "reference", "over", "tuned", "over", "adaptive", "over", "sw.", "vs ref.", "vs tuned", "", "switches for");
  for (const SweepPoint& p : sweep.points) {
    const auto name = p.arrivals.substr(p.arrivals.rfind('/') + 1);
    const auto over = [](const SweepSide& side) { return fmt::format("{:.2f}%", side.violations() * 100.0); };
    std::string causes;
    for (const auto& [cause, count] : p.adaptive.causes) {
      causes += fmt::format("{}{} {}", causes.empty() ? "" : ", ", serving::to_string(cause), count);
    }
    out += fmt::format("{:<10.10} {:>4.0f}% {:>6.3g}/s  {:>9} {:>6}  {:>9} {:>6}  {:>9} {:>6} {:>4}  {:>9} {:>9}  {:<11}  {}\n", name,
                       p.load * 100.0, p.rate, joules(p.reference), over(p.reference), joules(p.tuned), over(p.tuned), joules(p.adaptive),
                       over(p.adaptive), p.adaptive.switches, change(p.adaptive, p.reference), change(p.adaptive, p.tuned),
                       to_string(p.verdict()), causes);
  }
  return out;
}

std::string render_sweep_json(const SweepOptions& options, const Sweep& sweep) {
  const ServingRows& rows = options.rows;
  Json out;
  out["slo_seconds"] = options.base.slo.count();
  out["idle_power"] = rows.idle;
  out["note"] = rows.note.empty() ? Json(nullptr) : Json(rows.note);
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
    point["against_tuned"] = to_string(p.verdict());
    point["row_shares"] = p.row_shares;
    out["points"].push_back(std::move(point));
  }
  return out.dump(2) + "\n";
}

}  // namespace polythrottle
