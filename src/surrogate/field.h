#pragma once
// Gaussian belief about one quantity, or two that share their causes, at every row of a RelativeKnobs: prior + smooth residual + what no
// smooth model can know of a single setting.

#include <Eigen/Core>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "surrogate/physics_prior.h"
#include "surrogate/surrogate.h"

namespace polythrottle {

/// One measured number. Units are those of the priors (logarithms).
struct FieldObservation {
  Eigen::Index row = 0;
  int output = 0;                  ///< 0: first field, 1: second
  double value = 0.0;              ///< relative to the reference, up to a constant that the model finds itself
  std::optional<double> variance;  ///< of its error; absent: fitted
  bool censored = false;           ///< the truth is at least `value`
  int task = 0;                    ///< 0: this study; others: an earlier one, whose values have a constant of their own
};

/// Everything that is not known of the covariance, with its prior: log-normal, `median` and standard deviation of the logarithm.
struct FieldScales {
  enum Index { kResidual, kSecondResidual, kLength, kTrust, kNugget, kSecondNugget, kNoise, kSecondNoise, kTransfer, kCount };
  /// Standard deviation of the residual of both outputs together and of the second alone; its length in [0, 1] coordinates; factor on the
  /// prior's deviations; deviation of single settings from anything smooth; noise where an observation states none; odds of the correlation
  /// with earlier studies.
  std::array<double, kCount> median{0.055, 0.07, 0.5, 1.0, 0.007, 0.015, 0.01, 0.02, 2.0};
  std::array<double, kCount> spread{0.7, 0.7, 0.4, 0.4, 0.4, 0.4, 0.3, 0.4, 1.5};
};

/// Covariance of f_o(x) and f_p(y), o and p the outputs, k Matern-5/2 of the distance of coordinates / length:
///   [o == p] c + trust^2 basis_o(x) . basis_p(y) + (residual^2 + [o == p == 1] second_residual^2) k + [x == y, o == p] nugget_o^2
/// times the correlation where one of them is of an earlier study (whose constants c and nuggets are its own). The scales are the most
/// probable ones (MAP) by a coordinate search from their medians, so that the order of the observations does not matter.
class Field {
 public:
  /// `priors`: one or two, of the rows of `knobs`; they and `knobs` must outlive the field. Censored observations enter by expectation
  /// propagation (Minka 2001) with a probit likelihood. Cost: about 60 times O(n^3).
  /// Errors: kInvalid for an observation outside, not finite, or with a negative variance.
  static Result<Field> fit(std::vector<const FieldPrior*> priors, const RelativeKnobs& knobs, std::vector<FieldObservation> observations,
                           const FieldScales& scales = {});

  /// Belief about every output at rows [0, rows), noise excluded. Cost: O(n^2 rows) in single precision over two threads; rows that were
  /// observed are done in double precision. The result does not depend on the threads.
  std::vector<Posterior> predict(Eigen::Index rows) const;
  /// Joint belief about both outputs (or the one) at a few rows: mean (outputs * m) and covariance, output 0 first. Double precision.
  struct Joint {
    Eigen::VectorXd mean;
    Eigen::MatrixXd covariance;
  };
  Joint joint(std::span<const Eigen::Index> rows) const;

  /// How far each observation is from what the others say of it, in standard deviations of that forecast; of a
  /// censored one, its bound.
  const Eigen::VectorXd& surprises() const { return surprises_; }
  /// The same before the scales were fitted: an outlier that widened them is no surprise afterwards.
  const Eigen::VectorXd& first_surprises() const { return first_surprises_; }
  /// ln p(observations | scales) + ln p(scales) at the scales found.
  double log_posterior() const { return log_posterior_; }
  double scale(FieldScales::Index which) const { return scales_[which]; }
  const std::array<double, FieldScales::kCount>& scales() const { return scales_; }
  const std::vector<FieldObservation>& observations() const { return observations_; }

  using ScaleValues = std::array<double, FieldScales::kCount>;
  /// ln p(values | scales) for uncensored observations; minus infinity where the covariance cannot be factored.
  static double log_likelihood(std::vector<const FieldPrior*> priors, const RelativeKnobs& knobs,
                               const std::vector<FieldObservation>& observations, const ScaleValues& scales);

 private:
  Field() = default;
  struct Geometry;

  void condition(const Geometry& geometry);
  double correlation(int task_a, int task_b) const;
  double covariance(int output_a, Eigen::Index a, int task_a, int output_b, Eigen::Index b, int task_b) const;
  void predict_block(Eigen::Index begin, Eigen::Index end, std::vector<Posterior>& out) const;

  std::vector<const FieldPrior*> priors_;
  const RelativeKnobs* knobs_ = nullptr;
  std::vector<FieldObservation> observations_;
  std::vector<Eigen::Index> places_;  // rows observed, each once
  std::vector<Eigen::Index> place_;   // of each observation, which of them
  ScaleValues scales_{};
  double log_posterior_ = 0.0;
  Eigen::MatrixXd lower_;  // Cholesky factor of the covariance of the observations, noise included
  Eigen::VectorXd white_;  // lower^-1 (values - prior mean)
  Eigen::VectorXd surprises_, first_surprises_;
  std::vector<double> noise_;   // variance of each observation as used (censored: of its site)
  std::vector<double> target_;  // value (censored: of its site) minus prior mean
};

}  // namespace polythrottle
