#include "surrogate/field.h"

#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "surrogate/in_blocks.h"
#include "surrogate/kernel.h"

namespace polythrottle {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Scale = FieldScales::Index;

/// Of the constant between a study's values and the prior: the reference itself may have been measured badly.
constexpr double kConstantVariance = 0.25;
/// Two windows at the same setting differ by at least this much (ln), whatever either of them says of its own error.
constexpr double kRepeatDeviation = 0.002;
constexpr double kJitter = 1e-9;
/// Variance of a site that says nothing.
constexpr double kVague = 1e6;

double noise_of(const FieldObservation& o, const Field::ScaleValues& s) {
  const double fitted = s[o.output == 0 ? FieldScales::kNoise : FieldScales::kSecondNoise];
  return o.variance.value_or(fitted * fitted) + kRepeatDeviation * kRepeatDeviation + kJitter;
}

double square(double x) { return x * x; }

struct NormalMoments {
  double mean, variance;
};

/// Moments of N(m, v) x Phi((f - bound) / sigma), the belief after hearing "at least bound" (Rasmussen & Williams 2006, section 3.9).
NormalMoments at_least(double m, double v, double bound, double sigma2) {
  const double root = std::sqrt(v + sigma2), z = (m - bound) / root;
  // phi / Phi without underflow: beyond -30 the ratio is -z to rounding.
  const double ratio = z < -30.0 ? -z : std::exp(-0.5 * z * z) / (std::sqrt(2.0 * M_PI) * 0.5 * std::erfc(-z / std::sqrt(2.0)));
  return {m + v * ratio / root, v - v * v * ratio * (z + ratio) / (v + sigma2)};
}

}  // namespace

/// What does not change with the scales: computed once for a fit.
struct Field::Geometry {
  MatrixXd basis;     // products of prior bases of the observations
  MatrixXd distance;  // of coordinates of the places
  std::vector<Index> place;

  Geometry(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs, const std::vector<FieldObservation>& observations,
           const std::vector<Index>& places, std::vector<Index> place_of_each)
      : place(std::move(place_of_each)) {
    const auto n = static_cast<Index>(observations.size()), m = static_cast<Index>(places.size());
    basis.resize(n, n), distance.setZero(m, m);
    for (Index i = 0; i < n; ++i) {
      const auto& a = observations[static_cast<std::size_t>(i)];
      const Eigen::RowVectorXd own = priors[static_cast<std::size_t>(a.output)]->basis.row(a.row).cast<double>();
      for (Index j = 0; j <= i; ++j) {
        const auto& b = observations[static_cast<std::size_t>(j)];
        basis(i, j) = own.dot(priors[static_cast<std::size_t>(b.output)]->basis.row(b.row).cast<double>());
      }
    }
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < i; ++j) {
        const auto between =
            knobs.coordinates().row(places[static_cast<std::size_t>(i)]) - knobs.coordinates().row(places[static_cast<std::size_t>(j)]);
        distance(i, j) = distance(j, i) = between.cast<double>().norm();
      }
    }
  }

  /// Lower triangle of the covariance, noise included.
  MatrixXd covariance(const std::vector<FieldObservation>& observations, const std::vector<double>& noise, const ScaleValues& s) const {
    const Index n = basis.rows();
    Eigen::ArrayXXd k = (distance / s[FieldScales::kLength]).array().square();
    correlation_in_place(Kernel::kMatern52, k);
    const double trust2 = square(s[FieldScales::kTrust]), residual2 = square(s[FieldScales::kResidual]),
                 second2 = square(s[FieldScales::kSecondResidual]), odds = s[FieldScales::kTransfer], rho = odds / (1.0 + odds);
    MatrixXd out(n, n);
    for (Index i = 0; i < n; ++i) {
      const auto& a = observations[static_cast<std::size_t>(i)];
      for (Index j = 0; j <= i; ++j) {
        const auto& b = observations[static_cast<std::size_t>(j)];
        const double residual = residual2 + (a.output == 1 && b.output == 1 ? second2 : 0.0);
        double value = trust2 * basis(i, j) + residual * k(place[static_cast<std::size_t>(i)], place[static_cast<std::size_t>(j)]);
        if (a.task != b.task) {
          value *= rho;
        } else if (a.output == b.output) {
          value += kConstantVariance;
          if (a.row == b.row) value += square(s[a.output == 0 ? FieldScales::kNugget : FieldScales::kSecondNugget]);
        }
        out(i, j) = value;
      }
      out(i, i) += noise[static_cast<std::size_t>(i)];
    }
    return out;
  }
};

