#include "host/simulation/paper.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace polythrottle::simulation {
namespace {

using nlohmann::json;

constexpr std::array<Precision, 2> kPrecisions = {Precision::kFp16, Precision::kFp32};
constexpr double kNear = 1.05;        // near-optimal: within 5 % of the grid's best
constexpr double kNearSlope = 0.004;  // width of the smooth count's edge
constexpr double kOrderGap = 0.03;    // pairs closer than this in the paper have no order to keep

struct Cell {
  double latency = 0.0;
  double energy = 0.0;
};

/// GPU maximum x memory at one batch size; everything else at its default.
struct Grid {
  std::size_t mems = 0;
  std::vector<Cell> cells;

  Grid(const Board& board, const Plan& plan) : mems(board.mem_levels.size()) {
    Setting setting = board.default_setting();
    cells.reserve(board.gpu_levels.size() * mems);
    for (const Hertz gpu : board.gpu_levels) {
      for (const Hertz mem : board.mem_levels) {
        setting.gpu_max = gpu;
        setting.mem = mem;
        const Steady steady = steady_state(plan, setting);
        cells.push_back({steady.latency.count(), steady.energy.si()});
      }
    }
  }
  double fastest() const {
    return std::min_element(cells.begin(), cells.end(), [](const Cell& a, const Cell& b) { return a.latency < b.latency; })->latency;
  }
  /// Index of the cheapest cell within the limit; `cells.size()` where there is none.
  std::size_t cheapest(double limit) const {
    std::size_t best = cells.size();
    for (std::size_t index = 0; index < cells.size(); ++index) {
      if (cells[index].latency <= limit && (best == cells.size() || cells[index].energy < cells[best].energy)) best = index;
    }
    return best;
  }
};

/// Cells within `limit` and 5 % of `best`, counted, and counted smoothly.
std::pair<double, double> near_optimal(const std::vector<Grid>& grids, double limit, double best) {
  double count = 0.0;
  double smooth = 0.0;
  for (const Grid& grid : grids) {
    for (const Cell& cell : grid.cells) {
      if (cell.latency > limit || cell.energy > 1.2 * best) continue;
      const double relative = cell.energy / best;
      if (relative <= kNear) count += 1.0;
      smooth += 1.0 / (1.0 + std::exp((relative - kNear) / kNearSlope));
    }
  }
  return {count, smooth};
}

class Experiments {
 public:
  Experiments(const Board& board, const Published& published) : board_(board), published_(published) {}

  std::vector<Figure> run() {
    for (const Network& network : networks()) {
      for (const Precision precision : kPrecisions) searches(network, precision);
      if (wanted("table3")) floor_alone(network);
    }
    preprocessing();
    cpu_alone();
    return std::move(figures_);
  }

 private:
  void add(std::string key, double value, double aid = 0.0) { figures_.push_back({std::move(key), value, aid}); }
  bool wanted(const char* group) const {
    const auto found = published_.values.lower_bound(std::string(group) + "/");
    return found != published_.values.end() && found->first.starts_with(std::string(group) + "/");
  }

  void searches(const Network& network, Precision precision) {
    std::vector<Grid> grids;
    grids.reserve(kPaperBatches.size());
    for (const int batch : kPaperBatches) grids.emplace_back(board_, inference_plan(board_, network, precision, batch));
    const double fastest = grids.front().fastest();
    const std::string name = network.name + "/" + to_string(precision);

    const std::vector<Grid> single(grids.begin(), grids.begin() + 1);
    const double tight = fastest * published_.tight_limit;
    const Cell best_tight = grids.front().cells[grids.front().cheapest(tight)];
    add("tight/" + name, 1.0 - best_tight.energy / grids.front().cells.back().energy);
    const auto [tight_count, tight_smooth] = near_optimal(single, tight, best_tight.energy);
    add("tight_k/" + name, tight_count, tight_smooth);

    const double relaxed = fastest * published_.relaxed_limit;
    double best = 0.0;
    double base = 0.0;
    for (const Grid& grid : grids) {
      const std::size_t cheapest = grid.cheapest(relaxed);
      if (cheapest < grid.cells.size() && (base == 0.0 || grid.cells[cheapest].energy < best)) {
        best = grid.cells[cheapest].energy;
        base = grid.cells.back().energy;
      }
    }
    add("relaxed/" + name, 1.0 - best / base);
    const auto [relaxed_count, relaxed_smooth] = near_optimal(grids, relaxed, best);
    add("relaxed_k/" + name, relaxed_count, relaxed_smooth);

    if (precision != Precision::kFp16) return;
    if (wanted("table2")) {
      const Grid& grid = grids.front();
      const std::size_t cheapest = grid.cheapest(grid.cells.front().latency * 1e9);
      const std::size_t same_gpu_full_memory = cheapest / grid.mems * grid.mems + grid.mems - 1;
      add("table2/" + network.name, 1.0 - grid.cells[cheapest].energy / grid.cells[same_gpu_full_memory].energy);
      add("table2_mhz/" + network.name, board_.mem_levels[cheapest % grid.mems].si() / 1e6);
    }
    if (network.name == published_.frontier_network) frontier(grids, fastest);
  }

