#pragma once
// What a simulated board does with a network when nothing is noisy: latencies, rates, rows, and its best configuration.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/simulation/physics.h"
#include "serving/state.h"
#include "space/config.h"

namespace polythrottle::replay {

/// Largest batch of the grid, as in arXiv 2310.19991.
inline constexpr int kLargestBatch = 16;

/// One network on one board. Not thread-safe: it keeps the plans it has made.
class Nominal {
 public:
  /// Errors: kNotFound, with the names.
  static Result<Nominal> make(const std::string& board, const std::string& network,
                              simulation::Precision precision = simulation::Precision::kFp16);

  const simulation::Board& board() const { return *board_; }
  const simulation::Network& network() const { return *network_; }

  /// Limits of a configuration; knobs that are not in it stay as the board boots them.
  simulation::Setting setting(const Config& config) const;
  /// Every clock limit as the board boots it, batch 1.
  Config reference() const;
  /// `config` with the reference's value for every knob that it does not name.
  Config complete(const Config& config) const;

  /// One batch in closed loop, where governor and temperature come to rest.
  simulation::Steady steady(const Config& config, int batch) const;
  /// Latency of batches of 1, 2, ... `largest`, with the GPU at its ceiling: no batch is faster at this configuration.
  std::vector<Seconds> fastest_batches(const Config& config, int largest) const;

  struct Rate {
    double per_second = 0.0;
    int batch = 1;
    Config config;
  };
  /// Most requests a second in closed loop, over batches up to `config`'s own that take no longer than `slo`; nullopt if none does.
  std::optional<Rate> highest_rate(const Config& config, Seconds slo) const;
  /// The same over every batch up to kLargestBatch at the board's highest clocks.
  std::optional<Rate> highest_rate(Seconds slo) const;

  /// The configuration as serving sees it; clocks over those of the reference.
  serving::Row row(const Config& config) const;

  struct Tuned {
    Config config;
    Joules energy;  ///< per inference
    Seconds latency{0};
    std::size_t settings = 0;  ///< in the grid
  };
  /// Least energy per inference in closed loop over the whole grid of GPU floor and ceiling, memory clock and batch 1, 2, 4, 8, 16, CPU at
  /// its highest, among those within `slo` that can serve `rate`. Errors: kOutOfRange if there is none.
  Result<Tuned> tuned(Seconds slo, double rate) const;

 private:
  const simulation::Plan& plan(int batch) const;

  const simulation::Board* board_ = nullptr;
  const simulation::Network* network_ = nullptr;
  simulation::Precision precision_ = simulation::Precision::kFp16;
  mutable std::map<int, std::unique_ptr<simulation::Plan>> plans_;
};

}  // namespace polythrottle::replay
