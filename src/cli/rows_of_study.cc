#include "cli/rows_of_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/question.h"
#include "study/summary.h"

namespace polythrottle {
namespace {

using serving_rows::Candidate;

constexpr std::string_view kSimulated = "sim:";

/// What a study knows of power while nothing runs.
class Idle {
 public:
  static Result<Idle> of(const Summary& summary, const Config& reference) {
    Idle idle;
    idle.reference_ = reference;
    const auto device = summary.facts.find(fact::kDevice);
    if (device != summary.facts.end() && device->second.starts_with(kSimulated)) {
      TRY(idle.board_, simulation::find_board(std::string_view(device->second).substr(kSimulated.size())));
      idle.text_ = "computed for each setting from the simulated board's physics";
      return idle;
    }
    if (!summary.baseline || !summary.baseline->idle_watts) {
      return fail(Errc::kNotFound, "study: idle power was not measured, so that nothing is known of low loads",
                  "tune again with a meter and without --idle 0");
    }
    idle.watts_ = Watts(summary.baseline->idle_watts->value);
    idle.text_ =
        fmt::format("measured once, {}; taken for every setting that is nowhere above the reference", format_si(idle.watts_.si(), "W"));
    return idle;
  }

  /// nullopt: may be higher than what is known.
  std::optional<Watts> at(const Config& config) const {
    if (board_ != nullptr) return serving_rows::idle_power(*board_, serving_rows::setting_of(*board_, config));
    for (const auto& [name, value] : config.entries()) {
      const auto here = config.number(name), there = reference_.number(name);
      if (name != "batch" && (here != there || !here) && reference_.get(name) != value && !(here && there && *here <= *there))
        return std::nullopt;
    }
    return watts_;
  }
  /// By how much a batch takes longer when the GPU's clock has fallen to its floor.
  double slowed(const Config& config) const {
    if (board_ != nullptr) {
      const auto setting = serving_rows::setting_of(*board_, config);
      return setting.gpu_max / setting.gpu_min;
    }
    const auto floor = config.number("gpu_min_hz"), ceiling = config.number("gpu_max_hz");
    return floor && ceiling && *floor > 0.0 ? std::max(1.0, *ceiling / *floor) : 1.0;
  }
  const std::string& text() const { return text_; }

 private:
  const simulation::Board* board_ = nullptr;
  Watts watts_;
  Config reference_;
  std::string text_;
};

int batch_of(const Config& config) { return static_cast<int>(std::max(1.0, config.number("batch").value_or(1.0))); }

/// Knobs of the machine alone.
std::string clocks_of(const Config& config) {
  Config clocks;
  for (const auto& [name, value] : config.entries()) {
    if (name != "batch") clocks.set(name, value);
  }
  return clocks.text();
}

interference::Speeds speeds_of(const Config& config, const Config& reference) {
  const auto over = [&](std::initializer_list<const char*> knobs) {
    double speed = 1.0;
    for (const char* knob : knobs) {
      const auto here = config.number(knob), there = reference.number(knob);
      if (here && there && *here > 0.0 && *there > 0.0) speed *= *here / *there;
    }
    return speed;
  };
  return {over({"gpu_max_hz"}), over({"mem_hz"}), over({"cpu_hz", "cpu_quota_ratio"})};
}

/// A setting at one batch size, or nullopt where latency or energy was not measured.
std::optional<serving::BatchCurve> curve_of(const Metrics& metrics, const Config& config, const std::optional<Watts>& idle, double slowed) {
  const auto latency = metrics.find(kLatencyMean), energy = metrics.find(kEnergy);
  if (latency == metrics.end() || energy == metrics.end() || latency->second.value <= 0.0) return std::nullopt;
  const int batch = batch_of(config);
  const Seconds time(latency->second.value);
  const Watts busy = Joules(energy->second.value * batch) / time;
  return serving::straight_curve(batch, time, time * slowed, idle.value_or(busy), busy);
}

double tail_of(const Metrics& metrics) {
  const auto mean = metrics.find(kLatencyMean);
  for (const auto name : {kLatencyP99, kLatencyP95}) {
    const auto tail = metrics.find(name);
    if (tail != metrics.end() && mean != metrics.end() && mean->second.value > 0.0)
      return std::max(1.0, tail->second.value / mean->second.value);
  }
  return serving::RowCost{}.tail;
}

class Reader {
 public:
  Reader(const Summary& summary, const Config& reference, const Idle& idle) : summary_(summary), reference_(reference), idle_(idle) {}

  /// Batch sizes up to that of `config` which were measured at its clocks. nullopt: `config` itself was not.
  std::optional<Candidate> candidate(const Config& config) const {
    const auto idle = idle_.at(config);
    Candidate out;
    std::map<int, Metrics> measured;
    for (const Trial& trial : summary_.trials) {
      if (trial.state != TrialState::kCompleted || clocks_of(trial.asked) != clocks_of(config)) continue;
      if (batch_of(trial.asked) <= batch_of(config)) measured[batch_of(trial.asked)] = pooled(summary_.trials, trial.asked);
    }
    out.cost.tail = 1.0;
    for (const auto& [batch, metrics] : measured) {
      Config at = config;
      at.set("batch", static_cast<double>(batch));
      if (auto curve = curve_of(metrics, at, idle, idle_.slowed(config))) {
        out.row.busy = curve->points.back().power;
        out.cost.batches.push_back(std::move(*curve));
        out.cost.tail = std::max(out.cost.tail, tail_of(metrics));
      }
    }
    if (out.cost.batches.empty() || out.cost.batches.back().batch != batch_of(config)) return std::nullopt;
    if (!idle) out.cost.batches.clear();
    out.row.config = config;
    out.row.idle = idle;
    out.row.max_batch = batch_of(config);
    out.row.speeds = speeds_of(config, reference_);
    return out;
  }

