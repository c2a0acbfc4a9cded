#pragma once
// Time as a sum of terms with non-negative coefficients, alone and beside other work, with what is not known of them.

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "interference/interference.h"
#include "interference/terms.h"

namespace polythrottle::interference {

/// One situation.
struct Work {
  Terms terms = Terms::Zero();
  Waits waits = Waits::Zero();
  Rests rests = Rests::Zero();
  double beside = 0.0;    ///< share of the time during which the other work runs, in [0, 1]
  std::uint64_t key = 0;  ///< equal for situations that are the same but for `beside`
};
struct Observation {
  Work work;
  double seconds = 0.0;
};

/// alone = terms' a + rests' r, beside = terms' b + waits' c; a share w of the time beside: the harmonic mean that work done asks for,
/// 1 / ((1 - w) / alone + w / beside).
///
/// All coefficients are at least 0 (nnls.h). They have a normal prior: how a device spends its time in general, in units of a scale that
/// the data give, and beside a slowdown that all terms share, about 2 where two contexts take turns, itself estimated. Residuals are
/// relative and scatter as Student's t with 4 degrees of freedom does, so that a batch that was held up moves little. What is not known of
/// the coefficients is the covariance of the same regression without the constraint, which is at least as wide.
///
/// After `fit` it follows the world: a level for time alone and one for time beside, both wandering, are filtered observation by
/// observation (Kalman), and five surprises in a row on one side open the filter. The coefficients are fitted again every
/// `kRefitEvery` observations, to one summary per situation, `kCells` at most, oldest out: what is seen all the time forgets nothing about
/// the rest. Memory is bounded by that. Prediction allocates nothing.
class TimeModel {
 public:
  static constexpr int kUnknowns = 2 * kTerms + kWaits + kRests;
  static constexpr std::size_t kCells = 192;
  static constexpr int kRefitEvery = 32;

  void fit(std::span<const Observation> observations);
  void learn(const Observation& observation);
  bool empty() const { return cells_.empty(); }
  /// Observations with a share beside that says something of it.
  std::size_t beside() const { return beside_seen_; }
  Prediction predict(const Work& work) const;
  /// Time beside over time alone that all terms share.
  double slowdown() const { return slowdown_; }
  /// Standard deviation of the logarithm of one observation around the fitted time.
  double scatter() const;

 private:
  using Vector = Eigen::Matrix<double, kUnknowns, 1>;
  using Matrix = Eigen::Matrix<double, kUnknowns, kUnknowns>;
  /// What was seen of one situation.
  struct Cell {
    Work work;
    double log_seconds = 0.0;  ///< mean, the level of its time taken out
    double count = 0.0;        ///< at most kMemory
    std::uint64_t last = 0;
  };
  struct Mean {
    double seconds = 0.0;
    double share = 0.0;  ///< of the work that is done beside
    Vector slope;        ///< of seconds in the unknowns
  };

  Mean mean(const Work& work) const;
  double alone(const Work& work) const { return unknowns_.head<kTerms>().dot(work.terms) + unknowns_.tail<kRests>().dot(work.rests); }
  Cell& cell(const Work& work);
  void refit(int rounds);
  void solve(double scale);
  void start_levels();

  Vector unknowns_ = Vector::Zero();
  Matrix covariance_ = Matrix::Zero();  ///< of the unknowns, over the square of `scale_`
  double scale_ = 0.0;                  ///< s, of one item of inference in general
  double slowdown_ = 2.0;
  /// Scale of the t squared of one observation's logarithm: ordinarily, and alone after a rest, when it depends on where a governor is.
  double variance_[2] = {0.0, 0.0};
  double level_[2] = {0.0, 0.0};                  ///< logarithms: alone, beside
  double level_covariance_[3] = {0.0, 0.0, 0.0};  ///< alone, both, beside
  double scatter_seen_[2] = {0.0, 0.0};           ///< observations behind `variance_`, at most so many as it remembers
  int surprises_ = 0;                             ///< in a row, negative for times that were shorter
  double surprise_ = 0.0;                         ///< sum of their logarithms
  int since_fit_ = 0;
  std::uint64_t tick_ = 0;
  std::size_t beside_seen_ = 0;
  std::vector<Cell> cells_;
};

}  // namespace polythrottle::interference
