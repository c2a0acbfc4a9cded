#pragma once
// What every optimizer asks of a candidate list: which rows have taught something, and a seeded order to draw from.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "space/space.h"
#include "trial/trial.h"

namespace polythrottle {

/// 0 .. count-1 in an order that depends on count and seed only, on every machine and library. count >= 0.
/// std::shuffle is no help: the standard leaves open how it draws; the engine itself is prescribed exactly.
inline std::vector<CandidateId> seeded_permutation(std::size_t count, std::uint64_t seed) {
  std::vector<CandidateId> order(count);
  std::iota(order.begin(), order.end(), CandidateId{0});
  std::mt19937_64 engine(seed);
  for (std::uint64_t left = count; left > 1; --left) {
    // Draws above the largest multiple of `left` are thrown away, so that every remainder is equally likely.
    const std::uint64_t excess = (std::numeric_limits<std::uint64_t>::max() % left + 1) % left;
    std::uint64_t draw = engine();
    while (draw > std::numeric_limits<std::uint64_t>::max() - excess) draw = engine();
    std::swap(order[left - 1], order[draw % left]);
  }
  return order;
}

/// Where a trial was really made: what the machine reported, laid over what was asked, if that is a candidate; else what was asked.
/// nullopt: outside the space, as the setting found may be.
inline std::optional<CandidateId> place_of(const Space& space, const Trial& trial) {
  if (!trial.outcome.got.empty()) {
    Config real = trial.asked;
    for (const auto& [name, value] : trial.outcome.got.entries()) real.set(name, value);
    if (!(real == trial.asked)) {
      if (const auto id = space.find(real)) return id;
    }
  }
  return space.find(trial.asked);
}

/// One flag for each candidate: nothing has been learnt there. Both the setting asked and the one it became count as learnt.
/// `taught` is teaching(history).
inline std::vector<bool> open_candidates(const Space& space, std::span<const Trial> taught) {
  std::vector<bool> open(space.size(), true);
  for (const Trial& trial : taught) {
    if (const auto id = space.find(trial.asked)) open[*id] = false;
    if (const auto id = place_of(space, trial)) open[*id] = false;
  }
  return open;
}

inline Advice space_exhausted() { return {.kind = Advice::Kind::kStop, .config = {}, .reason = "space exhausted", .expected_gain = {}}; }

}  // namespace polythrottle
