// What a field finds out by itself: its scales, what a bound says, and which observations surprise.

#include <gtest/gtest.h>

#include <array>

#include "surrogate/dense_field.h"
#include "surrogate/field.h"

namespace polythrottle {
namespace {

using Eigen::Index;
using Observations = std::vector<FieldObservation>;

/// ln p(data | scales) + ln p(scales), up to the constant that the field leaves out.
double log_posterior(const FieldExample& example, const Observations& data, const Field::ScaleValues& scales) {
  double value = DenseField(example.both(), example.knobs, scales).log_likelihood(data);
  const FieldScales prior;
  for (std::size_t i = 0; i < scales.size(); ++i) value -= 0.5 * std::pow(std::log(scales[i] / prior.median[i]) / prior.spread[i], 2);
  return value;
}

TEST(FieldScales, AreStatedWithTheirLogPosterior) {
  const FieldExample example;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const Observations data = example.observations(9, 2, seed);
    const Field field = Field::fit(example.both(), example.knobs, data).value();
    EXPECT_NEAR(field.log_posterior(), log_posterior(example, data, field.scales()), 1e-5);
    EXPECT_GT(field.log_posterior(), log_posterior(example, data, FieldScales{}.median));
  }
}

TEST(FieldScales, StandOnTheTopWithinAStepOfTheSearch) {
  const FieldExample example;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Observations data = example.observations(9, 2, seed);
    for (std::size_t i = 0; i < data.size(); i += 4) data[i].task = 1;
    const Field field = Field::fit(example.both(), example.knobs, data).value();
    const Field::ScaleValues found = field.scales();
    const double best = log_posterior(example, data, found);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double step = 0.7 * FieldScales{}.spread[i];
      for (const double sign : {1.0, -1.0}) {
        Field::ScaleValues moved = found;
        moved[i] *= std::exp(sign * step);
        EXPECT_LT(log_posterior(example, data, moved), best + 0.05) << "seed " << seed << " scale " << i;
      }
    }
  }
}

TEST(FieldScales, FindTheNoiseThatIsThere) {
  const FieldExample example;
  const Space& space = example.space;
  for (const double noise : {0.005, 0.02}) {
    NormalStream random(5);
    Observations data;
    for (int i = 0; i < 40; ++i) {
      const Index row = (i * 31) % static_cast<Index>(space.size());
      for (int repeat = 0; repeat < 2; ++repeat) {
        data.push_back({.row = row, .value = static_cast<double>(example.physics.latency.mean(row)) + noise * random.normal()});
      }
    }
    const Field field = Field::fit(example.one(), example.knobs, data).value();
    EXPECT_NEAR(std::log(field.scale(FieldScales::kNoise) / noise), 0.0, 0.35);
  }
}

/// Moments of N(mean, variance) x Phi((f - bound) / error) by quadrature.
std::pair<double, double> truncated(double mean, double variance, double bound, double error2) {
  double weight = 0.0, first = 0.0, second = 0.0;
  const double deviation = std::sqrt(variance), error = std::sqrt(error2);
  const double low = mean - 12.0 * deviation, high = std::max(mean, bound) + 12.0 * deviation;
  constexpr int kSteps = 50'000;
  // ln of the height where the product is largest is taken off first, as far bounds leave nothing else.
  const auto log_height = [&](double f) {
    const double z = (f - bound) / error, cdf = 0.5 * std::erfc(-z / std::sqrt(2.0));
    return -0.5 * (f - mean) * (f - mean) / variance + (cdf > 0.0 ? std::log(cdf) : -0.5 * z * z - std::log(-z * 2.5066282746310002));
  };
  double top = -1e300;
  for (int i = 0; i <= kSteps; i += 100) top = std::max(top, log_height(low + (high - low) * i / kSteps));
  for (int i = 0; i <= kSteps; ++i) {
    const double f = low + (high - low) * i / kSteps, height = std::exp(log_height(f) - top);
    weight += height, first += height * f, second += height * f * f;
  }
  return {first / weight, second / weight - std::pow(first / weight, 2)};
}

TEST(FieldCensored, OneBoundGivesTheMomentsOfTheTruncatedBelief) {
  const FieldExample example;
  const FieldObservation plain{.row = 40, .value = 0.2, .variance = 1e-4};
  const DenseField dense(example.one(), example.knobs, FieldScales{}.median);
  for (const Index row : {Index{40}, Index{45}, Index{150}}) {
    const Field::Joint before = dense.condition({plain}, {{.row = row}});
    const double deviation = std::sqrt(before.covariance(0, 0));
    for (const double z : {-4.0, -1.0, 0.0, 0.5, 2.0, 6.0, 15.0, 29.0}) {
      for (const double error2 : {1e-6, 4e-4, 0.04}) {
        const double bound = before.mean(0) + z * std::sqrt(deviation * deviation + error2);
        const FieldObservation censored{.row = row, .value = bound, .variance = error2, .censored = true};
        const Field field = Field::fit(example.one(), example.knobs, {plain, censored}, pinned()).value();
        const auto [mean, variance] = truncated(before.mean(0), before.covariance(0, 0), bound, error2 + 1e-9);
        const Field::Joint after = field.joint(std::span(&row, 1));
        EXPECT_NEAR(after.mean(0), mean, 2e-3 * deviation * (1 + std::abs(z))) << "row " << row << " z " << z << " error2 " << error2;
        EXPECT_NEAR(std::sqrt(after.covariance(0, 0)), std::sqrt(variance), 0.02 * std::sqrt(variance) + 1e-5)
            << "row " << row << " z " << z << " error2 " << error2;
      }
    }
  }
}

