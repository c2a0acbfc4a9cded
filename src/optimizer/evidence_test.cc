#include "optimizer/evidence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

constexpr auto kTry = Advice::Kind::kTry;
const std::string kMean(kLatencyMean);

Config at(double gpu, double mem) { return {{"gpu", gpu}, {"mem", mem}}; }

SyntheticSearch study(std::vector<Constraint> constraints = {mean_latency_at_most(0.025)}) {
  return SyntheticSearch(clock_space(8, 4), machine, std::move(constraints));
}

CandidateId id_of(const SyntheticSearch& search, const Config& config) { return search.space().find(config).value(); }

Outcome with_metric(std::string_view metric, Estimate estimate) {
  Outcome outcome = measured(1.0, 0.01);
  outcome.metrics[std::string(metric)] = std::move(estimate);
  return outcome;
}

/// Mean latency in units of 10 ms.
const ModelledMetric kTenths{kMean, {.zero = 0.01}};

std::vector<FieldObservation> observed(const SyntheticSearch& search) {
  const Problem problem = search.problem();
  return observations_of(kTenths, 0, problem, search.history);
}

TEST(Modelled, LessIsBetterAndZeroIsTheReference) {
  const Modelled latency{.zero = 0.02}, throughput{.negated = true, .zero = 50.0};
  EXPECT_EQ(latency.of(0.02), 0.0);
  EXPECT_NEAR(latency.of(0.04), std::log(2.0), 1e-10);
  EXPECT_EQ(throughput.of(50.0), 0.0);
  EXPECT_NEAR(throughput.of(100.0), -std::log(2.0), 1e-10);
  EXPECT_NEAR(latency.deviation(0.04, 0.001), 0.025, 1e-15);
  const Modelled plain{.logarithm = false, .zero = 20.0, .scale = 60.0},
      negated{.negated = true, .logarithm = false, .zero = 20.0, .scale = 60.0};
  EXPECT_NEAR(plain.of(-10.0), -0.5, 1e-10);
  EXPECT_NEAR(negated.of(-10.0), 0.5, 1e-10);
  EXPECT_NEAR(plain.deviation(-10.0, 6.0), 0.1, 1e-15);
  for (const Modelled& how : {latency, throughput, plain, negated}) {
    for (const double value : {0.001, 0.02, 7.0, 800.0}) EXPECT_NEAR(how.back(how.of(value)), value, 1e-8 * (1.0 + value));
  }
}

TEST(Modelled, DoesNotSeeTheUnit) {
  const Modelled seconds{.zero = 0.0173}, milliseconds{.zero = 17.3};
  for (int i = 1; i < 200; ++i) EXPECT_EQ(seconds.of(0.0011 * i), milliseconds.of(1.1 * i)) << i;
}

TEST(ModelledMetric, ZeroIsTheReferenceElseTheMedian) {
  SyntheticSearch search = study();
  const auto how = [&](std::optional<double> limit = {}) { return modelled(kMean, limit, search.history, search.reference); };
  EXPECT_FALSE(how());
  for (const double latency : {0.03, 0.01, 0.02}) search.add(at(0.5, 0.25), kTry, measured(1.0, latency));
  EXPECT_EQ(how()->zero, 0.02);
  search.add(search.reference, kTry, measured(1.0, 0.007));
  search.add(search.reference, Advice::Kind::kConfirm, measured(1.0, 0.009));
  EXPECT_EQ(how()->zero, 0.5 * (0.007 + 0.009));
  EXPECT_TRUE(how()->logarithm);
  EXPECT_FALSE(how(-1.0)->logarithm);
  search.add(at(0.5, 0.5), kTry, measured(1.0, -0.001));
  EXPECT_FALSE(how()->logarithm);
  EXPECT_EQ(how(0.05)->scale, 0.05);
  EXPECT_EQ(how()->scale, how()->zero);
}

