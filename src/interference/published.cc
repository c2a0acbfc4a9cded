// The published model (arXiv 2310.19991, section 5): latency = th0 + th1 FLOPs + th2 intensity of inference + th3 FLOPs + th4 intensity of
// fine-tuning + th5 batch, all th >= 0, by non-negative least squares on a few co-runs. It has no clock in it: it is what it was where it
// was fitted. The paper learns nothing online, gives no interval and no model of a step's own time; those here are the simplest there are.

#include <algorithm>
#include <cmath>

#include "interference/interference.h"
#include "interference/nnls.h"

namespace polythrottle::interference {
namespace {

constexpr int kCoefficients = 6;
using Row = Eigen::Matrix<double, kCoefficients, 1>;
/// Co-runs before anything is said of batches beside a step.
constexpr int kFewest = 3;
/// Least scatter that is believed, as a standard deviation of the logarithm: fits through few points are exact and prove nothing.
constexpr double kLeastScatter = 0.02;

double over(double a, double b) { return b > 0.0 ? a / b : 0.0; }

bool positive(Seconds time) { return std::isfinite(time.count()) && time > Seconds(0); }

class Published final : public Predictor {
 public:
  explicit Published(const WorkCost& inference) : inference_(inference) {}

  Status fit(const Samples& samples) override {
    for (const BatchSample& seen : samples.batches) {
      if (!positive(seen.latency)) return fail(Errc::kInvalid, "a batch sample without a positive latency");
    }
    for (const StepSample& seen : samples.steps) {
      if (!positive(seen.duration) || seen.step.items < 1) return fail(Errc::kInvalid, "a step sample without a positive duration");
    }
    samples_ = samples;
    coefficients_.setZero();
    scatter_ = 0.0;
    beside_ = 0;
    const auto n = static_cast<Eigen::Index>(samples.batches.size());
    Eigen::MatrixXd rows(n, kCoefficients);
    Eigen::VectorXd latencies(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const BatchSample& seen = samples.batches[static_cast<std::size_t>(i)];
      // A batch that was beside a step for a part of its time has met that part of the step's work.
      const double beside = seen.at.step ? std::clamp(seen.beside, 0.0, 1.0) : 0.0;
      rows.row(i) = row(seen.at, beside);
      latencies(i) = seen.latency.count();
      if (beside > 0.25) ++beside_;
    }
    if (n > 0) {
      TRY(const NonNegativeSolution solved, nonnegative_least_squares(rows, latencies));
      coefficients_ = solved.x;
      double squares = 0.0;
      for (Eigen::Index i = 0; i < n; ++i) {
        const double residual = std::log(latencies(i) / std::max(1e-12, rows.row(i).dot(coefficients_)));
        squares += residual * residual;
      }
      const auto used = (coefficients_.array() > 0.0).count();
      scatter_ = std::max(kLeastScatter, std::sqrt(squares / static_cast<double>(std::max<Eigen::Index>(1, n - used))));
    }
    fit_steps(samples.steps);
    if (!calibrated()) {
      return fail(
          Errc::kNotFound,
          "predictor: " + std::to_string(beside_) + " batches beside a step, and it takes " + std::to_string(kFewest) + " to speak of them",
          "run `polythrottle interference calibrate`");
    }
    return {};
  }

  void learn(const Samples&) override {}
  void calibrate(const Samples& more) override {
    Samples all = samples_;
    all.batches.insert(all.batches.end(), more.batches.begin(), more.batches.end());
    all.steps.insert(all.steps.end(), more.steps.begin(), more.steps.end());
    (void)fit(all);
  }

  bool calibrated() const override { return beside_ >= kFewest; }

  Prediction batch(const Situation& at) const override {
    return {Seconds(row(at, at.step && calibrated() ? 1.0 : 0.0).dot(coefficients_)), scatter_};
  }

  Prediction step(const Speeds&, const Step& step, double) const override {
    return {Seconds(seconds_per_item_ * step.items), step_scatter_};
  }

 private:
  /// FLOPs in units of one item of inference, intensities in units of its intensity: columns of the same size, which is all that scaling
  /// can do for a least-squares fit.
  Row row(const Situation& at, double beside) const {
    const double unit = intensity(inference_, 1.0);
    Row out;
    out << 1.0, at.batch, over(intensity(inference_, at.batch), unit), 0.0, 0.0, at.batch;
    if (at.step && beside > 0.0) {
      out(3) = beside * over(at.step->cost.macs * at.step->items, inference_.macs);
      out(4) = beside * over(intensity(at.step->cost, at.step->items), unit);
    }
    return out;
  }

  void fit_steps(const std::vector<StepSample>& steps) {
    seconds_per_item_ = step_scatter_ = 0.0;
    if (steps.empty()) return;
    const auto n = static_cast<double>(steps.size());
    double sum = 0.0, squares = 0.0;
    for (const StepSample& seen : steps) sum += seen.duration.count() / seen.step.items;
    seconds_per_item_ = sum / n;
    for (const StepSample& seen : steps) {
      const double residual = std::log(seen.duration.count() / seen.step.items / seconds_per_item_);
      squares += residual * residual;
    }
    step_scatter_ = std::max(kLeastScatter, std::sqrt(squares / std::max(1.0, n - 1.0)));
  }

  const WorkCost inference_;
  Row coefficients_ = Row::Zero();
  Samples samples_;
  double scatter_ = 0.0;
  int beside_ = 0;
  double seconds_per_item_ = 0.0;
  double step_scatter_ = 0.0;
};

std::unique_ptr<Predictor> make_published(const WorkCost& inference) { return std::make_unique<Published>(inference); }

}  // namespace
}  // namespace polythrottle::interference

namespace polythrottle::interference_driver {

extern const interference::PredictorDriver published;
constinit const interference::PredictorDriver published{
    "published", "the published model: FLOPs, intensity and batch, non-negative least squares, no clocks", interference::make_published};

}  // namespace polythrottle::interference_driver
