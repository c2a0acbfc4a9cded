#include "interference/time_model.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "interference/nnls.h"

namespace polythrottle::interference {
namespace {

constexpr double kDegrees = 4.0;  ///< of Student's t, as Prediction::upper has it
/// Scale of the scatter before data: published coefficients of variation of batch latencies on Jetsons, median 1.3 % and 95th percentile
/// 7.5 % of the settings (docs/simulation.md, "Noise seen elsewhere"), together have this scale of t; it counts as so many observations.
constexpr double kScatter = 0.022, kScatterCount = 12.0;
/// Part of a residual's variance that is the formula's own error, the same however often a situation is seen again.
constexpr double kFormula = 0.3;
constexpr double kMemory = 32.0;  ///< observations that a situation's mean remembers
/// Share of each term in the time of one item at the reference, and how little that is known.
constexpr std::array<double, kTerms> kShare = {0.12, 0.01, 0.15, 0.08, 0.25, 0.12, 0.2, 0.07};
constexpr std::array<double, kTerms> kShareSd = {0.25, 0.03, 0.3, 0.2, 0.4, 0.25, 0.4, 0.2};
constexpr std::array<double, kWaits> kWaitSd = {0.2, 0.2};
constexpr std::array<double, kRests> kRestSd = {5.0, 2.0};
/// Of the slowdown that all terms share, and of single terms around it.
constexpr double kSlowdown = 2.0, kSlowdownSd = 0.5, kSlowdownTermSd = 0.25;
/// How far the world wanders from one observation to the next: together, and apart.
constexpr double kDrift = 0.002, kDriftApart = 0.001;
constexpr double kScatterMemory = 100.0;  ///< observations
constexpr int kSurprises = 5;
constexpr double kSurprise = 2.0;  ///< standard deviations

/// Which scatter a situation has: 1 alone after a rest that a governor has followed.
std::size_t regime(const Work& work) { return work.beside <= 0.0 && work.rests.maxCoeff() > 0.3 ? 1 : 0; }

double weight_of(double residual, double variance) { return (kDegrees + 1.0) / (kDegrees + residual * residual / variance); }

}  // namespace

double TimeModel::scatter() const { return std::sqrt(variance_[0] * kDegrees / (kDegrees - 2.0)); }

TimeModel::Mean TimeModel::mean(const Work& work) const {
  const double alone = this->alone(work);
  Mean out;
  double beside = 0.0, seconds = alone, share = 0.0;
  if (work.beside > 0.0) {
    beside = unknowns_.segment<kTerms>(kTerms).dot(work.terms) + unknowns_.segment<kWaits>(2 * kTerms).dot(work.waits);
    seconds = 1.0 / ((1.0 - work.beside) / alone + work.beside / beside);
    share = work.beside * seconds / beside;
  }
  out.seconds = seconds;
  out.share = share;
  out.slope.head<kTerms>() = (1.0 - share) * work.terms;
  out.slope.segment<kTerms>(kTerms) = share * work.terms;
  out.slope.segment<kWaits>(2 * kTerms) = share * work.waits;
  out.slope.tail<kRests>() = (1.0 - share) * work.rests;
  return out;
}

Prediction TimeModel::predict(const Work& work) const {
  if (empty()) return {};
  const Mean at = mean(work);
  const double a = 1.0 - at.share, b = at.share;
  const Vector relative = at.slope * (scale_ / at.seconds);
  double variance = relative.dot(covariance_ * relative);
  variance += a * a * level_covariance_[0] + 2.0 * a * b * level_covariance_[1] + b * b * level_covariance_[2];
  const double seconds = at.seconds * std::exp(a * level_[0] + b * level_[1]);
  return {Seconds(seconds), std::sqrt((variance + variance_[regime(work)]) * kDegrees / (kDegrees - 2.0))};
}

// --- Learning ------------------------------------------------------------------------------------------------------------------

TimeModel::Cell& TimeModel::cell(const Work& work) {
  const auto part = [](double share) { return std::ceil(3.999 * share); };
  for (Cell& known : cells_) {
    if (known.work.key == work.key && part(known.work.beside) == part(work.beside)) return known;
  }
  if (cells_.size() < kCells) return cells_.emplace_back();
  Cell& oldest = *std::min_element(cells_.begin(), cells_.end(), [](const Cell& x, const Cell& y) { return x.last < y.last; });
  oldest = Cell();
  return oldest;
}

void TimeModel::fit(std::span<const Observation> observations) {
  *this = TimeModel();
  variance_[0] = variance_[1] = kScatter * kScatter;
  // Every observation counts by itself here, so that their scatter can be told from the formula's error.
  for (const Observation& seen : observations) {
    if (cells_.size() == kCells) break;
    cells_.push_back({seen.work, std::log(seen.seconds), 1.0, ++tick_});
    if (seen.work.beside > 0.25) ++beside_seen_;
  }
  if (!cells_.empty()) refit(8);
  scatter_seen_[0] = scatter_seen_[1] = kScatterCount;
  for (const Cell& seen : cells_) scatter_seen_[regime(seen.work)] += 1.0;
}

void TimeModel::start_levels() {
  level_[0] = level_[1] = 0.0;
  level_covariance_[0] = level_covariance_[1] = level_covariance_[2] = 0.0;
}

void TimeModel::solve(double scale) {
  const auto n = static_cast<Eigen::Index>(cells_.size());
  Eigen::MatrixXd rows = Eigen::MatrixXd::Zero(n + kUnknowns, kUnknowns);
  Eigen::VectorXd right = Eigen::VectorXd::Zero(n + kUnknowns);
  for (Eigen::Index i = 0; i < n; ++i) {
    const Cell& seen = cells_[static_cast<std::size_t>(i)];
    const Mean at = mean(seen.work);
    const double residual = seen.log_seconds - std::log(at.seconds);
    const double spread = kFormula + (1.0 - kFormula) / seen.count;
    const double own = variance_[regime(seen.work)];
    const double weight = std::sqrt(weight_of(residual, own * spread) / (own * spread));
    rows.row(i) = at.slope.transpose() * (weight * scale / at.seconds);
    // In logarithms, linear around the time as it is now estimated.
    right(i) = weight * (1.0 + residual);
  }
  for (int j = 0; j < kTerms; ++j) {
    const auto k = static_cast<std::size_t>(j);
    rows(n + j, j) = 1.0 / kShareSd[k];
    right(n + j) = kShare[k] / kShareSd[k];
    const double apart = 1.0 / (kSlowdownTermSd * (kShare[k] + 0.5 * kShareSd[k]));
    rows(n + kTerms + j, kTerms + j) = apart;
    rows(n + kTerms + j, j) = -slowdown_ * apart;
  }
  for (int j = 0; j < kWaits; ++j) rows(n + 2 * kTerms + j, 2 * kTerms + j) = 1.0 / kWaitSd[static_cast<std::size_t>(j)];
  for (int j = 0; j < kRests; ++j) {
    const int place = 2 * kTerms + kWaits + j;
    rows(n + place, place) = 1.0 / kRestSd[static_cast<std::size_t>(j)];
  }
  const auto solved = nonnegative_least_squares(rows, right);
  if (!solved) return;  // numbers beyond all measure: what was known stays
  unknowns_ = solved->x * scale;
  scale_ = scale;
  const Matrix precision = rows.transpose() * rows;
  covariance_ = precision.ldlt().solve(Matrix::Identity());
}

void TimeModel::refit(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    if (scale_ <= 0.0) {
      // A first guess: time in proportion to the shares, and its median for the scale.
      for (int j = 0; j < kTerms; ++j) {
        unknowns_(j) = kShare[static_cast<std::size_t>(j)];
        unknowns_(kTerms + j) = kSlowdown * unknowns_(j);
      }
      std::vector<double> ratios;
      for (const Cell& seen : cells_) ratios.push_back(std::exp(seen.log_seconds) / mean(seen.work).seconds);
      std::nth_element(ratios.begin(), ratios.begin() + static_cast<long>(ratios.size() / 2), ratios.end());
      scale_ = ratios[ratios.size() / 2];
      unknowns_ *= scale_;
      // Wide at first, so that nothing is thrown out for being far from a guess.
      variance_[0] = variance_[1] = 0.1;
    }
    solve(scale_);
    // The shared slowdown, with its prior, from times beside; then the scatter, with its own.
    const double apart = kSlowdownTermSd * kSlowdownTermSd / kTerms;
    double precision = 1.0 / (kSlowdownSd * kSlowdownSd), sum = kSlowdown * precision;
    double squares[2] = {kScatter * kScatter * kScatterCount, kScatter * kScatter * kScatterCount};
    double count[2] = {kScatterCount, kScatterCount};
    for (const Cell& seen : cells_) {
      const Mean at = mean(seen.work);
      const double residual = seen.log_seconds - std::log(at.seconds);
      const std::size_t which = regime(seen.work);
      squares[which] += weight_of(residual, variance_[which]) * residual * residual;
      count[which] += 1.0;
      if (at.share <= 0.25) continue;
      const double alone = this->alone(seen.work);
      const double ratio = (std::exp(seen.log_seconds) - (1.0 - at.share) * alone) / (at.share * alone);
      if (!(ratio > 0.0)) continue;
      const double trust = 1.0 / (apart + variance_[0] * ratio * ratio);
      precision += trust;
      sum += trust * ratio;
    }
    slowdown_ = std::clamp(sum / precision, 0.5, 20.0);
    // Fitted unknowns take up part of the scatter: about half of them are spoken for by their prior.
    for (const std::size_t which : {0, 1}) {
      const double free = std::max(0.5 * count[which], count[which] - 0.25 * kUnknowns);
      if (round > 0 || rounds == 1) variance_[which] = std::max(1e-6, squares[which] / free);
    }
  }
}