/// Four bounds this far from a row's prior, and what was measured elsewhere.
Observations bounded(const FieldExample& example, double far, std::optional<double> variance, std::span<const Index> rows) {
  Observations data = example.observations(6, 2);
  for (const Index row : rows) {
    const double prior = static_cast<double>(example.physics.latency.mean(row));
    data.push_back({.row = row, .value = prior + far, .variance = variance, .censored = true});
  }
  return data;
}

constexpr std::array<Index, 4> kBounded{11, 120, 121, 250};

TEST(FieldCensored, BoundsHoweverFarLeaveFiniteBeliefs) {
  const FieldExample example;
  for (const double far : {-30.0, -3.0, -0.1, 0.0, 0.1, 1.0, 3.0, 30.0}) {
    for (const std::optional<double> variance : {std::optional<double>{}, std::optional<double>{0.0}, std::optional<double>{0.01}}) {
      const auto field = Field::fit(example.both(), example.knobs, bounded(example, far, variance, kBounded));
      ASSERT_TRUE(field) << far;
      EXPECT_TRUE(std::isfinite(field->log_posterior())) << far;
      EXPECT_TRUE(field->surprises().allFinite()) << far;
      for (const Posterior& posterior : field->predict(example.knobs.rows())) {
        EXPECT_TRUE(posterior.mean.allFinite()) << far;
        EXPECT_TRUE(posterior.variance.allFinite()) << far;
        EXPECT_GE(posterior.variance.minCoeff(), 0.0) << far;
      }
    }
  }
}

TEST(FieldCensored, SeveralBoundsLiftTheBeliefToWhereTheyAre) {
  const FieldExample example;
  for (const double far : {-0.1, 0.0, 0.1, 0.3, 1.0}) {
    for (const std::optional<double> variance : {std::optional<double>{}, std::optional<double>{0.0}, std::optional<double>{0.01}}) {
      const Field field = Field::fit(example.both(), example.knobs, bounded(example, far, variance, kBounded)).value();
      const Posterior posterior = belief(field, 0, example.knobs.rows());
      for (const Index row : kBounded) {
        EXPECT_GT(posterior.mean(row), static_cast<double>(example.physics.latency.mean(row)) + far - 0.1) << far << " row " << row;
      }
    }
  }
}

TEST(FieldCensored, ABoundFarBelowSaysNothing) {
  const FieldExample example;
  Observations data = example.observations(6, 2);
  const Field without = Field::fit(example.both(), example.knobs, data, pinned()).value();
  data.push_back({.row = 120, .value = -30.0, .variance = 1e-4, .censored = true});
  const Field with = Field::fit(example.both(), example.knobs, data, pinned()).value();
  for (int output : {0, 1}) {
    const Posterior a = belief(without, output, example.knobs.rows()), b = belief(with, output, example.knobs.rows());
    EXPECT_LT((a.mean - b.mean).cwiseAbs().maxCoeff(), 1e-4);
    EXPECT_LT((a.variance - b.variance).cwiseAbs().maxCoeff(), 1e-4);
  }
}

TEST(FieldSurprises, AreTheErrorsOfForecastsFromAllOthers) {
  const FieldExample example;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Observations data = example.observations(8, 2, seed);
    data.push_back(data[2]);
    data.back().value += 0.02;
    data[5].task = 1;
    data[7].variance = 4e-4;
    const Field field = Field::fit(example.both(), example.knobs, data).value();
    for (const bool first : {true, false}) {
      const Field::ScaleValues scales = first ? FieldScales{}.median : field.scales();
      const Eigen::VectorXd& surprises = first ? field.first_surprises() : field.surprises();
      ASSERT_EQ(surprises.size(), static_cast<Index>(data.size()));
      FieldScales fixed;
      fixed.median = scales;
      for (std::size_t i = 0; i < data.size(); ++i) {
        Observations others = field.observations();
        const FieldObservation left_out = others[i];
        others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
        const DenseField dense(example.both(), example.knobs, scales);
        const Field::Joint forecast = dense.condition(others, {left_out});
        const double expected = (left_out.value - forecast.mean(0)) / std::sqrt(forecast.covariance(0, 0) + dense.noise(left_out));
        EXPECT_NEAR(surprises(static_cast<Index>(i)), expected, 1e-6) << i;
        if (left_out.task != 0) continue;
        const Field refit = Field::fit(example.both(), example.knobs, others, pinned(fixed)).value();
        const Field::Joint same = refit.joint(std::span(&left_out.row, 1));
        EXPECT_NEAR((left_out.value - same.mean(left_out.output)) /
                        std::sqrt(same.covariance(left_out.output, left_out.output) + dense.noise(left_out)),
                    expected, 1e-5);
      }
    }
  }
}

TEST(FieldSurprises, AnOutlierSurprisesBeforeItWidensTheScales) {
  const FieldExample example;
  Observations data = example.observations(10, 2);
  data[8].value += 0.6;
  const Field field = Field::fit(example.both(), example.knobs, data).value();
  Index worst = 0;
  EXPECT_GT(field.first_surprises().maxCoeff(&worst), 4.0);
  EXPECT_EQ(field.observations()[static_cast<std::size_t>(worst)].row, data[8].row);
  EXPECT_EQ(field.observations()[static_cast<std::size_t>(worst)].output, data[8].output);
  EXPECT_LT(field.surprises()(worst), field.first_surprises()(worst));
}

}  // namespace
}  // namespace polythrottle