  /// Every setting of the machine at the largest batch that was measured there.
  std::vector<Candidate> all() const {
    std::map<std::string, Config> largest;
    for (const Trial& trial : summary_.trials) {
      if (trial.state != TrialState::kCompleted) continue;
      Config& config = largest[clocks_of(trial.asked)];
      if (config.empty() || batch_of(trial.asked) > batch_of(config)) config = trial.asked;
    }
    std::vector<Candidate> out;
    for (const auto& [clocks, config] : largest) {
      if (auto found = candidate(config)) out.push_back(std::move(*found));
    }
    return out;
  }

 private:
  const Summary& summary_;
  const Config& reference_;
  const Idle& idle_;
};

/// A row within so much of the least power at a rate does as well there: two that are nearer are near-duplicates.
constexpr double kAsGood = 1.05;

/// Few rows, one of which is as good as the best of all at every rate that any serves, under even, Poisson and bursty arrivals; and the
/// strongest under each. The first `given` are in it without being asked for. Greedy: whichever does most of what is left to do.
std::set<std::size_t> nearly_best(const serving::LoadTable& table, std::size_t given) {
  std::vector<std::vector<std::size_t>> able;  // by rate and dispersion: the rows that are as good there
  std::set<std::size_t> out;
  for (const double dispersion : {0.25, 1.0, 4.0}) {
    out.insert(table.strongest(dispersion));
    const double top = table.highest_rate(table.strongest(dispersion), dispersion);
    for (double rate = top; rate > top / 1e3; rate /= 1.1) {
      const std::size_t best = table.best(rate, dispersion);
      if (!table.serves(best, rate, dispersion)) continue;
      std::vector<std::size_t> rows;
      for (std::size_t row = 0; row < table.rows(); ++row) {
        if (table.serves(row, rate, dispersion) && table.power(row, rate) <= table.power(best, rate) * kAsGood) rows.push_back(row);
      }
      able.push_back(std::move(rows));
    }
  }
  const auto done_by = [&](const std::vector<std::size_t>& rows) {
    return std::any_of(rows.begin(), rows.end(), [&](std::size_t row) { return row < given || out.contains(row); });
  };
  while (true) {
    std::erase_if(able, done_by);
    if (able.empty()) return out;
    std::map<std::size_t, std::size_t> does;
    for (const auto& rows : able) {
      for (const std::size_t row : rows) ++does[row];
    }
    out.insert(std::max_element(does.begin(), does.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first);
  }
}

}  // namespace

Result<ServingRows> serving_rows::useful(Candidate reference, std::optional<Candidate> tuned, std::vector<Candidate> others, Seconds slo,
                                         const serving::LoadModel& model) {
  std::vector<Candidate> all;
  all.push_back(std::move(reference));
  const bool apart = tuned && !(tuned->row.config == all.front().row.config);
  if (apart) all.push_back(std::move(*tuned));
  const std::size_t kept = all.size();
  std::move(others.begin(), others.end(), std::back_inserter(all));
  std::vector<serving::RowCost> costs;
  for (const auto& each : all) costs.push_back(each.cost);
  TRY(const auto table, serving::LoadTable::make(costs, slo, model));
  const std::set<std::size_t> best = nearly_best(table, kept);
  ServingRows out;
  for (std::size_t row = 0; row < all.size(); ++row) {
    if (row >= kept && !best.contains(row)) continue;
    out.rows.push_back(std::move(all[row].row));
    out.costs.push_back(std::move(all[row].cost));
  }
  out.tuned = apart ? 1 : 0;
  return out;
}

serving::LoadModel serving_model(bool wait) { return {.wait = wait, .margin = kGovernorMargin}; }

serving::LoadAdaptiveOptions load_adaptive_options(const ServingRows& rows, bool wait) {
  serving::LoadAdaptiveOptions out{.costs = rows.costs, .model = serving_model(wait), .home = rows.tuned};
  if (rows.actuation > Seconds(0)) out.actuation = rows.actuation;
  // While it is changed the machine is in one of the two rows: at most so long at the highest power of any.
  for (const auto& row : rows.rows) {
    if (row.busy) out.actuation_energy = std::max(out.actuation_energy, *row.busy * out.actuation);
  }
  return out;
}

Result<ServingRows> rows_of_study(const std::string& path, Seconds slo, const serving::LoadModel& model) {
  TRY(const auto summary, summarize_file({.study = path, .slo = {}, .constraints = {}}, std::nullopt));
  TRY(const Config reference, reference_of(summary.facts));
  TRY(const Idle idle, Idle::of(summary, reference));
  const Reader reader(summary, reference, idle);
  auto first = reader.candidate(reference);
  if (!first) {
    return fail(Errc::kNotFound, "study " + path + ": latency and energy of the reference were not measured", "go on with tune --resume");
  }
  std::optional<Candidate> tuned;
  if (summary.best) tuned = reader.candidate(summary.best->config);
  TRY(auto out, serving_rows::useful(std::move(*first), std::move(tuned), reader.all(), slo, model));
  if (summary.actuation) out.actuation = Seconds(summary.actuation->most_seconds);
  out.idle = idle.text();
  if (summary.stale) out.note = stale_text(*summary.stale);
  return out;
}

}  // namespace polythrottle
