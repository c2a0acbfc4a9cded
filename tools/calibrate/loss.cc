#include "loss.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace polythrottle::calibrate {
namespace {

using simulation::Board;
using simulation::Bounds;
using simulation::Figure;
using simulation::Published;

double square(double x) { return x * x; }
/// Nothing up to `limit`, the square of the excess beyond.
double beyond(double x, double limit) { return square(std::max(0.0, x - limit)); }

bool logarithmic(const Bounds& bounds) { return bounds.low > 0.0 && bounds.high / bounds.low > 4.0; }

/// The paper's savings say nothing about absolute watts and seconds, so these keep both near what such boards show; their weight is small.
double plausibility(const Board& board) {
  using namespace simulation;
  const bool tx2 = board.name == "jetson-tx2";
  const Steady bert = steady_state(inference_plan(board, *find_network("bert-base").value(), Precision::kFp16, 1), board.default_setting());
  const double rated = tx2 ? 15.0 : 60.0;  // arXiv 2310.19991, appendix A
  const double share = bert.power.total().si() / rated;
  const Steady busiest =
      steady_state(inference_plan(board, *find_network("bert-base").value(), Precision::kFp32, 16), board.default_setting());
  // Joules of figure 2's first point over three quarters of the rated power.
  const Steady frontier =
      steady_state(inference_plan(board, *find_network(tx2 ? "efficientnet-b4" : "efficientnet-b7").value(), Precision::kFp16, 1),
                   board.default_setting());
  const double seconds = (tx2 ? 0.857 : 3.173) / (0.75 * rated);
  return beyond(std::abs(share - 0.7), 0.2) / square(0.05) + beyond(busiest.power.total().si() / rated, 0.97) / square(0.01) +
         beyond(std::abs(std::log(frontier.latency.count() / seconds)), 0.7) / square(0.2);
}

int level_of(const std::vector<Hertz>& levels, double megahertz) {
  const auto nearest = std::min_element(levels.begin(), levels.end(), [&](Hertz a, Hertz b) {
    return std::abs(a.si() / 1e6 - megahertz) < std::abs(b.si() / 1e6 - megahertz);
  });
  return static_cast<int>(nearest - levels.begin());
}

}  // namespace

double loss(const Board& board, const Published& published, const std::vector<Figure>& figures, const std::string& without) {
  double sum = plausibility(board);
  std::map<std::string, double, std::less<>> simulated;
  for (const Figure& figure : figures) {
    const auto found = published.values.find(figure.key);
    if (found == published.values.end()) continue;
    if (!without.empty() && figure.key.find(without) != std::string::npos) continue;
    simulated[figure.key] = figure.value;
    const double points = 100.0 * std::abs(figure.value - found->second);
    const std::string_view group = std::string_view(figure.key).substr(0, figure.key.find('/'));
    if (group == "tight" || group == "relaxed") {
      sum += square(points / 1.7) + 2.0 * beyond(points, 4.0);
    } else if (group == "tight_k" || group == "relaxed_k") {
      const double octaves = std::abs(std::log2(std::max(0.3, figure.aid) / found->second));
      sum += 0.7 * square(octaves) + 20.0 * beyond(octaves, 0.85);
    } else if (group == "table2") {
      sum += square(points / 3.0) + 2.0 * beyond(points, 5.5);
    } else if (group == "table2_mhz") {
      const double levels = std::abs(level_of(board.mem_levels, figure.value) - level_of(board.mem_levels, found->second));
      sum += 0.3 * square(levels) + 10.0 * beyond(levels, 3.0);
    } else if (group == "table3") {
      sum += square(points / 3.0) + 2.0 * beyond(points, 5.0);
    } else if (group == "table7") {
      sum += square(points / 2.0);
    } else if (group == "table7_mhz") {
      sum += square(0.5 * std::abs(level_of(board.cpu_levels, figure.value) - level_of(board.cpu_levels, found->second)));
    } else if (group == "cpu_effect") {
      sum += square(std::max(0.0, 100.0 * (figure.value - found->second)) / 1.0);
    } else if (group == "figure2") {
      const double percent = 100.0 * std::abs(figure.value / found->second - 1.0);
      sum += square(percent / 4.0) + beyond(percent, 8.0) + square(figure.aid / 0.02);
    }
  }
  // Order of networks: half a point of margin where the published gap exceeds 3 points (table 3: any gap).
  for (const auto& [a, value_a] : simulated) {
    for (const auto& [b, value_b] : simulated) {
      const std::string group = a.substr(0, a.find('/'));
      if (b.substr(0, b.find('/')) != group) continue;
      const bool search = group == "tight" || group == "relaxed";
      if (!search && group != "table3") continue;
      if (search && a.substr(a.rfind('/')) != b.substr(b.rfind('/'))) continue;
      const double gap = published.values.find(a)->second - published.values.find(b)->second;
      if (gap > (search ? 0.03 : 0.0)) sum += 4.0 * square(std::max(0.0, 100.0 * (value_b - value_a) + 0.5));
    }
  }
  return sum;
}

std::vector<double> to_cube(const Board& board) {
  std::vector<double> point;
  const auto table = simulation::scalar_table();
  for (std::size_t index = 0; index < table.size(); ++index) {
    const double value = board.scalars.*table[index].member;
    const Bounds& bounds = board.bounds[index];
    point.push_back(logarithmic(bounds) ? std::log(value / bounds.low) / std::log(bounds.high / bounds.low)
                                        : (value - bounds.low) / (bounds.high - bounds.low));
  }
  return point;
}

void from_cube(Board& board, const std::vector<double>& point) {
  const auto table = simulation::scalar_table();
  for (std::size_t index = 0; index < table.size(); ++index) {
    const Bounds& bounds = board.bounds[index];
    const double value = logarithmic(bounds) ? bounds.low * std::pow(bounds.high / bounds.low, point[index])
                                             : bounds.low + (bounds.high - bounds.low) * point[index];
    board.scalars.*table[index].member = std::clamp(value, bounds.low, bounds.high);
  }
}

}  // namespace polythrottle::calibrate
