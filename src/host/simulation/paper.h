#pragma once
// The experiments of the PolyThrottle paper (arXiv 2310.19991) on a simulated board, noise-free, beside what the paper printed. The printed
// figures come from a file (tools/calibrate/published.json); this holds only how each experiment is read. docs/simulation.md gives reasons.

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/simulation/physics.h"

namespace polythrottle::simulation {

/// One point of figure 2: the least energy at a batch size with the latency within `limit` times the best one.
struct FrontierPoint {
  int batch = 1;
  double limit = 1.0;
  double joules = 0.0;
};

/// What the paper printed for one board.
struct Published {
  double tight_limit = 0.0;    ///< times the best latency of the batch-1 grid, batch 1 only
  double relaxed_limit = 0.0;  ///< the same, any batch size
  std::string frontier_network;
  std::vector<FrontierPoint> frontier;
  /// "tight/bert-base/fp16" and the like: ratios, counts, MHz.
  std::map<std::string, double, std::less<>> values;
  std::map<std::string, std::string, std::less<>> sources;  ///< by the part of the key before the first slash
};
/// Of one board, from the text of published.json. Errors: kCorrupt, kNotFound.
Result<Published> parse_published(std::string_view text, std::string_view board);

/// A simulated figure under the key of the published one.
struct Figure {
  std::string key;
  double value = 0.0;
  /// What says how nearly `value` changes: a smooth count of near-optimal cells, or how far a frontier point's limit is out of reach.
  double aid = 0.0;
};

/// Batch sizes of the paper's grids.
inline constexpr std::array<int, 5> kPaperBatches = {1, 2, 4, 8, 16};

/// Every figure of `published`, simulated:
/// tight, tight_k      savings against default clocks at batch 1 in the grid of GPU maximum x memory; cells within 5 % of the best
/// relaxed, relaxed_k  the same with all batch sizes, savings against default clocks at the best cell's own batch
/// table2, table2_mhz  savings of memory alone with the GPU at the batch-1 optimum without a limit, FP16; the best memory clock
/// table3, table3_mhz  savings of the GPU floor alone at default clocks, batch 1, FP16, with a pause before each image
/// table7, table7_mhz  savings of the CPU clock on pre-processing alone; the best CPU clock
/// cpu_effect          the largest saving of the CPU clock alone in total energy over networks, precisions and batch sizes
/// figure2             energy of each frontier point over that of the first, FP16
std::vector<Figure> simulate_paper(const Board& board, const Published& published);

/// How far simulated and published figures lie apart, in the units of the calibration goals.
struct Score {
  double savings_mean = 0.0;  ///< points, over tight and relaxed
  double savings_max = 0.0;
  int savings_count = 0;
  int wrong_pairs = 0;  ///< pairs of networks in the wrong order where the published gap exceeds 3 points
  int pairs = 0;
  double table2_mean = 0.0;
  double table2_max = 0.0;
  int table2_levels = 0;  ///< largest distance of the best memory clock
  double table3_max = 0.0;
  bool table3_order = true;
  double table7 = 0.0;
  double cpu_effect = 0.0;    ///< simulated, points
  double figure2_mean = 0.0;  ///< per cent of relative energy
  double figure2_max = 0.0;
  int k_within_2 = 0;
  double k_worst = 1.0;  ///< largest factor
  int k_count = 0;
};
Score score(const Board& board, const Published& published, const std::vector<Figure>& figures);

}  // namespace polythrottle::simulation