void TimeModel::learn(const Observation& observation) {
  if (empty()) {
    fit({&observation, 1});
    return;
  }
  const Work& work = observation.work;
  const Mean at = mean(work);
  const double a = 1.0 - at.share, b = at.share;
  const double log_seconds = std::log(observation.seconds);
  double(&p)[3] = level_covariance_;
  double& own = variance_[regime(work)];
  p[0] += kDrift * kDrift + kDriftApart * kDriftApart;
  p[1] += kDrift * kDrift;
  p[2] += kDrift * kDrift + kDriftApart * kDriftApart;
  const double innovation = log_seconds - std::log(at.seconds) - a * level_[0] - b * level_[1];

  // Five surprises in a row on the same side are no accident: the world has changed, and the levels are free to follow.
  const double expected = own * kDegrees / (kDegrees - 2.0) + a * a * p[0] + 2.0 * a * b * p[1] + b * b * p[2];
  if (innovation * innovation > kSurprise * kSurprise * expected) {
    const int side = innovation > 0.0 ? 1 : -1;
    if (surprises_ * side < 0) surprises_ = 0, surprise_ = 0.0;
    surprises_ += side;
    surprise_ += innovation;
    if (std::abs(surprises_) >= kSurprises) {
      const double size = surprise_ / kSurprises;
      p[0] += size * size;
      p[1] += 0.8 * size * size;
      p[2] += size * size;
      surprises_ = 0;
      surprise_ = 0.0;
    }
  } else {
    surprises_ = 0;
    surprise_ = 0.0;
  }

  const double by_levels = a * a * p[0] + 2.0 * a * b * p[1] + b * b * p[2];
  const double weight = weight_of(innovation, own + by_levels);
  const double total = by_levels + own / weight;
  const double gain_a = (a * p[0] + b * p[1]) / total, gain_b = (a * p[1] + b * p[2]) / total;
  level_[0] += gain_a * innovation;
  level_[1] += gain_b * innovation;
  const double pa = a * p[0] + b * p[1], pb = a * p[1] + b * p[2];
  p[0] -= gain_a * pa;
  p[1] -= gain_a * pb;
  p[2] -= gain_b * pb;
  // The part of the surprise that the levels do not explain teaches the scatter: as one more of what was seen, and of the last hundred.
  double& seen_so_far = scatter_seen_[regime(work)];
  seen_so_far = std::min(kScatterMemory, seen_so_far + 1.0);
  const double explained = weight * innovation * innovation - by_levels;
  own = std::max(1e-6, own + (std::clamp(explained, 0.0, 25.0 * own) - own) / seen_so_far);

  Cell& seen = cell(work);
  const double settled = log_seconds - a * level_[0] - b * level_[1];
  if (seen.count == 0.0) {
    seen = {work, settled, 1.0, ++tick_};
  } else {
    seen.count = std::min(kMemory, seen.count + 1.0);
    const double step = 1.0 / seen.count;
    seen.log_seconds += step * std::clamp(settled - seen.log_seconds, -0.5, 0.5);
    seen.work.beside += step * (work.beside - seen.work.beside);
    seen.last = ++tick_;
  }
  if (work.beside > 0.25) ++beside_seen_;
  if (++since_fit_ >= kRefitEvery) {
    since_fit_ = 0;
    const double kept[2] = {variance_[0], variance_[1]};
    refit(1);
    std::copy(kept, kept + 2, variance_);
  }
}

}  // namespace polythrottle::interference
