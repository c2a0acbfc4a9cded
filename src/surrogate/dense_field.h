#pragma once
// For tests: the belief that field.h documents, written down a second time with plain loops and LU, and data to try it on.

#include <Eigen/LU>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "surrogate/field.h"
#include "surrogate/normal_stream.h"

namespace polythrottle {

/// A made-up board with its priors.
struct FieldExample {
  explicit FieldExample(std::uint64_t seed = 1)
      : space(Space::product({levels("gpu", Role::kComputeClock, 6),
                              levels("mem", Role::kMemoryClock, 4),
                              {"batch", "", Role::kBatch, {1.0, 2.0, 4.0, 8.0}, ""},
                              {"mode", "", Role::kCategory, {"a", "b", "c"}, ""}})
                  .value()),
        knobs(space, space.config(0)),
        physics(physics_prior(knobs, {.members = 20, .components = 6, .seed = seed})) {}

  static Parameter levels(std::string name, Role role, int count) {
    Parameter out{std::move(name), "", role, {}, ""};
    for (int i = 1; i <= count; ++i) out.levels.emplace_back(static_cast<double>(i) / count);
    return out;
  }

  std::vector<const FieldPrior*> both() const { return {&physics.latency, &physics.energy}; }
  std::vector<const FieldPrior*> one() const { return {&physics.latency}; }

  /// `count` observations at rows that differ, of a machine that is not in the prior.
  std::vector<FieldObservation> observations(int count, int outputs, std::uint64_t seed = 1) const {
    NormalStream random(seed);
    std::vector<FieldObservation> out;
    for (int i = 0; i < count; ++i) {
      const auto row = static_cast<Eigen::Index>((37 * static_cast<std::uint64_t>(i) + 5 * seed) % space.size());
      for (int o = 0; o < outputs; ++o) {
        const FieldPrior& prior = *both()[static_cast<std::size_t>(o)];
        const double shape =
            0.7 * static_cast<double>(prior.basis(row, prior.basis.cols() - 1)) + 0.05 * std::sin(static_cast<double>(row));
        out.push_back({.row = row, .output = o, .value = static_cast<double>(prior.mean(row)) + shape + 0.1 + 0.01 * random.normal()});
      }
    }
    return out;
  }

  Space space;
  RelativeKnobs knobs;
  PhysicsPrior physics;
};

/// The documented formulas at given scales.
class DenseField {
 public:
  DenseField(std::vector<const FieldPrior*> priors, const RelativeKnobs& knobs, Field::ScaleValues scales)
      : priors_(std::move(priors)), knobs_(knobs), scales_(scales) {}

  /// Of the function at two places, noise excluded.
  double covariance(const FieldObservation& a, const FieldObservation& b) const {
    double distance2 = 0.0, shared = 0.0;
    for (Eigen::Index j = 0; j < knobs_.coordinates().cols(); ++j) {
      distance2 += std::pow(static_cast<double>(knobs_.coordinates()(a.row, j)) - static_cast<double>(knobs_.coordinates()(b.row, j)), 2);
    }
    for (Eigen::Index j = 0; j < prior(a).basis.cols(); ++j) {
      shared += static_cast<double>(prior(a).basis(a.row, j)) * static_cast<double>(prior(b).basis(b.row, j));
    }
    const double r = std::sqrt(5.0 * distance2) / scales_[FieldScales::kLength];
    const double matern = (1.0 + r + r * r / 3.0) * std::exp(-r);
    double residual2 = std::pow(scales_[FieldScales::kResidual], 2);
    if (a.output == 1 && b.output == 1) residual2 += std::pow(scales_[FieldScales::kSecondResidual], 2);
    const double smooth = std::pow(scales_[FieldScales::kTrust], 2) * shared + residual2 * matern;
    if (a.task != b.task) return smooth * scales_[FieldScales::kTransfer] / (1.0 + scales_[FieldScales::kTransfer]);
    if (a.output != b.output) return smooth;
    const double nugget = scales_[a.output == 0 ? FieldScales::kNugget : FieldScales::kSecondNugget];
    return smooth + kConstantVariance + (a.row == b.row ? nugget * nugget : 0.0);
  }

  double noise(const FieldObservation& o) const {
    const double fitted = scales_[o.output == 0 ? FieldScales::kNoise : FieldScales::kSecondNoise];
    return o.variance.value_or(fitted * fitted) + kRepeatVariance;
  }

  Eigen::MatrixXd covariance(const std::vector<FieldObservation>& data) const {
    const auto n = static_cast<Eigen::Index>(data.size());
    Eigen::MatrixXd out(n, n);
    for (Eigen::Index i = 0; i < n; ++i) {
      for (Eigen::Index j = 0; j < n; ++j) out(i, j) = covariance(at(data, i), at(data, j)) + (i == j ? noise(at(data, i)) : 0.0);
    }
    return out;
  }

  double log_likelihood(const std::vector<FieldObservation>& data) const {
    const Eigen::MatrixXd full = covariance(data);
    const Eigen::VectorXd off = target(data);
    const Eigen::FullPivLU<Eigen::MatrixXd> lu(full);
    return -0.5 *
           (off.dot(lu.solve(off)) + std::log(lu.determinant()) + static_cast<double>(off.size()) * std::log(2.0 * std::numbers::pi));
  }

  /// Joint belief at `places` (their values are not used) after `data`.
  Field::Joint condition(const std::vector<FieldObservation>& data, const std::vector<FieldObservation>& places) const {
    const auto n = static_cast<Eigen::Index>(data.size()), m = static_cast<Eigen::Index>(places.size());
    Eigen::MatrixXd cross(n, m), own(m, m);
    Eigen::VectorXd mean(m);
    for (Eigen::Index j = 0; j < m; ++j) {
      mean(j) = static_cast<double>(prior(at(places, j)).mean(at(places, j).row));
      for (Eigen::Index i = 0; i < n; ++i) cross(i, j) = covariance(at(data, i), at(places, j));
      for (Eigen::Index i = 0; i < m; ++i) own(i, j) = covariance(at(places, i), at(places, j));
    }
    if (n == 0) return {mean, own};
    const Eigen::MatrixXd solved = covariance(data).fullPivLu().solve(cross);
    return {mean + solved.transpose() * target(data), own - cross.transpose() * solved};
  }

  /// The constants of field.cc: variance of a study's constant, and of repeats at one setting (with the jitter).
  static constexpr double kConstantVariance = 0.25;
  static constexpr double kRepeatVariance = 0.002 * 0.002 + 1e-9;

 private:
  static const FieldObservation& at(const std::vector<FieldObservation>& data, Eigen::Index i) { return data[static_cast<std::size_t>(i)]; }
  const FieldPrior& prior(const FieldObservation& o) const { return *priors_[static_cast<std::size_t>(o.output)]; }
  Eigen::VectorXd target(const std::vector<FieldObservation>& data) const {
    Eigen::VectorXd out(static_cast<Eigen::Index>(data.size()));
    for (Eigen::Index i = 0; i < out.size(); ++i)
      out(i) = at(data, i).value - static_cast<double>(prior(at(data, i)).mean(at(data, i).row));
    return out;
  }

  std::vector<const FieldPrior*> priors_;
  const RelativeKnobs& knobs_;
  Field::ScaleValues scales_;
};

inline Posterior belief(const Field& field, int output, Eigen::Index rows) { return field.predict(rows)[static_cast<std::size_t>(output)]; }

/// Scales that no data can move.
inline FieldScales pinned(FieldScales scales = {}) {
  scales.spread.fill(1e-9);
  return scales;
}

}  // namespace polythrottle
