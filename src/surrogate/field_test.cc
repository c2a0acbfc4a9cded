#include "surrogate/field.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "surrogate/dense_field.h"

namespace polythrottle {
namespace {

using Eigen::Index;
using Observations = std::vector<FieldObservation>;

Observations with_variance(Observations data, double variance) {
  for (auto& o : data) o.variance = variance;
  return data;
}

/// Repeats of the first rows, which differ a little.
Observations with_repeats(Observations data) {
  for (std::size_t i = 0; i < 4; ++i) {
    data.push_back(data[i]);
    data.back().value += 0.013;
  }
  return data;
}

/// Every third one is of an earlier study, the last of a second.
Observations of_several_studies(Observations data) {
  for (std::size_t i = 0; i < data.size(); i += 3) data[i].task = 1, data[i].value += 0.4;
  data.back().task = 2;
  return data;
}

struct Case {
  const char* name;
  std::vector<const FieldPrior*> priors;
  Observations data;
};

std::vector<Case> cases(const FieldExample& example) {
  const Observations single = example.observations(9, 1), both = example.observations(8, 2);
  Observations mixed = both;
  for (std::size_t i = 0; i < mixed.size(); i += 2) mixed[i].variance = 1e-4 * static_cast<double>(i);
  Observations lone_energy = single;
  for (std::size_t i = 0; i < 5; ++i) lone_energy[i].output = 1;
  return {{"one output, fitted noise", example.one(), single},
          {"one output, stated noise", example.one(), with_variance(single, 3e-4)},
          {"one output, no noise", example.one(), with_variance(single, 0.0)},
          {"one output, repeats", example.one(), with_repeats(single)},
          {"two outputs, fitted noise", example.both(), both},
          {"two outputs, stated noise", example.both(), with_variance(both, 3e-4)},
          {"two outputs, some noise stated", example.both(), mixed},
          {"two outputs, repeats", example.both(), with_repeats(both)},
          {"two outputs, never together", example.both(), lone_energy},
          {"several studies", example.both(), of_several_studies(both)},
          {"several studies, repeats", example.both(), of_several_studies(with_repeats(with_variance(both, 1e-4)))},
          {"repeats that differ in their errors alone", example.one(),
           [&] {
             Observations repeated = single;
             for (const double variance : {1e-3, 1e-5, 1e-4}) repeated.push_back(single[2]), repeated.back().variance = variance;
             return repeated;
           }()},
          {"earlier studies alone", example.one(), [&] {
             Observations earlier = single;
             for (auto& o : earlier) o.task = 1;
             return earlier;
           }()}};
}

TEST(Field, LikelihoodIsThatOfTheDocumentedCovariance) {
  const FieldExample example;
  const Field::ScaleValues odd{0.11, 0.07, 0.31, 1.7, 0.023, 0.041, 0.017, 0.029, 0.6};
  for (const Case& c : cases(example)) {
    for (const Field::ScaleValues& scales : {FieldScales{}.median, odd}) {
      const double expected = DenseField(c.priors, example.knobs, scales).log_likelihood(c.data);
      EXPECT_NEAR(Field::log_likelihood(c.priors, example.knobs, c.data, scales), expected, 1e-7 * (1.0 + std::abs(expected))) << c.name;
    }
  }
}

TEST(Field, EveryScaleMattersToSomeLikelihood) {
  const FieldExample example;
  const Observations data = of_several_studies(example.observations(8, 2));
  const Field::ScaleValues median = FieldScales{}.median;
  const double before = Field::log_likelihood(example.both(), example.knobs, data, median);
  for (std::size_t i = 0; i < median.size(); ++i) {
    Field::ScaleValues moved = median;
    moved[i] *= 1.5;
    EXPECT_GT(std::abs(Field::log_likelihood(example.both(), example.knobs, data, moved) - before), 1e-4) << i;
  }
}

TEST(Field, PosteriorIsThatOfTheDocumentedCovariance) {
  const FieldExample example;
  for (const Case& c : cases(example)) {
    const Field field = Field::fit(c.priors, example.knobs, c.data).value();
    const DenseField dense(c.priors, example.knobs, field.scales());
    for (int output = 0; output < static_cast<int>(c.priors.size()); ++output) {
      const Posterior posterior = belief(field, output, example.knobs.rows());
      Observations places;
      for (Index row = 0; row < example.knobs.rows(); ++row) places.push_back({.row = row, .output = output});
      const Field::Joint expected = dense.condition(c.data, places);
      for (Index row = 0; row < example.knobs.rows(); ++row) {
        const bool visited = std::any_of(c.data.begin(), c.data.end(), [&](const auto& o) { return o.row == row && o.task == 0; });
        const double deviation = std::sqrt(expected.covariance(row, row));
        EXPECT_NEAR(posterior.mean(row), expected.mean(row), visited ? 1e-8 : 0.02 * deviation + 1e-3) << c.name << " row " << row;
        EXPECT_NEAR(std::sqrt(posterior.variance(row)), deviation, visited ? 1e-7 : 0.02 * deviation) << c.name << " row " << row;
      }
    }
  }
}

TEST(Field, JointBeliefIsThatOfTheDocumentedCovariance) {
  const FieldExample example;
  for (const Case& c : cases(example)) {
    const Field field = Field::fit(c.priors, example.knobs, c.data).value();
    const std::vector<Index> rows{c.data.front().row, 3, 100, c.data.back().row, 4};
    Observations places;
    for (int output = 0; output < static_cast<int>(c.priors.size()); ++output) {
      for (const Index row : rows) places.push_back({.row = row, .output = output});
    }
    const Field::Joint joint = field.joint(rows), expected = DenseField(c.priors, example.knobs, field.scales()).condition(c.data, places);
    EXPECT_LT((joint.mean - expected.mean).cwiseAbs().maxCoeff(), 1e-8) << c.name;
    EXPECT_LT((joint.covariance - expected.covariance).cwiseAbs().maxCoeff(), 1e-8) << c.name;
  }
}

TEST(Field, PredictionIsTheDiagonalOfTheJointBelief) {
  const FieldExample example;
  const Observations data = example.observations(8, 2);
  const Field field = Field::fit(example.both(), example.knobs, data).value();
  const Index all = example.knobs.rows();
  std::vector<Index> rows(static_cast<std::size_t>(all));
  std::iota(rows.begin(), rows.end(), Index{0});
  const Field::Joint joint = field.joint(rows);
  for (int output : {0, 1}) {
    const Posterior posterior = belief(field, output, all);
    const Eigen::VectorXd variance = joint.covariance.diagonal().segment(output * all, all);
    EXPECT_LT((posterior.mean - joint.mean.segment(output * all, all)).cwiseAbs().maxCoeff(), 2e-3);
    EXPECT_LT((posterior.variance - variance).cwiseAbs().maxCoeff(), 2e-5);
    for (const auto& o : data) EXPECT_DOUBLE_EQ(posterior.variance(o.row), variance(o.row));
  }
}

TEST(Field, MatchesTheClosedFormForTwoPoints) {
  const Space space = Space::product({FieldExample::levels("k", Role::kOther, 2)}).value();
  const RelativeKnobs knobs(space, {});
  const FieldPrior flat{Eigen::Vector2f(0.3F, -0.2F), RowMatrix::Zero(2, 1)};
  const Observations data{{.row = 0, .value = 0.5, .variance = 0.01}, {.row = 1, .value = -0.1, .variance = 0.04}};
  FieldScales scales;
  scales.median[FieldScales::kResidual] = 0.2;
  scales.median[FieldScales::kNugget] = 0.05;
  scales.median[FieldScales::kLength] = 0.5;
  const double root = std::sqrt(5.0) / 0.5, k = (1.0 + root + root * root / 3.0) * std::exp(-root);
  const double signal = 0.25 + 0.04 + 0.0025, b = 0.25 + 0.04 * k;
  const double a0 = signal + 0.01 + 4.001e-6, a1 = signal + 0.04 + 4.001e-6, determinant = a0 * a1 - b * b;
  const double y0 = 0.5 - static_cast<double>(0.3F), y1 = -0.1 - static_cast<double>(-0.2F);
  const double quadratic = (a1 * y0 * y0 - 2.0 * b * y0 * y1 + a0 * y1 * y1) / determinant;
  EXPECT_NEAR(Field::log_likelihood({&flat}, knobs, data, scales.median),
              -0.5 * quadratic - 0.5 * std::log(determinant) - std::log(2.0 * std::numbers::pi), 1e-9);

  const Field field = Field::fit({&flat}, knobs, data, pinned(scales)).value();
  const Posterior posterior = belief(field, 0, 2);
  const double mean = static_cast<double>(0.3F) + (signal * (a1 * y0 - b * y1) + b * (a0 * y1 - b * y0)) / determinant;
  const double variance = signal - (signal * signal * a1 - 2.0 * signal * b * b + b * b * a0) / determinant;
  EXPECT_NEAR(posterior.mean(0), mean, 1e-7);
  EXPECT_NEAR(posterior.variance(0), variance, 1e-7);
}

TEST(Field, WithoutObservationsIsThePrior) {
  const FieldExample example;
  const Field field = Field::fit(example.both(), example.knobs, {}).value();
  EXPECT_EQ(field.scales(), FieldScales{}.median);
  EXPECT_EQ(field.log_posterior(), 0.0);
  EXPECT_EQ(field.surprises().size(), 0);
  for (int output : {0, 1}) {
    const FieldPrior& prior = *example.both()[static_cast<std::size_t>(output)];
    const Posterior posterior = belief(field, output, example.knobs.rows());
    EXPECT_LT((posterior.mean - prior.mean.cast<double>()).cwiseAbs().maxCoeff(), 1e-6);
    const DenseField dense(example.both(), example.knobs, FieldScales{}.median);
    for (Index row = 0; row < example.knobs.rows(); ++row) {
      const FieldObservation place{.row = row, .output = output};
      EXPECT_NEAR(posterior.variance(row), dense.covariance(place, place), 1e-5);
    }
  }
}

TEST(Field, OneObservationMovesNoScaleThatItCannotTell) {
  const FieldExample example;
  const Field field = Field::fit(example.one(), example.knobs, example.observations(1, 1)).value();
  EXPECT_EQ(field.scales(), FieldScales{}.median);
}

TEST(Field, DoesNotDependOnTheOrderOfTheObservations) {
  const FieldExample example;
  for (const Case& c : cases(example)) {
    Observations shuffled = c.data;
    std::reverse(shuffled.begin(), shuffled.end());
    std::rotate(shuffled.begin(), shuffled.begin() + 3, shuffled.end());
    const Field one = Field::fit(c.priors, example.knobs, c.data).value(), two = Field::fit(c.priors, example.knobs, shuffled).value();
    EXPECT_EQ(one.scales(), two.scales()) << c.name;
    for (int output = 0; output < static_cast<int>(c.priors.size()); ++output) {
      EXPECT_EQ(belief(one, output, example.knobs.rows()).mean, belief(two, output, example.knobs.rows()).mean) << c.name;
      EXPECT_EQ(belief(one, output, example.knobs.rows()).variance, belief(two, output, example.knobs.rows()).variance) << c.name;
    }
  }
}

TEST(Field, PredictsLargeSpacesAlikeOnTwoThreads) {
  const Space space =
      Space::product({FieldExample::levels("gpu", Role::kComputeClock, 50), FieldExample::levels("mem", Role::kMemoryClock, 40)}).value();
  const RelativeKnobs knobs(space, space.config(0));
  const PhysicsPrior prior = physics_prior(knobs, {.members = 20, .components = 6});
  const Field field = Field::fit({&prior.latency}, knobs, {{.row = 7, .value = 0.3}, {.row = 1500, .value = -0.2}}).value();
  const Posterior whole = belief(field, 0, knobs.rows()), part = belief(field, 0, 1000);  // the latter on one thread
  EXPECT_EQ(whole.mean.head(1000), part.mean.head(1000));
  EXPECT_EQ(whole.mean, belief(field, 0, knobs.rows()).mean);
  const std::vector<Index> some{0, 7, 900, 1279, 1280, 1500, 1999};
  const Field::Joint joint = field.joint(some);
  for (std::size_t i = 0; i < some.size(); ++i) {
    EXPECT_NEAR(whole.mean(some[i]), joint.mean(static_cast<Index>(i)), 1e-4);
    EXPECT_NEAR(whole.variance(some[i]), joint.covariance(static_cast<Index>(i), static_cast<Index>(i)), 1e-5);
  }
}

TEST(Field, RefusesWhatIsNoObservation) {
  const FieldExample example;
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const Observations wrong{{.row = -1},     {.row = example.knobs.rows()}, {.output = -1},    {.output = 1},    {.value = nan},
                           {.value = -inf}, {.variance = -1e-9},           {.variance = nan}, {.variance = inf}};
  for (const FieldObservation& o : wrong) {
    const auto field = Field::fit(example.one(), example.knobs, {FieldObservation{}, o});
    ASSERT_FALSE(field);
    EXPECT_EQ(field.error().code, Errc::kInvalid);
    EXPECT_NE(field.error().what.find("row"), std::string::npos);
  }
}

}  // namespace
}  // namespace polythrottle
