#pragma once
// Settings as factors of something every machine has: its highest clock, its smallest batch, its reference. What a prior made for no
// machine in particular can work with, and what makes studies of different machines comparable.

#include <Eigen/Core>
#include <span>
#include <string>
#include <vector>

#include "space/space.h"

namespace polythrottle {

/// Rows are settings: first every candidate of a space, then those added.
class RelativeKnobs {
 public:
  struct Knob {
    std::string name;
    Role role = Role::kOther;
    std::vector<Value> levels;
    std::vector<double> coordinates;  ///< of each level, in [0, 1]: mean of its index and its value (batch: its logarithm)
    double anchor = 1.0;              ///< what values are divided by; unused for labels
    bool numeric = false;             ///< all levels positive numbers: a logarithm exists
  };

  /// `reference` need not be a candidate; knobs that it does not name are at their last level.
  RelativeKnobs(const Space& space, const Config& reference);

  /// Adds a setting of another space, each knob relative to that space's own range and matched by name, else by role where only one knob
  /// on both sides has it. Knobs that only one side has are at their reference. False, and nothing added, where the setting cannot be
  /// expressed: a label unknown here, or a knob off its reference that this space does not have.
  bool add(std::span<const Parameter> parameters, const Config& reference, const Config& config);

  Eigen::Index rows() const { return coordinates_.rows(); }
  const std::vector<Knob>& knobs() const { return knobs_; }
  /// For each knob ln(value / anchor) where it is numeric; else the level's coordinate (ordered) or number (category).
  std::span<const float> logs(Eigen::Index row) const {
    return std::span(logs_).subspan(static_cast<std::size_t>(row) * knobs_.size(), knobs_.size());
  }
  /// The same of the reference setting.
  std::span<const float> reference_logs() const { return reference_logs_; }
  /// (rows, coordinate_count()): in [0, 1] for each ordered knob with two levels or more, 0 or 0.6 for each label of a category.
  const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>& coordinates() const { return coordinates_; }

 private:
  void append(std::span<const float> logs, std::span<const float> coordinates);
  float coordinate_at(const Knob& knob, float log) const;

  std::vector<Knob> knobs_;
  std::vector<float> logs_;  // rows x knobs
  std::vector<float> reference_logs_;
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> coordinates_;
};

}  // namespace polythrottle