TEST(Visits, SayHowTheirTrialsEnded) {
  SyntheticSearch search = study({mean_latency_at_most(0.025), {std::string(kLatencyP99), Bound::kAtMost, 0.03}});
  const auto with_p99 = [](std::size_t samples) { return with_metric(kLatencyP99, {0.02, 0.001, samples, {}}); };
  Outcome slow = measured(1.0, 0.2), without_error = with_p99(1000);
  slow.state = TrialState::kAborted;
  without_error.metrics.at(std::string(kEnergy)).std_error.reset();
  search.add(at(1, 1), kTry, with_p99(1000));
  search.add(at(1, 1), Advice::Kind::kConfirm, with_p99(1000));
  search.add(at(0.875, 1), kTry, with_p99(100));  // 299 are needed
  search.add(at(1, 0.5), kTry, with_p99(100));
  search.add(at(1, 0.5), Advice::Kind::kVerify, with_p99(1000));
  search.add(at(0.75, 1), kTry, measured(1.0, 0.01));
  search.add(at(0.625, 1), kTry, slow);
  search.add(at(0.5, 1), kTry, ended(TrialState::kAborted));
  search.add(at(0.375, 1), kTry, ended(TrialState::kFailed));
  search.add(at(0.25, 1), kTry, without_error);
  search.add(at(0.125, 1), kTry, completed({}));
  const std::vector<Visit> visits = visits_of(search.problem(), search.history);
  const auto visit = [&](double gpu, double mem = 1.0) {
    return *std::find_if(visits.begin(), visits.end(), [&](const Visit& v) { return v.id == id_of(search, at(gpu, mem)); });
  };
  EXPECT_EQ(visit(1).looks, 2U);
  EXPECT_TRUE(visit(1).complete && visit(1).decided && visit(1).has_error && !visit(1).broken);
  EXPECT_TRUE(visit(0.875).complete && !visit(0.875).decided);
  EXPECT_TRUE(visit(1, 0.5).complete && visit(1, 0.5).decided);  // one look is enough
  EXPECT_TRUE(visit(0.75).complete && !visit(0.75).decided);
  EXPECT_TRUE(!visit(0.625).complete && !visit(0.625).broken);  // it was stopped for a limit's sake
  EXPECT_EQ(visit(0.625).looks, 0U);
  EXPECT_EQ(visit(0.625).trials, 1U);
  EXPECT_TRUE(visit(0.5).broken);
  EXPECT_TRUE(visit(0.375).broken);
  EXPECT_TRUE(visit(0.25).complete && !visit(0.25).has_error);
  EXPECT_TRUE(!visit(0.125).complete && !visit(0.125).decided && !visit(0.125).broken);
}

TEST(Observations, AreTheCompletedMeasurementsWhereTheyWereMade) {
  SyntheticSearch search = study();
  search.add(at(1, 1), kTry, measured(1.0, 0.01));
  search.add(at(0.5, 1), kTry, completed({}));
  search.add(at(0.5, 1), kTry, measured(1.0, std::nan("")));
  search.add(at(0.33, 1), kTry, measured(1.0, 0.01));
  search.add(at(0.25, 1), kTry, ended(TrialState::kFailed));
  Outcome rounded = with_metric(kMean, {0.02, 0.001, 100, {}});
  rounded.got = {{"gpu", 0.75}};
  search.add(at(0.625, 1), kTry, rounded);
  search.add(at(0.125, 1), kTry, with_metric(kMean, {0.04, {}, 100, {}}));
  const std::vector<FieldObservation> seen = observed(search);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].row, id_of(search, at(1, 1)));
  EXPECT_EQ(seen[0].value, 0.0);
  EXPECT_NEAR(*seen[0].variance, 0.005 * 0.005, 1e-12);
  EXPECT_EQ(seen[1].row, id_of(search, at(0.75, 1)));
  EXPECT_NEAR(seen[1].value, std::log(2.0), 1e-10);
  EXPECT_NEAR(*seen[1].variance, 0.05 * 0.05, 1e-12);
  EXPECT_FALSE(seen[2].variance);
}

TEST(Observations, ATrialThatWasStoppedEarlyIsABoundUntilItIsSeenWhole) {
  SyntheticSearch search = study();
  Outcome stopped = measured(1.0, 0.08);
  stopped.state = TrialState::kAborted;
  search.add(at(0.125, 0.25), kTry, stopped);
  const std::vector<FieldObservation> bound = observed(search);
  EXPECT_EQ(std::count_if(bound.begin(), bound.end(), [](const auto& o) { return o.censored; }), 1);
  for (const auto& o : bound) EXPECT_NEAR(o.value, std::log(8.0), 1e-10);

  search.add(at(0.125, 0.25), Advice::Kind::kVerify, measured(1.0, 0.09));
  const std::vector<FieldObservation> whole = observed(search);
  ASSERT_EQ(whole.size(), 1U);
  EXPECT_FALSE(whole[0].censored);

  SyntheticSearch other = study();
  stopped.metrics.at(kMean).value = 0.02;  // within the limit: it was stopped for another reason
  other.add(at(0.125, 0.25), kTry, stopped);
  EXPECT_TRUE(observed(other).empty());
}