namespace {

/// The rows observed, each once and ascending, and which of them each observation is at.
std::pair<std::vector<Index>, std::vector<Index>> places_of(const std::vector<FieldObservation>& observations) {
  std::vector<Index> places, each;
  for (const auto& o : observations) places.push_back(o.row);
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  for (const auto& o : observations) each.push_back(std::lower_bound(places.begin(), places.end(), o.row) - places.begin());
  return {std::move(places), std::move(each)};
}

double log_density(const Eigen::LLT<MatrixXd>& factor, const VectorXd& target) {
  const VectorXd white = factor.matrixL().solve(target);
  return -0.5 * white.squaredNorm() - factor.matrixLLT().diagonal().array().log().sum() -
         0.5 * static_cast<double>(target.size()) * std::log(2.0 * M_PI);
}

Status check(std::span<const FieldObservation> observations, Index rows, std::size_t outputs) {
  for (const auto& o : observations) {
    const bool inside = o.row >= 0 && o.row < rows && o.output >= 0 && static_cast<std::size_t>(o.output) < outputs;
    if (!inside) return fail(Errc::kInvalid, fmt::format("observation of output {} at row {}: there is none", o.output, o.row));
    if (!std::isfinite(o.value) || (o.variance && !(*o.variance >= 0.0 && std::isfinite(*o.variance)))) {
      return fail(Errc::kInvalid, fmt::format("observation at row {} is not finite", o.row));
    }
  }
  return {};
}

/// Scales that these observations cannot tell anything about stay at their medians, which saves most of the search.
std::vector<int> searched_scales(std::span<const FieldObservation> observations) {
  const auto any = [&](auto test) { return std::any_of(observations.begin(), observations.end(), test); };
  std::vector<int> out{FieldScales::kResidual, FieldScales::kLength, FieldScales::kTrust, FieldScales::kNugget};
  if (any([](const auto& o) { return o.output == 1; })) out.insert(out.end(), {FieldScales::kSecondResidual, FieldScales::kSecondNugget});
  if (any([](const auto& o) { return o.output == 0 && !o.variance; })) out.push_back(FieldScales::kNoise);
  if (any([](const auto& o) { return o.output == 1 && !o.variance; })) out.push_back(FieldScales::kSecondNoise);
  if (any([](const auto& o) { return o.task != 0; })) out.push_back(FieldScales::kTransfer);
  return out;
}

}  // namespace

