#pragma once
// The same arrivals under several policies and seeds, and the bound of what was possible.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "replay/replay.h"

namespace polythrottle::replay {

/// A way to serve: everything that may differ between two columns of the answer.
struct Contender {
  std::string name;    ///< "adaptive"
  std::string policy;  ///< see serving::find_policy
  std::string predictor = "physical";  ///< see interference::find_predictor
  std::vector<serving::Row> rows;
  std::size_t row = 0;
  std::function<std::unique_ptr<serving::RowChoice>()> row_choice;
  std::vector<serving::RowCost> costs;  ///< as ReplayOptions::costs
};

struct CompareOptions {
  ReplayOptions base;  ///< policy, predictor, rows, row, row_choice, seed and arrivals do not count
  std::vector<Contender> contenders;
  std::uint64_t first_seed = 0;
  std::size_t seeds = 1;  ///< one run of each contender for each of first_seed, first_seed + 1, ...
  std::function<Result<Arrivals>(std::uint64_t seed)> arrivals;
  /// Co-runs for the predictor of a contender; empty: none.
  std::function<Result<interference::Samples>(const Contender&)> samples;
};

/// Mean over seeds, with what is known of it.
struct Estimate {
  double mean = 0.0;
  std::size_t count = 0;             ///< runs that have the number
  double deviation = 0.0;            ///< standard deviation of one run; 0 for one
  std::optional<double> half_width;  ///< of the 95 % interval of the mean (Student); none for one run
};
Estimate estimate(std::span<const double> values);

struct ContenderRuns {
  Contender contender;
  std::vector<ReplayResult> runs;  ///< by seed; bulky parts only of the first
};

struct Comparison {
  std::vector<ContenderRuns> contenders;
  /// Of each run that has one, `time` over `bound`.
  static std::optional<double> ratio_to_bound(const ReplayResult& run);
};

/// Where and how far a comparison is: run `index` of `count`, and its time.
using CompareProgress = std::function<void(std::size_t index, std::size_t count, const Contender& contender, Seconds now)>;

/// Runs everything. With jobs each seed is replayed once more under `inference-only`, for as long as the longest of its jobs took, and
/// what that answered in time is what the bound (replay/bound.h) has to answer. Errors: those of `replay`, and of the two functions.
Result<Comparison> compare(const CompareOptions& options, const CompareProgress& progress = {});

/// Noise-free GPU-alone numbers of the bound at the fastest of these rows: for a job submitted among `requests`.
Result<Seconds> bound_of(const ReplayOptions& options, const FinetuneJob& job, std::span<const serving::Row> rows,
                         const std::vector<Outcome>& requests);

}  // namespace polythrottle::replay