TEST(Observations, TheHigherOfTwoLooksThatDisagreeLosesItsWeight) {
  SyntheticSearch search = study();
  search.add(at(0.5, 1), kTry, measured(1.0, 0.014));
  search.add(at(0.5, 1), Advice::Kind::kVerify, measured(1.0, 0.010));
  search.add(at(0.75, 1), kTry, measured(1.0, 0.0100));
  search.add(at(0.75, 1), Advice::Kind::kVerify, measured(1.0, 0.0102));
  const std::vector<FieldObservation> seen = observed(search);
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_NEAR(*seen[0].variance, kDisbelief * 0.005 * 0.005, 1e-9);
  for (const std::size_t i : {1U, 2U, 3U}) EXPECT_NEAR(*seen[i].variance, 0.005 * 0.005, 1e-9);
}

TEST(Observations, LooksThatStateLargeErrorsMayDifferByThem) {
  SyntheticSearch search = study();
  for (const double latency : {0.010, 0.012}) search.add(at(0.5, 1), kTry, with_metric(kMean, {latency, 0.1 * latency, 100, {}}));
  for (const FieldObservation& o : observed(search)) EXPECT_NEAR(*o.variance, 0.01, 1e-9);
}

/// References whose latency grows by `slope` (ln) each hour, with `off` added to the one in the middle.
SyntheticSearch drifting(double slope, int references, double off = 0.0) {
  SyntheticSearch search = study();
  for (int i = 0; i < references; ++i) {
    const double seen = 0.01 * std::exp(slope * i + (i == references / 2 ? off : 0.0));
    search.add(search.reference, Advice::Kind::kConfirm, with_metric(kMean, {seen, 0.001 * seen, 100, {}}));
    search.history.back().started = 1e9 + 3600.0 * i;
  }
  return search;
}

double drift(const SyntheticSearch& search) { return drift_of(kTenths, search.problem(), search.history); }

TEST(Drift, IsTheSlopeOfTheReference) {
  EXPECT_NEAR(drift(drifting(0.02, 5)), 0.02 / 3600.0, 1e-9);
  EXPECT_NEAR(drift(drifting(-0.02, 3)), -0.02 / 3600.0, 1e-9);
}

TEST(Drift, IsNothingWhereItCannotBeTold) {
  EXPECT_EQ(drift(drifting(0.02, 2)), 0.0);
  EXPECT_EQ(drift(drifting(0.0003, 4)), 0.0);       // within the errors
  EXPECT_EQ(drift(drifting(0.02, 5, 0.3)), 0.0);    // one look that is off is no drift
  EXPECT_EQ(drift(SyntheticSearch(study())), 0.0);  // nothing was measured
  SyntheticSearch at_once = drifting(0.02, 5);
  for (Trial& trial : at_once.history) trial.started = 1e9;
  EXPECT_EQ(drift(at_once), 0.0);
}

TEST(Drift, IsTakenOffEverySetting) {
  SyntheticSearch search = drifting(0.02, 5);
  search.add(at(0.5, 1), kTry, measured(1.0, 0.02 * std::exp(0.02 * 2.5)));
  search.history.back().started = 1e9 + 3600.0 * 2.5;
  for (const FieldObservation& o : observed(search)) {
    EXPECT_NEAR(o.value, o.row == id_of(search, at(0.5, 1)) ? std::log(2.0) : 0.0, 1e-6);
  }
}

TEST(Drift, DoesNotDependOnTheOrderOfTheHistory) {
  SyntheticSearch search = drifting(0.02, 6);
  const double before = drift(search);
  std::reverse(search.history.begin(), search.history.end());
  EXPECT_EQ(drift(search), before);
}

}  // namespace
}  // namespace polythrottle