Result<Field> Field::fit(std::vector<const FieldPrior*> priors, const RelativeKnobs& knobs, std::vector<FieldObservation> observations,
                         const FieldScales& scales) {
  TRY_STATUS(check(observations, knobs.rows(), priors.size()));
  Field field;
  field.priors_ = std::move(priors);
  field.knobs_ = &knobs;
  // One order for all histories, so that sums are the same to the last bit.
  std::sort(observations.begin(), observations.end(), [](const FieldObservation& a, const FieldObservation& b) {
    return std::tuple(a.task, a.row, a.output, a.censored, a.value, a.variance) <
           std::tuple(b.task, b.row, b.output, b.censored, b.value, b.variance);
  });
  field.observations_ = std::move(observations);
  field.scales_ = scales.median;
  const auto& data = field.observations_;
  std::tie(field.places_, field.place_) = places_of(data);
  const Geometry geometry(field.priors_, knobs, data, field.places_, field.place_);
  for (const auto& o : data) {
    field.target_.push_back(o.value - static_cast<double>(field.priors_[static_cast<std::size_t>(o.output)]->mean(o.row)));
    field.noise_.push_back(o.censored ? kVague : noise_of(o, field.scales_));
  }
  field.condition(geometry);  // at the medians: the search knows the sites then
  field.first_surprises_ = field.surprises_;

  const auto score = [&](const ScaleValues& s) -> double {
    std::vector<double> noise = field.noise_;
    for (std::size_t i = 0; i < data.size(); ++i) {
      if (!data[i].censored) noise[i] = noise_of(data[i], s);
    }
    const Eigen::LLT<MatrixXd> factor(geometry.covariance(data, noise, s));
    if (factor.info() != Eigen::Success) return -std::numeric_limits<double>::infinity();
    double value = log_density(factor, Eigen::Map<const VectorXd>(field.target_.data(), static_cast<Index>(data.size())));
    for (std::size_t i = 0; i < s.size(); ++i) value -= 0.5 * square(std::log(s[i] / scales.median[i]) / scales.spread[i]);
    return value;
  };
  double best = score(field.scales_);
  if (data.size() > 1) {
    const std::vector<int> searched = searched_scales(data);
    ScaleValues step = scales.spread;
    for (double& s : step) s *= 0.7;
    for (int sweep = 0; sweep < 3; ++sweep) {
      for (const int i : searched) {
        const auto at = static_cast<std::size_t>(i);
        bool moved = false;
        for (const double sign : {1.0, -1.0}) {
          while (true) {
            ScaleValues next = field.scales_;
            next[at] *= std::exp(sign * step[at]);
            const double value = score(next);
            if (!(value > best + 1e-9)) break;
            best = value, field.scales_ = next, moved = true;
          }
          if (moved) break;
        }
        if (!moved) step[at] *= 0.5;
      }
    }
  }
  field.log_posterior_ = best;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (!data[i].censored) field.noise_[i] = noise_of(data[i], field.scales_);
  }
  field.condition(geometry);
  return field;
}

/// Factors the covariance at the current scales and, for censored observations, finds the sites that stand for them.
void Field::condition(const Geometry& geometry) {
  const auto n = static_cast<Index>(observations_.size());
  const bool censored = std::any_of(observations_.begin(), observations_.end(), [](const auto& o) { return o.censored; });
  VectorXd bound_surprises = VectorXd::Zero(n);
  for (int sweep = 0; censored && sweep < 3; ++sweep) {
    for (Index i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const FieldObservation& o = observations_[at];
      if (!o.censored) continue;
      noise_[at] = kVague;  // the cavity: what the others say
      const MatrixXd full = geometry.covariance(observations_, noise_, scales_).selfadjointView<Eigen::Lower>();
      const Eigen::LLT<MatrixXd> factor(full);
      VectorXd with = full.col(i);
      with(i) -= kVague;
      const VectorXd solved = factor.solve(with);
      const double mean = solved.dot(Eigen::Map<const VectorXd>(target_.data(), n));
      const double variance = std::max(full(i, i) - kVague - solved.dot(with), 1e-10);  // a small difference of large numbers
      const double prior = static_cast<double>(priors_[static_cast<std::size_t>(o.output)]->mean(o.row));
      const double error = o.variance.value_or(square(0.03)) + kJitter;
      const NormalMoments after = at_least(mean, variance, o.value - prior, error);
      bound_surprises(i) = (o.value - prior - mean) / std::sqrt(variance + error);
      const double precision = 1.0 / std::max(after.variance, 1e-12) - 1.0 / variance;
      if (precision > 1.0 / kVague) {
        noise_[at] = 1.0 / precision;
        target_[at] = noise_[at] * (after.mean / after.variance - mean / variance);
      } else {
        target_[at] = mean;
      }
    }
  }
  MatrixXd full = geometry.covariance(observations_, noise_, scales_);
  Eigen::LLT<MatrixXd> factor(full);
  for (double jitter = 1e-8; factor.info() != Eigen::Success && jitter < 1e3; jitter *= 10.0) {
    full.diagonal().array() += jitter;
    factor.compute(full);
  }
  lower_ = factor.matrixL();
  const Eigen::Map<const VectorXd> target(target_.data(), n);
  white_ = lower_.triangularView<Eigen::Lower>().solve(target);
  const MatrixXd inverse = factor.solve(MatrixXd::Identity(n, n));
  const VectorXd alpha = factor.solve(target);
  surprises_ = alpha.array() / inverse.diagonal().array().sqrt();
  for (Index i = 0; i < n; ++i) {
    if (observations_[static_cast<std::size_t>(i)].censored) surprises_(i) = bound_surprises(i);
  }
}

