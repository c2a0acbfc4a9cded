#include "optimizer/belief.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "optimizer/random_machine.h"

namespace polythrottle {
namespace {

constexpr auto kTry = Advice::Kind::kTry;
constexpr double kLimit = 0.025;

Config at(double gpu, double mem) { return {{"gpu", gpu}, {"mem", mem}}; }

/// gpu in eighths, mem in quarters; the reference is both at 1.
SyntheticSearch study(std::vector<Constraint> constraints = {mean_latency_at_most(kLimit)}) {
  return SyntheticSearch(clock_space(8, 4), machine, std::move(constraints));
}

SyntheticSearch measured_study(std::vector<Constraint> constraints = {mean_latency_at_most(kLimit)}) {
  SyntheticSearch search = study(std::move(constraints));
  for (const Config& config : {at(1, 1), at(0.75, 1), at(0.5, 0.75), at(0.25, 1), at(1, 0.25), at(0.625, 0.5)}) search.add(config);
  return search;
}

CandidateId id_of(const SyntheticSearch& search, const Config& config) { return search.space().find(config).value(); }

Belief belief_of(const SyntheticSearch& search) {
  Believer believer;
  return believer(search.problem(), search.history).value();
}

const Visit& visit_at(const Belief& belief, CandidateId id) {
  return *std::find_if(belief.visits.begin(), belief.visits.end(), [&](const Visit& v) { return v.id == id; });
}

Outcome with_metric(std::string_view metric, Estimate estimate) {
  Outcome outcome = measured(1.0, 0.01);
  outcome.metrics[std::string(metric)] = std::move(estimate);
  return outcome;
}

void expect_same(const Belief& a, const Belief& b) {
  EXPECT_EQ(a.objective.posterior.mean, b.objective.posterior.mean);
  EXPECT_EQ(a.objective.posterior.variance, b.objective.posterior.variance);
  EXPECT_EQ(a.log_feasible, b.log_feasible);
  EXPECT_EQ(a.incumbent, b.incumbent);
}

TEST(Belief, WithoutMeasurementsPrefersNothing) {
  const SyntheticSearch search = study();
  const Belief belief = belief_of(search);
  EXPECT_TRUE(belief.objective.posterior.mean.isZero(0.0));
  EXPECT_GT(belief.objective.posterior.variance.minCoeff(), 0.0);
  EXPECT_TRUE(belief.limits.empty());  // a metric that nobody has seen cannot tell candidates apart
  EXPECT_TRUE(belief.log_feasible.isZero(0.0));
  EXPECT_TRUE(belief.visits.empty());
  EXPECT_FALSE(belief.incumbent);
}

TEST(Belief, KnowsWhatWasMeasured) {
  const SyntheticSearch search = measured_study();
  const Belief belief = belief_of(search);
  EXPECT_EQ(belief.objective.how.zero, machine(at(1, 1)).metrics.at(std::string(kEnergy)).value);
  for (const Trial& trial : search.history) {
    const CandidateId id = id_of(search, trial.asked);
    const double energy = trial.metrics().at(std::string(kEnergy)).value, latency = trial.metrics().at(std::string(kLatencyMean)).value;
    EXPECT_NEAR(belief.objective.how.back(belief.objective.posterior.mean(id)) / energy, 1.0, 0.02) << trial.asked.text();
    EXPECT_LT(std::sqrt(belief.objective.posterior.variance(id)), 0.02);
    const double probability = belief.probability(id);
    EXPECT_EQ(probability > 0.5, latency <= kSlack * kLimit) << trial.asked.text();
    if (std::abs(std::log(latency / kLimit)) > 0.05) {
      EXPECT_NEAR(probability, latency < kLimit ? 1.0 : 0.0, 0.01) << trial.asked.text();
    }
  }
}

TEST(Belief, KnowsLessOfWhatWasNotMeasured) {
  const SyntheticSearch search = measured_study();
  const Belief belief = belief_of(search);
  double seen = 0.0, unseen = 1e9;
  for (CandidateId id = 0; id < search.space().size(); ++id) {
    const bool visited = std::any_of(belief.visits.begin(), belief.visits.end(), [&](const Visit& v) { return v.id == id; });
    double& worst = visited ? seen : unseen;
    worst = visited ? std::max(worst, belief.objective.posterior.variance(id)) : std::min(worst, belief.objective.posterior.variance(id));
  }
  EXPECT_LT(seen, unseen);
}

TEST(Belief, IncumbentIsTheBestVisitThatProbablyMeetsTheLimits) {
  const SyntheticSearch search = measured_study();
  const Belief belief = belief_of(search);
  ASSERT_TRUE(belief.incumbent);
  std::optional<CandidateId> expected;
  double least = 1e9;
  for (const Trial& trial : search.history) {
    const double energy = trial.metrics().at(std::string(kEnergy)).value;
    if (!meets(search.problem().constraints, trial.metrics()) || energy >= least) continue;
    least = energy, expected = id_of(search, trial.asked);
  }
  EXPECT_EQ(belief.incumbent, expected);
  EXPECT_FALSE(belief_of(measured_study({mean_latency_at_most(1e-6)})).incumbent);
}

TEST(Belief, JointObjectiveAgreesWithThatOfEachSetting) {
  const SyntheticSearch search = measured_study();
  Believer believer;
  const Belief belief = believer(search.problem(), search.history).value();
  const std::vector<CandidateId> ids{3, 31, 17, 31};
  const Belief::Joint joint = belief.joint_objective(ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto k = static_cast<Eigen::Index>(i);
    EXPECT_NEAR(joint.mean(k), belief.objective.posterior.mean(ids[i]), 1e-3);
    EXPECT_NEAR(joint.covariance(k, k), belief.objective.posterior.variance(ids[i]), 1e-4);
  }
  EXPECT_NEAR(joint.covariance(1, 3), joint.covariance(1, 1), 1e-12);
}

TEST(Belief, MoreIsBetterWhereItIsMaximised) {
  SyntheticSearch search(clock_space(8, 4),
                         [](const Config& config) {
                           const double rate = 1.0 / machine(config).metrics.at(std::string(kLatencyMean)).value;
                           return with_metric(kThroughput, {rate, 0.005 * rate, 100, {}});
                         },
                         {{std::string(kThroughput), Bound::kAtLeast, 30.0}});
  search.objective = {std::string(kThroughput), Direction::kMaximize};
  for (const Config& config : {at(1, 1), at(0.5, 0.5), at(0.125, 0.25)}) search.add(config);
  const Belief belief = belief_of(search);
  EXPECT_EQ(belief.incumbent, id_of(search, at(1, 1)));
  EXPECT_LT(belief.objective.posterior.mean(id_of(search, at(1, 1))), belief.objective.posterior.mean(id_of(search, at(0.5, 0.5))));
  EXPECT_GT(belief.probability(id_of(search, at(1, 1))), 0.99);
  EXPECT_LT(belief.probability(id_of(search, at(0.125, 0.25))), 0.01);
  EXPECT_NEAR(belief.objective.how.back(belief.objective.posterior.mean(id_of(search, at(0.5, 0.5)))), 1.0 / 0.038, 1.0);
}

TEST(Belief, LimitsHaveTheirSlackOnTheSideOfTheUser) {
  for (const auto& [bound, side] : {std::pair(Bound::kAtMost, 1.0), std::pair(Bound::kAtLeast, -1.0)}) {
    SyntheticSearch search = study({{std::string(kThroughput), bound, 50.0}});
    for (const auto& [gpu, over] : {std::pair(1.0, -0.2), std::pair(0.75, 0.007), std::pair(0.5, 0.013)}) {
      search.add(at(gpu, 1), kTry, with_metric(kThroughput, {50.0 * std::exp(side * over), 1e-6, 100, {}}));
    }
    const Belief belief = belief_of(search);
    EXPECT_GT(belief.probability(id_of(search, at(0.75, 1))), 0.5);
    EXPECT_LT(belief.probability(id_of(search, at(0.5, 1))), 0.5);
  }
}

TEST(Belief, DoesNotDependOnTheOrderOfTheHistory) {
  SyntheticSearch search = measured_study({mean_latency_at_most(kLimit), {std::string(kEnergy), Bound::kAtMost, 0.4}});
  search.add(at(0.5, 0.75), Advice::Kind::kVerify);
  search.add(at(0.125, 0.25), kTry, ended(TrialState::kRefused));
  search.add(at(0.25, 0.25), kTry, [] {
    Outcome outcome = measured(9.0, 0.09);
    outcome.state = TrialState::kAborted;
    return outcome;
  }());
  const Belief before = belief_of(search);
  std::rotate(search.history.begin(), search.history.begin() + 4, search.history.end());
  expect_same(before, belief_of(search));
  std::reverse(search.history.begin(), search.history.end());
  for (std::size_t i = 0; i < search.history.size(); ++i) search.history[i].id = static_cast<TrialId>(i) + 1;
  expect_same(before, belief_of(search));
}

TEST(Belief, TrialsAwayFromTheSpaceTeachNothing) {
  SyntheticSearch search = measured_study();
  const Belief before = belief_of(search);
  search.add(at(0.33, 0.9), Advice::Kind::kFound, measured(0.01, 0.001));
  search.add({{"other", 1.0}}, Advice::Kind::kFound, measured(0.01, 0.001));
  expect_same(before, belief_of(search));
}

TEST(Belief, AMeasurementCountsWhereItWasMade) {
  SyntheticSearch search = study();
  Outcome rounded = measured(1.0, 0.02);
  rounded.got = {{"gpu", 0.75}};
  search.add(at(0.5, 1), kTry, rounded);
  const Belief belief = belief_of(search);
  ASSERT_EQ(belief.visits.size(), 2U);
  EXPECT_TRUE(visit_at(belief, id_of(search, at(0.75, 1))).complete);
  EXPECT_FALSE(visit_at(belief, id_of(search, at(0.5, 1))).complete);
  EXPECT_EQ(belief.incumbent, id_of(search, at(0.75, 1)));
}

TEST(Belief, ATrialThatWasStoppedEarlyTellsThatItIsSlow) {
  SyntheticSearch search = study();
  for (const Config& config : {at(1, 1), at(0.75, 1), at(1, 0.5)}) search.add(config);
  const CandidateId id = id_of(search, at(0.125, 0.25)), near = id_of(search, at(0.125, 0.5));
  const Belief before = belief_of(search);
  Outcome stopped = measured(1.0, 0.4);
  stopped.state = TrialState::kAborted;
  stopped.metrics.erase(std::string(kEnergy));
  search.add(at(0.125, 0.25), kTry, stopped);
  const Belief after = belief_of(search);
  EXPECT_LT(after.probability(id), 1e-3);
  EXPECT_LT(after.probability(near), before.probability(near));
  EXPECT_GE(after.limits[0].posterior.mean(id), std::log(0.4 / 0.02) - 0.1);
}

TEST(Belief, ARefusalIsFeltNearby) {
  SyntheticSearch search = measured_study({});
  const Belief before = belief_of(search);
  EXPECT_TRUE(before.log_feasible.isZero(0.0));
  search.add(at(0.125, 0.25), kTry, ended(TrialState::kRefused));
  const Belief after = belief_of(search);
  const double there = after.probability(id_of(search, at(0.125, 0.25))), near = after.probability(id_of(search, at(0.25, 0.25))),
               far = after.probability(id_of(search, at(0.875, 1)));
  EXPECT_LT(there, 0.05);
  EXPECT_LT(there, near);
  EXPECT_LT(near, far);
  EXPECT_GT(far, 0.9);
}

TEST(Belief, DoubtsALookThatNothingElseSupportsUntilItIsRepeated) {
  for (const auto& [metric, inflated] : {std::pair(kLatencyMean, 1.1), std::pair(kLatencyMean, 1.3), std::pair(kEnergy, 1.3)}) {
    SyntheticSearch search = measured_study();
    for (const Config& config : {at(0.875, 1), at(0.875, 0.75), at(0.75, 0.75)}) search.add(config);
    const Config odd = at(0.625, 0.75);
    const CandidateId id = id_of(search, odd);
    const double truth = machine(odd).metrics.at(std::string(metric)).value;
    Outcome outlier = machine(odd);
    outlier.metrics.at(std::string(metric)).value *= inflated;
    search.add(odd, kTry, outlier);
    const auto believed = [&](const Belief& belief) {
      const bool latency = metric == kLatencyMean;
      const Modelled how{.zero = machine(at(1, 1)).metrics.at(std::string(metric)).value};
      return how.back((latency ? belief.limits[0].posterior : belief.objective.posterior).mean(id));
    };
    const Belief once = belief_of(search);
    for (const Visit& visit : once.visits) EXPECT_EQ(visit.doubted, visit.id == id) << metric << " x " << inflated;
    EXPECT_NEAR(believed(once) / truth, 1.0, 0.05) << metric << " x " << inflated;

    search.add(odd, Advice::Kind::kVerify);
    const Belief twice = belief_of(search);
    for (const Visit& visit : twice.visits) EXPECT_FALSE(visit.doubted) << metric << " x " << inflated;
    EXPECT_NEAR(believed(twice) / truth, 1.0, 0.02) << metric << " x " << inflated;
  }
}

TEST(Belief, DoubtsOnlyWhatIsWorseThanAllElseSays) {
  // Two looks that disagree: the slower one is not believed, and of throughputs that is the lower one.
  SyntheticSearch search = study({{std::string(kThroughput), Bound::kAtLeast, 50.0}});
  const auto rate = [](double value) { return with_metric(kThroughput, {value, 0.005 * value, 100, {}}); };
  for (const auto& [gpu, value] : {std::pair(1.0, 80.0), std::pair(0.75, 70.0), std::pair(0.5, 60.0), std::pair(0.5, 40.0)}) {
    search.add(at(gpu, 1), kTry, rate(value));
  }
  EXPECT_GT(belief_of(search).probability(id_of(search, at(0.5, 1))), 0.95);
}

TEST(Belief, BelievesALookThatIsConfirmed) {
  SyntheticSearch search = measured_study();
  for (const Config& config : {at(0.875, 1), at(0.875, 0.75), at(0.75, 0.75)}) search.add(config);
  Outcome slow = machine(at(0.625, 0.75));
  slow.metrics.at(std::string(kLatencyMean)).value *= 1.3;
  for (const auto kind : {kTry, Advice::Kind::kVerify}) search.add(at(0.625, 0.75), kind, slow);
  const Belief belief = belief_of(search);
  const CandidateId id = id_of(search, at(0.625, 0.75));
  EXPECT_FALSE(visit_at(belief, id).doubted);
  EXPECT_LT(belief.probability(id), 0.01);
}

TEST(Belief, ALogarithmNeedsPositiveNumbers) {
  SyntheticSearch search(clock_space(8, 4),
                         [](const Config& config) {
                           return with_metric(kTemperature, {60.0 * *config.number("gpu") - 20.0, 0.1, {}, {}});
                         },
                         {{std::string(kTemperature), Bound::kAtMost, 20.0}});
  for (const Config& config : {at(1, 1), at(0.125, 1), at(0.5, 0.5)}) search.add(config);
  const Belief belief = belief_of(search);
  EXPECT_LT(belief.probability(id_of(search, at(1, 1))), 0.01);
  EXPECT_GT(belief.probability(id_of(search, at(0.125, 1))), 0.99);
  EXPECT_GT(belief.probability(id_of(search, at(0.5, 0.5))), 0.99);
}

TEST(Belief, AnEarlierStudyTellsWhatToExpect) {
  SyntheticSearch old = study();
  for (CandidateId id = 0; id < old.space().size(); id += 2) old.add(old.space().config(id));
  SyntheticSearch search = study();
  search.add(at(1, 1));
  const Belief alone = belief_of(search);
  search.search.earlier = {{"old", old.space().parameters(), at(1, 1), old.history}};
  const Belief told = belief_of(search);
  double off_alone = 0.0, off_told = 0.0;
  for (CandidateId id = 0; id < search.space().size(); ++id) {
    const double truth = told.objective.how.of(machine(search.space().config(id)).metrics.at(std::string(kEnergy)).value);
    off_alone += std::abs(alone.objective.posterior.mean(id) - truth), off_told += std::abs(told.objective.posterior.mean(id) - truth);
  }
  EXPECT_LT(off_told, 0.5 * off_alone);
}

/// Its clocks differ in nothing but, perhaps, their units: only clocks of one unit belong together.
SyntheticSearch floored(const std::string& unit) {
  std::vector<Parameter> knobs{clock_knob("floor", 4, Role::kClockFloor), clock_knob("gpu", 4)};
  knobs.front().levels.pop_back();
  knobs.front().unit = unit;
  SyntheticSearch search(Space::product(knobs).value());
  search.add(search.reference);
  return search;
}

TEST(Belief, IsThatOfAFreshBelieverWhateverItWasAskedBefore) {
  std::vector<SyntheticSearch> searches{measured_study(), SyntheticSearch(clock_space(5, 6), machine, {}, 9), floored("MHz"), floored("")};
  searches[1].add(searches[1].reference);
  SyntheticSearch told = searches[0];
  told.search.earlier = {{"old", told.space().parameters(), at(1, 1), told.history}};
  searches.push_back(told);
  told.search.earlier[0].reference = at(0.75, 1);
  searches.push_back(told);
  for (Trial& trial : told.search.earlier[0].history) trial.outcome.metrics.at(std::string(kEnergy)).value *= *trial.asked.number("gpu");
  searches.push_back(told);
  searches.push_back(searches[0]);
  searches.back().reference = at(0.5, 0.5);
  Believer veteran;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < searches.size(); ++i) {
      SCOPED_TRACE(i);
      expect_same(veteran(searches[i].problem(), searches[i].history).value(), belief_of(searches[i]));
    }
  }
}

}  // namespace
}  // namespace polythrottle
