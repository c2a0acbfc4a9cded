#pragma once
// The finite list of allowed combinations. Never a product in disguise: ragged and coupled grids are the normal case.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "space/config.h"
#include "space/parameter.h"

namespace polythrottle {

/// Row of the candidate list.
using CandidateId = std::uint32_t;

/// Largest list; a larger space is thinned to it (see `Space::thinned`).
inline constexpr std::size_t kMaxCandidates = 100'000;
/// Most parameters of a space that is read back from a file.
inline constexpr std::size_t kMaxParameters = 64;

class Space {
 public:
  /// Says which combinations are allowed; absent means all.
  using Coupling = std::function<bool(const Config&)>;

  /// All combinations of the parameters' levels for which `allowed` holds, first parameter slowest.
  /// Above kMaxCandidates allowed combinations, levels of the parameter with the most are dropped, every second one, keeping both ends and
  /// the level in `keep`, until they fit; `thinned()` then says so. Errors: kInvalid if a parameter has no level, repeats one, or two share
  /// a name; kOutOfRange if nothing is allowed.
  static Result<Space> product(std::vector<Parameter> parameters, const Coupling& allowed = {}, const Config& keep = {});

  /// Exactly these configurations, in this order (a recorded table). Each must name every parameter with one of its levels.
  /// Errors: kInvalid for a repeated row, an unknown name or a value that is no level; kOutOfRange if empty or above kMaxCandidates.
  static Result<Space> list(std::vector<Parameter> parameters, std::span<const Config> rows);

  /// What `ranges` wrote, read back: the same candidates under the same ids. The text may come from anywhere: nothing larger than
  /// kMaxCandidates rows is ever made of it. Errors: kCorrupt, naming what is wrong.
  static Result<Space> from_ranges(std::vector<Parameter> parameters, std::string_view ranges);

  std::size_t size() const { return parameters_.empty() ? 1 : levels_.size() / parameters_.size(); }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Level index of each parameter at candidate `id` (< size()).
  std::span<const std::uint16_t> levels(CandidateId id) const;
  Config config(CandidateId id) const;
  /// Which combinations of the parameters' levels are allowed: their numbers in the complete product (first parameter slowest), in the
  /// order of the candidates, as runs: "0-51,60-77"; "all" for the complete product in its order. Empty where the product has more than
  /// 2^63.
  std::string ranges() const;
  /// The candidate with these values (other names are ignored), or nullopt. Takes log2(size()) comparisons.
  std::optional<CandidateId> find(const Config& config) const;
  /// What thinning dropped, for people; empty if nothing.
  const std::string& thinned() const { return thinned_; }

 private:
  /// Makes `find` ready. Answers a candidate that stands twice, if there is one.
  std::optional<CandidateId> sort_rows();

  std::vector<Parameter> parameters_;
  std::vector<std::uint16_t> levels_;  // size() rows of parameters_.size() level indices
  std::vector<CandidateId> sorted_;    // the candidates in ascending order of their rows, for `find`
  std::string thinned_;
};

/// How a level becomes a coordinate in [0, 1].
enum class Encoding {
  kIndex,  ///< level number / (levels - 1)
  kValue,  ///< linear in the physical value
  kLog,    ///< linear in its logarithm; falls back to kValue where a level is not positive
};

/// Image of the candidate list in [0, 1]^d, row-major, size() x encoded_dimension(space). A category becomes one 0/1 column per level; a
/// parameter with a single level becomes one column of zeros.
std::vector<double> encode(const Space& space, Encoding encoding);
std::size_t encoded_dimension(const Space& space);

}  // namespace polythrottle