double Field::log_likelihood(std::vector<const FieldPrior*> priors, const RelativeKnobs& knobs,
                             const std::vector<FieldObservation>& observations, const ScaleValues& scales) {
  const auto [places, each] = places_of(observations);
  const Geometry geometry(priors, knobs, observations, places, each);
  std::vector<double> noise;
  VectorXd target(static_cast<Index>(observations.size()));
  for (const auto& o : observations) {
    target(static_cast<Index>(noise.size())) = o.value - static_cast<double>(priors[static_cast<std::size_t>(o.output)]->mean(o.row));
    noise.push_back(noise_of(o, scales));
  }
  const Eigen::LLT<MatrixXd> factor(geometry.covariance(observations, noise, scales));
  return factor.info() == Eigen::Success ? log_density(factor, target) : -std::numeric_limits<double>::infinity();
}

double Field::correlation(int task_a, int task_b) const {
  const double odds = scales_[FieldScales::kTransfer];
  return task_a == task_b ? 1.0 : odds / (1.0 + odds);
}

double Field::covariance(int output_a, Index a, int task_a, int output_b, Index b, int task_b) const {
  const auto& basis_a = priors_[static_cast<std::size_t>(output_a)]->basis;
  const auto& basis_b = priors_[static_cast<std::size_t>(output_b)]->basis;
  Eigen::ArrayXXd k(1, 1);
  k(0, 0) =
      (knobs_->coordinates().row(a) - knobs_->coordinates().row(b)).cast<double>().squaredNorm() / square(scales_[FieldScales::kLength]);
  correlation_in_place(Kernel::kMatern52, k);
  const double residual =
      square(scales_[FieldScales::kResidual]) + (output_a == 1 && output_b == 1 ? square(scales_[FieldScales::kSecondResidual]) : 0.0);
  double value =
      square(scales_[FieldScales::kTrust]) * basis_a.row(a).cast<double>().dot(basis_b.row(b).cast<double>()) + residual * k(0, 0);
  value *= correlation(task_a, task_b);
  if (task_a == task_b && output_a == output_b) {
    value += kConstantVariance;
    if (a == b) value += square(scales_[output_a == 0 ? FieldScales::kNugget : FieldScales::kSecondNugget]);
  }
  return value;
}

Field::Joint Field::joint(std::span<const Index> rows) const {
  const auto m = static_cast<Index>(rows.size()), outputs = static_cast<Index>(priors_.size());
  const auto n = static_cast<Index>(observations_.size());
  Joint out{VectorXd(outputs * m), MatrixXd(outputs * m, outputs * m)};
  MatrixXd cross(n, outputs * m);
  for (Index i = 0; i < outputs * m; ++i) {
    const int output = static_cast<int>(i / m);
    const Index row = rows[static_cast<std::size_t>(i % m)];
    out.mean(i) = static_cast<double>(priors_[static_cast<std::size_t>(output)]->mean(row));
    for (Index j = 0; j < n; ++j) {
      const auto& o = observations_[static_cast<std::size_t>(j)];
      cross(j, i) = covariance(output, row, 0, o.output, o.row, o.task);
    }
    for (Index j = 0; j < outputs * m; ++j) {
      out.covariance(i, j) = covariance(output, row, 0, static_cast<int>(j / m), rows[static_cast<std::size_t>(j % m)], 0);
    }
  }
  const MatrixXd white = lower_.triangularView<Eigen::Lower>().solve(cross);
  out.mean += white.transpose() * white_;
  out.covariance -= white.transpose() * white;
  return out;
}

