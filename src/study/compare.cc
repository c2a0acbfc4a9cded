#include "study/compare.h"

#include <algorithm>
#include <cmath>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr double kTail = 0.975;
/// From so many pairs on, a degree of freedom is spent on the order within a pair.
constexpr std::size_t kPairsForOrder = 4;

/// A standard error and the degrees of freedom it is known with; infinite: as if exactly.
struct Uncertainty {
  double std_error = 0.0;
  double degrees = INFINITY;
  double reach() const { return student_quantile(kTail, degrees) * std_error; }
};

/// Of two accounts of one error the wider.
Uncertainty wider(const Uncertainty& a, const Uncertainty& b) { return a.reach() >= b.reach() ? a : b; }

/// Together with a shared error, which is known as if exactly. Half widths in quadrature: the degrees of freedom of Welch and Satterthwaite
/// make intervals of two and three runs too narrow (in simulation 88 % instead of 95 %).
double reach_with(const Uncertainty& scatter, double shared) { return std::hypot(scatter.reach(), Uncertainty{shared}.reach()); }

double mean_square(std::span<const double> values) {
  double sum = 0.0;
  for (const double v : values) sum += v * v;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

std::vector<SharedError> relative_shared(std::span<const RunValue> runs, double value, const std::vector<std::string>& sources) {
  std::vector<SharedError> out;
  for (std::size_t k = 0; k < sources.size() && value != 0.0; ++k) {
    double sum = 0.0;
    for (const auto& run : runs) sum += k < run.shared.size() ? run.shared[k] : 0.0;
    out.push_back({sources[k], sum / static_cast<double>(runs.size()) / value});
  }
  return out;
}

/// The log-ratio, and how well it is known but for shared errors.
struct LogRatio {
  double value = 0.0;
  Uncertainty uncertainty;
};

/// `logs` in two groups by order. The mean of the two groups' means is free of whatever the order does; with both groups equally large,
/// it is the plain mean.
LogRatio log_ratio(std::span<const double> a_first, std::span<const double> b_first) {
  const auto n = static_cast<double>(a_first.size() + b_first.size());
  std::vector<double> all(a_first.begin(), a_first.end());
  all.insert(all.end(), b_first.begin(), b_first.end());
  if (a_first.empty() || b_first.empty()) return {mean(all), {std::sqrt(variance(all) / n), n - 1.0}};
  const auto na = static_cast<double>(a_first.size()), nb = static_cast<double>(b_first.size());
  const double value = 0.5 * (mean(a_first) + mean(b_first));
  const double spread = 0.25 * (1.0 / na + 1.0 / nb);  // variance of `value` for pairs of variance 1
  if (all.size() < kPairsForOrder) return {value, {std::sqrt(variance(all) * spread), n - 1.0}};
  const double within = ((na - 1.0) * variance(a_first) + (nb - 1.0) * variance(b_first)) / (n - 2.0);
  return {value, {std::sqrt(within * spread), n - 2.0}};
}

}  // namespace

RunValue RunValue::over(double divisor) const {
  RunValue out{value / divisor, own_error / divisor, shared};
  for (double& sigma : out.shared) sigma /= divisor;
  return out;
}

MeanOfRuns mean_of_runs(std::span<const RunValue> runs, const std::vector<std::string>& sources) {
  std::vector<double> values, own;
  for (const auto& run : runs) {
    values.push_back(run.value);
    own.push_back(run.own_error);
  }
  const auto n = static_cast<double>(values.size());
  MeanOfRuns out;
  const double value = mean(values);
  const Uncertainty stated{std::sqrt(mean_square(own) / n), INFINITY};
  out.scatter_known = values.size() > 1;
  const Uncertainty scatter = out.scatter_known ? wider({std::sqrt(variance(values) / n), n - 1.0}, stated) : stated;
  out.estimate = {value, {}, values.size(), relative_shared(runs, value, sources)};
  if (out.scatter_known || scatter.std_error > 0.0) out.estimate.std_error = scatter.std_error;
  const double reach = reach_with(scatter, out.estimate.shared_relative() * value);
  if (out.scatter_known || reach > 0.0) out.interval = Interval{value - reach, value + reach};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  out.lowest = *low;
  out.highest = *high;
  return out;
}

Result<RatioOfRuns> ratio_of_runs(std::span<const RunPair> pairs, const std::vector<std::string>& sources) {
  if (pairs.empty()) return fail(Errc::kInvalid, "compare runs: there is no pair of them");
  std::vector<double> a_first, b_first, own;
  std::vector<RunValue> a, b;
  for (const auto& pair : pairs) {
    if (!(pair.a.value > 0.0) || !(pair.b.value > 0.0)) {
      return fail(Errc::kOutOfRange, "compare runs: the meter did not move in one of them", "let the commands do more work in a run");
    }
    (pair.b_first ? b_first : a_first).push_back(std::log(pair.b.value / pair.a.value));
    own.push_back(std::hypot(pair.a.own_error / pair.a.value, pair.b.own_error / pair.b.value));
    a.push_back(pair.a);
    b.push_back(pair.b);
  }
  const LogRatio found = log_ratio(a_first, b_first);
  RatioOfRuns out{std::exp(found.value), {}, pairs.size()};
  if (pairs.size() < 2) return out;
  const auto n = static_cast<double>(pairs.size());
  const Uncertainty scatter = wider(found.uncertainty, {std::sqrt(mean_square(own) / n), INFINITY});
  const auto shared_by = [&](std::span<const RunValue> runs) {
    double sum = 0.0;
    for (const auto& run : runs) sum += run.value;
    const double value = sum / static_cast<double>(runs.size());
    return Estimate{value, {}, {}, relative_shared(runs, value, sources)};
  };
  const double reach = reach_with(scatter, shared_by(a).shared_difference(shared_by(b)));
  out.interval = Interval{out.ratio * std::exp(-reach), out.ratio * std::exp(reach)};
  return out;
}

}  // namespace polythrottle