  void frontier(const std::vector<Grid>& grids, double fastest) {
    double first = 0.0;
    for (const FrontierPoint& point : published_.frontier) {
      const auto batch = std::find(kPaperBatches.begin(), kPaperBatches.end(), point.batch) - kPaperBatches.begin();
      const Grid& grid = grids[static_cast<std::size_t>(batch)];
      // A limit that no cell of this batch size meets is replaced by the latency of the fastest; the aid says by how much it was missed.
      const double reach = grid.fastest() / fastest;
      const double energy = grid.cells[grid.cheapest(fastest * std::max(point.limit, reach) * (1.0 + 1e-9))].energy;
      if (first == 0.0) first = energy;
      add(frontier_key(point), energy / first, std::max(0.0, reach / point.limit - 1.0));
    }
  }

  void floor_alone(const Network& network) {
    const Plan plan = inference_plan(board_, network, Precision::kFp16, 1);
    Setting setting = board_.default_setting();
    Load load;
    if (plan.images) load.idle_gap = Seconds(board_.constants.image_gap_seconds);
    double base = 0.0;
    double best = 0.0;
    Hertz best_floor;
    for (const Hertz floor : board_.gpu_levels) {
      setting.gpu_min = floor;
      const double energy = steady_state(plan, setting, load).energy_in_flight.si();
      if (base == 0.0) base = energy;
      if (best == 0.0 || energy < best) {
        best = energy;
        best_floor = floor;
      }
    }
    add("table3/" + network.name, 1.0 - best / base);
    add("table3_mhz/" + network.name, best_floor.si() / 1e6);
  }

  void preprocessing() {
    const Network& network = networks().front();
    const double base = preprocess_energy(board_, network, board_.cpu_levels.back()).si();
    double best = base;
    Hertz clock = board_.cpu_levels.back();
    for (const Hertz cpu : board_.cpu_levels) {
      const double energy = preprocess_energy(board_, network, cpu).si();
      if (energy < best) {
        best = energy;
        clock = cpu;
      }
    }
    add("table7/saving", 1.0 - best / base);
    add("table7_mhz/clock", clock.si() / 1e6);
  }

  void cpu_alone() {
    double largest = 0.0;
    for (const Network& network : networks()) {
      for (const Precision precision : kPrecisions) {
        for (const int batch : kPaperBatches) {
          const Plan plan = inference_plan(board_, network, precision, batch);
          Setting setting = board_.default_setting();
          const double base = steady_state(plan, setting).energy.si();
          for (const Hertz cpu : board_.cpu_levels) {
            setting.cpu = cpu;
            largest = std::max(largest, 1.0 - steady_state(plan, setting).energy.si() / base);
          }
        }
      }
    }
    add("cpu_effect/largest", largest);
  }

 public:
  static std::string frontier_key(const FrontierPoint& point) {
    char text[64];
    std::snprintf(text, sizeof text, "figure2/%02d/%.2f", point.batch, point.limit);
    return text;
  }

 private:
  const Board& board_;
  const Published& published_;
  std::vector<Figure> figures_;
};

tl::unexpected<Error> corrupt(const std::string& what) { return fail(Errc::kCorrupt, "published figures: " + what); }

/// Position of the level nearest to `megahertz`.
int level_of(const std::vector<Hertz>& levels, double megahertz) {
  const auto nearest = std::min_element(levels.begin(), levels.end(), [&](Hertz a, Hertz b) {
    return std::abs(a.si() / 1e6 - megahertz) < std::abs(b.si() / 1e6 - megahertz);
  });
  return static_cast<int>(nearest - levels.begin());
}

}  // namespace