std::vector<Posterior> Field::predict(Index rows) const {
  std::vector<Posterior> out(priors_.size(), Posterior{VectorXd(rows), VectorXd(rows)});
  constexpr Index kBlock = 256;
  // A small space is done before another thread has begun.
  in_blocks(rows, kBlock, rows > 4 * kBlock ? 2 : 1, [&](Index begin, Index end) { predict_block(begin, end, out); });
  // Where something was measured the variance is a small difference of large numbers: single precision is not enough.
  for (const Index row : places_) {
    if (row >= rows) continue;
    const Joint exact = joint(std::span(&row, 1));
    for (std::size_t output = 0; output < out.size(); ++output) {
      const auto i = static_cast<Index>(output);
      out[output].mean(row) = exact.mean(i);
      out[output].variance(row) = std::max(exact.covariance(i, i), 0.0);
    }
  }
  return out;
}

void Field::predict_block(Index begin, Index end, std::vector<Posterior>& out) const {
  const auto f = [](double x) { return static_cast<float>(x); };
  const auto n = static_cast<Index>(observations_.size()), m = end - begin, places = static_cast<Index>(places_.size());
  const auto coordinates = knobs_->coordinates().middleRows(begin, m);
  RowMatrix observed(places, coordinates.cols());
  for (Index i = 0; i < places; ++i) observed.row(i) = knobs_->coordinates().row(places_[static_cast<std::size_t>(i)]);
  Eigen::ArrayXXf k = (-2.0F * (observed * coordinates.transpose())).array();
  k.colwise() += observed.rowwise().squaredNorm().array();
  k.rowwise() += coordinates.rowwise().squaredNorm().transpose().array();
  const float factor = f(5.0 / square(scales_[FieldScales::kLength]));
  k = (k.max(0.0F) * factor).sqrt().eval();
  k = ((1.0F + k + k * k * (1.0F / 3.0F)) * (-k).exp()).eval();

  const Eigen::MatrixXf lower = lower_.cast<float>();
  const Eigen::VectorXf white = white_.cast<float>();
  const float trust2 = f(square(scales_[FieldScales::kTrust]));
  const double both = square(scales_[FieldScales::kResidual]), second = square(scales_[FieldScales::kSecondResidual]);
  for (std::size_t output = 0; output < out.size(); ++output) {
    const FieldPrior& prior = *priors_[output];
    const auto basis = prior.basis.middleRows(begin, m);
    RowMatrix observed_basis(n, basis.cols());
    for (Index j = 0; j < n; ++j) {
      const auto& o = observations_[static_cast<std::size_t>(j)];
      observed_basis.row(j) = trust2 * priors_[static_cast<std::size_t>(o.output)]->basis.row(o.row);
    }
    Eigen::MatrixXf cross(n, m);
    cross.noalias() = observed_basis * basis.transpose();
    for (Index j = 0; j < n; ++j) {
      const auto& o = observations_[static_cast<std::size_t>(j)];
      cross.row(j).array() += f(both + (output == 1 && o.output == 1 ? second : 0.0)) * k.row(place_[static_cast<std::size_t>(j)]);
      if (o.task != 0) cross.row(j) *= f(correlation(0, o.task));
      if (o.task == 0 && static_cast<std::size_t>(o.output) == output) cross.row(j).array() += f(kConstantVariance);
    }
    lower.triangularView<Eigen::Lower>().solveInPlace(cross);
    out[output].mean.segment(begin, m) = (prior.mean.segment(begin, m) + cross.transpose() * white).cast<double>();
    const double own = kConstantVariance + both + (output == 1 ? second : 0.0) +
                       square(scales_[output == 0 ? FieldScales::kNugget : FieldScales::kSecondNugget]);
    const Eigen::ArrayXd before = own + static_cast<double>(trust2) * basis.rowwise().squaredNorm().cast<double>().array();
    out[output].variance.segment(begin, m) = (before - cross.colwise().squaredNorm().transpose().cast<double>().array()).max(0.0);
  }
}

}  // namespace polythrottle
