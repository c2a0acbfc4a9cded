#pragma once
// What is believed of a space before anything of this study is measured: physics, and earlier studies.

#include <map>
#include <string>
#include <vector>

#include "optimizer/evidence.h"

namespace polythrottle {

/// Everything that depends on the problem's space, reference, seed and earlier studies, and not on what was measured. Not copied: fields
/// point into it.
class SpacePrior {
 public:
  explicit SpacePrior(const Problem& problem);
  SpacePrior(const SpacePrior&) = delete;
  SpacePrior& operator=(const SpacePrior&) = delete;

  /// A number that tells problems with another prior apart.
  static std::uint64_t fingerprint(const Problem& problem);

  /// Rows: the candidates, then settings of earlier studies.
  const RelativeKnobs& knobs() const { return knobs_; }
  /// Of the logarithm of a metric relative to the reference. Power and throughput follow from latency and energy; of others the simulations
  /// say nothing, and straight lines in the knobs remain.
  /// `negated`: of its negative. References stay valid while this object lives.
  const FieldPrior& of(const std::string& metric, bool negated = false);
  /// What earlier studies measured of a metric, each relative to its own reference, as tasks 1, 2, ...
  std::vector<FieldObservation> earlier_observations(const std::string& metric, int output) const;

 private:
  struct EarlierRow {
    Eigen::Index row = 0;
    const Trial* trial = nullptr;
    std::size_t study = 0;
  };

  void add_rows(std::size_t study);

  std::vector<EarlierStudy> earlier_;  // own copy: rows point into it
  std::vector<EarlierRow> earlier_rows_;
  RelativeKnobs knobs_;
  PhysicsPrior physics_;
  std::map<std::string, FieldPrior> derived_;  // made when first asked for
};

}  // namespace polythrottle
