#pragma once
// The figures of one search, and their means over searches, workloads, limits and families.

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "bench/search.h"

namespace polythrottle::bench {

/// Numbers of trials count the reference as the first. "Never" counts as one more than the cap.
enum class Figure : std::size_t {
  kTrialsTo5,  ///< until the setting recommended meets the limit and is within 5 % of the least energy
  kNeverTo5,   ///< 1 if that did not happen within the cap
  kTrialsTo1,  ///< the same with 1 %
  kNeverTo1,
  kViolationsTo5,     ///< trials truly over limit and tolerance, up to that within 5 %
  kExcessTo5,         ///< sum of true latency / limit over them
  kViolationsToStop,  ///< the same up to the method's own stop; up to 5 % where it has none
  kExcessToStop,
  kFarOver,  ///< 1 if any of those trials was above 1.5 x the limit
  kRegret5,  ///< regret (see Step) after 5 trials, or the last one there was
  kRegret8,
  kRegret10,
  kRegret15,
  kRegret25,
  kStopTrials,        ///< explored until the method's own stop; NaN where it has none, as the next three
  kStopMeasurements,  ///< the same, second looks included
  kStopMissed,        ///< 1 if what it then recommends is missing, over the limit or not within 5 %
  kStopRegret,
  kSuggestionMilliseconds,  ///< mean
  kCount,
};
inline constexpr std::size_t kFigures = static_cast<std::size_t>(Figure::kCount);
using Figures = std::array<double, kFigures>;

inline double at(const Figures& figures, Figure figure) { return figures[static_cast<std::size_t>(figure)]; }

/// `to_cap`: the search that never stops by itself; `own`: the one that may, where the method can.
Figures figures_of(const SearchRecord& to_cap, const std::optional<SearchRecord>& own, std::size_t cap);
double largest_suggestion_milliseconds(const SearchRecord& record);

struct MeanAndError {
  double mean = 0.0;
  double std_error = 0.0;
};

/// Figures of one method, averaged over whatever is not seed or ensemble.
class Group {
 public:
  /// One problem: `searches` in the order ensemble by ensemble, each with every seed.
  Group(std::vector<Figures> searches, std::size_t ensembles, double largest_suggestion_milliseconds);
  /// The mean of groups with the same seeds and ensembles; p90 is theirs in the mean. At least one.
  static Group mean_of(std::span<const Group> groups);
  /// As mean_of, but p90 is that of all searches together.
  static Group together(std::span<const Group> groups);

  /// The error is that of seeds and ensembles drawn at random: variance over seeds of the mean over ensembles / seeds, plus, with several
  /// ensembles, variance over ensembles of the mean over seeds / ensembles. What the two share counts twice, so it errs on the large side.
  MeanAndError operator[](Figure figure) const;
  /// Mean of latency / limit over violating trials; nullopt where there is none.
  std::optional<double> violation_size(Figure excess, Figure violations) const;
  double p90_trials_to_5() const { return p90_; }
  double largest_suggestion_milliseconds() const { return largest_suggestion_; }

 private:
  std::vector<Figures> searches_;
  std::vector<double> trials_to_5_;  // every single search's, for the quantile
  std::size_t ensembles_;
  double p90_ = 0.0;
  double largest_suggestion_ = 0.0;
};

}  // namespace polythrottle::bench