Result<Published> parse_published(std::string_view text, std::string_view board) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return corrupt("not a JSON object");
  const auto found = document.find(std::string(board));
  if (found == document.end()) return fail(Errc::kNotFound, "published figures of " + std::string(board) + ": none");
  try {
    Published published;
    for (const auto& [group, entry] : found->items()) {
      published.sources[group] = entry.at("source").get<std::string>();
      if (!entry.contains("values")) continue;
      for (const auto& [key, value] : entry.at("values").items()) published.values[group + "/" + key] = value.get<double>();
    }
    published.tight_limit = found->at("tight").at("limit").get<double>();
    published.relaxed_limit = found->at("relaxed").at("limit").get<double>();
    const json& frontier = found->at("figure2");
    published.frontier_network = frontier.at("network").get<std::string>();
    for (const json& entry : frontier.at("points")) {
      const FrontierPoint point{entry.at("batch").get<int>(), entry.at("limit").get<double>(), entry.at("joules").get<double>()};
      if (std::find(kPaperBatches.begin(), kPaperBatches.end(), point.batch) == kPaperBatches.end()) return corrupt("figure2: batch size");
      published.frontier.push_back(point);
      published.values[Experiments::frontier_key(point)] = point.joules / published.frontier.front().joules;
    }
    return published;
  } catch (const json::exception& error) {
    return corrupt(error.what());
  }
}

std::vector<Figure> simulate_paper(const Board& board, const Published& published) { return Experiments(board, published).run(); }

Score score(const Board& board, const Published& published, const std::vector<Figure>& figures) {
  Score result;
  std::map<std::string, double, std::less<>> simulated;
  double savings = 0.0;
  double table2 = 0.0;
  int table2_count = 0;
  double figure2 = 0.0;
  int figure2_count = 0;
  for (const Figure& figure : figures) {
    const auto found = published.values.find(figure.key);
    if (found == published.values.end()) continue;
    simulated[figure.key] = figure.value;
    const double printed = found->second;
    const std::string group = figure.key.substr(0, figure.key.find('/'));
    const double points = 100.0 * std::abs(figure.value - printed);
    if (group == "tight" || group == "relaxed") {
      savings += points;
      ++result.savings_count;
      result.savings_max = std::max(result.savings_max, points);
    } else if (group == "tight_k" || group == "relaxed_k") {
      const double factor = std::max(figure.value / printed, printed / figure.value);
      ++result.k_count;
      if (factor <= 2.0) ++result.k_within_2;
      result.k_worst = std::max(result.k_worst, factor);
    } else if (group == "table2") {
      table2 += points;
      ++table2_count;
      result.table2_max = std::max(result.table2_max, points);
    } else if (group == "table2_mhz") {
      const int distance = std::abs(level_of(board.mem_levels, figure.value) - level_of(board.mem_levels, printed));
      result.table2_levels = std::max(result.table2_levels, distance);
    } else if (group == "table3") {
      result.table3_max = std::max(result.table3_max, points);
    } else if (group == "table7") {
      result.table7 = points;
    } else if (group == "cpu_effect") {
      result.cpu_effect = 100.0 * figure.value;
    } else if (group == "figure2") {
      const double relative = 100.0 * std::abs(figure.value / printed - 1.0);
      figure2 += relative;
      ++figure2_count;
      result.figure2_max = std::max(result.figure2_max, relative);
    }
  }
  result.savings_mean = result.savings_count > 0 ? savings / result.savings_count : 0.0;
  result.table2_mean = table2_count > 0 ? table2 / table2_count : 0.0;
  result.figure2_mean = figure2_count > 0 ? figure2 / figure2_count : 0.0;

  const auto order = [&](const std::string& group, const std::string& suffix, double gap, int& pairs, int& wrong) {
    for (const Network& a : networks()) {
      for (const Network& b : networks()) {
        const auto pa = published.values.find(group + "/" + a.name + suffix);
        const auto pb = published.values.find(group + "/" + b.name + suffix);
        if (pa == published.values.end() || pb == published.values.end() || pa->second - pb->second <= gap) continue;
        ++pairs;
        if (simulated[pa->first] <= simulated[pb->first]) ++wrong;
      }
    }
  };
  for (const char* group : {"tight", "relaxed"}) {
    for (const Precision precision : kPrecisions) {
      order(group, std::string("/").append(to_string(precision)), kOrderGap, result.pairs, result.wrong_pairs);
    }
  }
  int table3_pairs = 0;
  int table3_wrong = 0;
  order("table3", "", 0.0, table3_pairs, table3_wrong);
  result.table3_order = table3_wrong == 0;
  return result;
}

}  // namespace polythrottle::simulation
