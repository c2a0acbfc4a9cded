#include <gtest/gtest.h>

#include "optimizer/optimizer.h"
#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

constexpr auto kTry = Advice::Kind::kTry;

Config gpu(double level) { return {{"gpu", level}, {"mem", 1.0}}; }

SyntheticSearch search(std::vector<Constraint> constraints = {mean_latency_at_most(0.100)}) {
  return SyntheticSearch(clock_space(4, 1), machine, std::move(constraints));
}

std::optional<Recommendation> recommended(const SyntheticSearch& s) { return recommend(s.problem(), s.history); }

TEST(Recommend, HasNothingToSayWithoutACompletedTrial) {
  SyntheticSearch s = search();
  EXPECT_FALSE(recommended(s));
  for (TrialState state : {TrialState::kRunning, TrialState::kFailed, TrialState::kRefused, TrialState::kVoid, TrialState::kLost}) {
    Outcome outcome = measured(1.0, 0.01);
    outcome.state = state;
    s.add(gpu(0.5), kTry, outcome);
  }
  s.add(gpu(0.75), kTry, completed({}));
  EXPECT_FALSE(recommended(s));
}

TEST(Recommend, TakesTheLeastEnergyAmongThoseKnownToMeet) {
  SyntheticSearch s = search();
  s.add(gpu(1.0), Advice::Kind::kReference, measured(3.0, 0.050));
  s.add(gpu(0.75), kTry, measured(2.0, 0.080));
  s.add(gpu(0.5), kTry, measured(1.0, 0.150));  // cheapest, but too slow
  const auto r = recommended(s);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->config, gpu(0.75));
  EXPECT_TRUE(r->known_to_meet);
  EXPECT_GE(r->probability_met, kConfidence);
}

TEST(Recommend, PassesOverACheaperSettingThatIsOnlyProbablyFine) {
  SyntheticSearch s = search();
  s.add(gpu(1.0), kTry, measured(3.0, 0.050));
  Outcome close = measured(1.0, 0.1008);  // limit with slack is 0.101
  close.metrics.at(std::string(kLatencyMean)).std_error = 0.002;
  s.add(gpu(0.5), kTry, close);
  EXPECT_EQ(recommended(s)->config, gpu(1.0));
}

TEST(Recommend, NamesTheClosestWhereNothingIsKnownToMeet) {
  SyntheticSearch s = search();
  s.add(gpu(0.25), kTry, measured(1.0, 0.900));
  s.add(gpu(0.5), kTry, measured(2.0, 0.200));
  s.add(gpu(0.75), kTry, measured(2.0, 0.700));
  const auto r = recommended(s);
  ASSERT_TRUE(r);
  EXPECT_FALSE(r->known_to_meet);
  EXPECT_EQ(r->config, gpu(0.5));
}

TEST(Recommend, ComparesExcessWhereErrorsAreUnknown) {
  SyntheticSearch s = search();
  for (const auto& [level, latency] : {std::pair{0.25, 0.3}, std::pair{0.5, 0.2}, std::pair{0.75, 0.4}}) {
    Outcome outcome = measured(1.0, latency);
    for (auto& [name, estimate] : outcome.metrics) estimate.std_error.reset();
    s.add(gpu(level), kTry, outcome);
  }
  EXPECT_EQ(recommended(s)->probability_met, 0.0);
  EXPECT_EQ(recommended(s)->config, gpu(0.5));
}

TEST(Recommend, MultipliesTheProbabilitiesOfAllLimits) {
  SyntheticSearch s = search({mean_latency_at_most(0.100), {std::string(kEnergy), Bound::kAtMost, 2.0}});
  s.add(gpu(0.5), kTry, measured(2.02, 0.101));  // exactly on both limits with their slack
  EXPECT_NEAR(recommended(s)->probability_met, 0.25, 1e-9);
}

TEST(Recommend, NeverTrustsAMissingMetric) {
  SyntheticSearch s = search({mean_latency_at_most(0.100), {std::string(kPower), Bound::kAtMost, 15.0}});
  s.add(gpu(0.5), kTry, measured(1.0, 0.010));
  EXPECT_EQ(recommended(s)->probability_met, 0.0);
  EXPECT_FALSE(recommended(s)->known_to_meet);
}

TEST(Recommend, PoolsRepeats) {
  SyntheticSearch s = search();
  s.add(gpu(0.5), kTry, measured(1.0, 0.050));  // lucky once
  s.add(gpu(0.5), Advice::Kind::kVerify, measured(3.0, 0.050));
  s.add(gpu(0.75), kTry, measured(1.1, 0.050));
  EXPECT_EQ(recommended(s)->config, gpu(0.75));
}

TEST(Recommend, DoesNotKnowASettingThatBrokeWhenRepeated) {
  for (TrialState state : {TrialState::kFailed, TrialState::kRefused, TrialState::kAborted}) {
    SyntheticSearch s = search();
    s.add(gpu(0.5), kTry, measured(1.0, 0.050));
    s.add(gpu(1.0), kTry, measured(3.0, 0.050));
    s.add(gpu(0.5), Advice::Kind::kVerify, ended(state));
    EXPECT_EQ(recommended(s)->config, gpu(1.0)) << to_string(state);
  }
}

TEST(Recommend, TakesTheLargestWhereMoreIsBetter) {
  SyntheticSearch s = search({});
  s.objective = {std::string(kThroughput), Direction::kMaximize};
  for (const auto& [level, rate] : {std::pair{0.25, 10.0}, std::pair{0.5, 30.0}, std::pair{0.75, 20.0}}) {
    s.add(gpu(level), kTry, completed({{std::string(kThroughput), {rate, 0.1, 100, {}}}}));
  }
  EXPECT_EQ(recommended(s)->config, gpu(0.5));
  EXPECT_EQ(recommended(s)->probability_met, 1.0);
}

TEST(Recommend, MayKeepTheSettingFound) {
  SyntheticSearch s = search();
  const Config off_table{{"gpu", 0.6}, {"mem", 1.0}};
  s.add(off_table, Advice::Kind::kFound, measured(0.5, 0.050));
  s.add(gpu(1.0), kTry, measured(3.0, 0.050));
  EXPECT_EQ(recommended(s)->config, off_table);
}

}  // namespace
}  // namespace polythrottle
