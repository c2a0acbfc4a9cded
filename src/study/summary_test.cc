#include "study/summary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle {
namespace {

Estimate estimate(double value, std::optional<double> error, std::vector<SharedError> shared = {}) {
  return {value, error, 100, std::move(shared)};
}

TEST(Compare, AGainThatBothShareCancelsWhole) {
  const auto saving = compare(estimate(0.8, 0.008, {{"gain", 0.05}}), estimate(1.0, 0.01, {{"gain", 0.05}}));
  EXPECT_NEAR(saving.ratio, 0.2, 1e-12);
  const double reach = 1.96 * std::hypot(0.01, 0.01);
  EXPECT_NEAR(*saving.low, 1.0 - 0.8 * std::exp(reach), 1e-9);
  EXPECT_NEAR(*saving.high, 1.0 - 0.8 * std::exp(-reach), 1e-9);
  EXPECT_FALSE(saving.spans_zero());
}

TEST(Compare, ACoefficientCancelsOnlyAsFarAsItsShareIsAlike) {
  const auto saving = compare(estimate(0.9, 0.0, {{"idle", 0.4}, {"active", 0.1}}), estimate(1.0, 0.0, {{"idle", 0.1}, {"active", 0.4}}));
  EXPECT_NEAR(*saving.high, 1.0 - 0.9 * std::exp(-1.96 * std::hypot(0.3, 0.3)), 1e-9);
  EXPECT_TRUE(saving.spans_zero());
}

TEST(Compare, WithoutAnyErrorThereIsNoInterval) {
  const auto saving = compare({0.8, {}, {}, {}}, {1.0, {}, {}, {}});
  EXPECT_NEAR(saving.ratio, 0.2, 1e-12);
  EXPECT_FALSE(saving.low);
  EXPECT_FALSE(saving.high);
}

StudyFacts facts(const std::string& slo) {
  return {{fact::kProvenance, "measured"},      {fact::kObjective, std::string(kEnergy)},
          {fact::kReference, R"({"batch":1})"}, {fact::kSlo, slo},
          {fact::kConstraints, "[]"},           {fact::kDevice, "x"}};
}

Trial trial(TrialId id, Advice::Kind kind, double batch, double joules, double latency, TrialState state = TrialState::kCompleted) {
  Trial t;
  t.id = id;
  t.state = t.outcome.state = state;
  t.advice.kind = kind;
  t.asked = t.advice.config = Config{{"batch", batch}};
  t.started = 10.0 * static_cast<double>(id);
  t.finished = t.started + 2.0;
  if (state == TrialState::kCompleted || state == TrialState::kAborted) {
    t.outcome.metrics[std::string(kLatencyMean)] = {latency, 0.001 * latency, 100, {}};
  }
  if (state == TrialState::kCompleted) {
    t.outcome.metrics[std::string(kEnergy)] = {joules, 0.01 * joules, 100, {}};
    t.outcome.metrics[std::string(kTrialEnergy)] = {100.0, {}, {}, {}};
  }
  return t;
}

TEST(Summary, PicksTheCheapestThatMeetsTheSloAndCountsWhatBrokeIt) {
  const auto s = summarize(facts("1.5x"),
                           {trial(1, Advice::Kind::kReference, 1, 1.0, 0.010), trial(2, Advice::Kind::kTry, 2, 0.8, 0.014),
                            trial(3, Advice::Kind::kTry, 4, 0.5, 0.030), trial(4, Advice::Kind::kTry, 8, 0.0, 0.060, TrialState::kAborted)})
                     .value();
  EXPECT_EQ(s.best->config, (Config{{"batch", 2.0}}));
  EXPECT_NEAR(s.saving->ratio, 0.2, 1e-12);
  ASSERT_EQ(s.violations.size(), 2U);
  EXPECT_NEAR(s.violations[0].excess, 2.0, 1e-9);
  EXPECT_EQ(s.explored, 4U);
  EXPECT_DOUBLE_EQ(s.search_seconds, 8.0);
  EXPECT_DOUBLE_EQ(*s.search_joules, 300.0);
  EXPECT_EQ(s.pareto, (std::vector<TrialId>{1, 2, 3}));
}

TEST(Summary, ConfirmationRoundsReplaceTheNumbersThatWerePicked) {
  const auto s =
      summarize(facts("1.5x"), {trial(1, Advice::Kind::kReference, 1, 1.0, 0.010), trial(2, Advice::Kind::kTry, 2, 0.6, 0.014),
                                trial(3, Advice::Kind::kConfirm, 1, 1.1, 0.010), trial(4, Advice::Kind::kConfirm, 2, 0.88, 0.014)})
          .value();
  EXPECT_EQ(s.confirmed, 1U);
  EXPECT_NEAR(s.saving->ratio, 0.2, 1e-12);
  EXPECT_EQ(s.explored, 2U);
}

TEST(Summary, AnotherSloIsAnsweredFromTheSameTrials) {
  const std::vector<Trial> history{trial(1, Advice::Kind::kReference, 1, 1.0, 0.010), trial(2, Advice::Kind::kTry, 4, 0.5, 0.030)};
  EXPECT_EQ(summarize(facts("1.5x"), history).value().best->config, (Config{{"batch", 1.0}}));
  EXPECT_EQ(summarize(facts("1.5x"), history, {{parse_slo("mean=40ms").value()}}).value().best->config, (Config{{"batch", 4.0}}));
  const auto none = summarize(facts("1.5x"), history, {{parse_slo("mean=1ms").value()}}).value();
  EXPECT_FALSE(none.best);
  EXPECT_EQ(none.closest->config, (Config{{"batch", 1.0}}));
  EXPECT_EQ(none.fastest->config, (Config{{"batch", 1.0}}));
}

TEST(Summary, ASecondLookIsPooledAndNeitherConfirmsNorCounts) {
  const auto s = summarize(facts("1.5x"), {trial(1, Advice::Kind::kReference, 1, 1.0, 0.010), trial(2, Advice::Kind::kTry, 2, 0.6, 0.014),
                                           trial(3, Advice::Kind::kVerify, 2, 0.8, 0.014)})
                     .value();
  EXPECT_EQ(s.confirmed, 0U);
  EXPECT_EQ(s.second_looks, 1U);
  EXPECT_EQ(s.explored, 2U);
  EXPECT_EQ(s.best->trials, 2U);
  EXPECT_GT(s.best->metrics.at(std::string(kEnergy)).value, 0.6);
}

TEST(Summary, TheOptimizersChoiceHoldsUnderTheStudysOwnLimitsAlone) {
  auto with_choice = facts("1.5x");
  with_choice[fact::kChoice] = R"({"config":{"batch":2},"probability_met":0.95,"known_to_meet":true})";
  const std::vector<Trial> history{trial(1, Advice::Kind::kReference, 1, 1.0, 0.010), trial(2, Advice::Kind::kTry, 2, 0.8, 0.014),
                                   trial(3, Advice::Kind::kTry, 4, 0.7, 0.0145)};
  EXPECT_EQ(summarize(with_choice, history).value().best->config, (Config{{"batch", 2.0}}));
  EXPECT_EQ(summarize(with_choice, history, {{parse_slo("1.5x").value()}}).value().best->config, (Config{{"batch", 4.0}}));
  with_choice[fact::kChoice] = "null";  // it runs
  EXPECT_EQ(summarize(with_choice, history).value().best->config, (Config{{"batch", 4.0}}));
  with_choice[fact::kChoice] = R"({"config":{"batch":8},"probability_met":0.95,"known_to_meet":true})";  // nobody measured that
  EXPECT_EQ(summarize(with_choice, history).value().best->config, (Config{{"batch", 4.0}}));
  with_choice[fact::kChoice] = R"({"config":{"batch":2},"probability_met":0.4,"known_to_meet":false})";
  const auto unsure = summarize(with_choice, history).value();
  EXPECT_FALSE(unsure.best);
  EXPECT_EQ(unsure.closest->config, (Config{{"batch", 2.0}}));
  for (const char* damaged : {"", "{", "3", "{}", R"({"config":3,"probability_met":1,"known_to_meet":true})"}) {
    with_choice[fact::kChoice] = damaged;
    EXPECT_EQ(summarize(with_choice, history).error().code, Errc::kCorrupt) << damaged;
  }
}

TEST(Summary, CountsTheRequestsOfTrialsThatBrokeALatencyLimit) {
  const std::vector<Trial> history{trial(1, Advice::Kind::kReference, 1, 1.0, 0.010), trial(2, Advice::Kind::kTry, 2, 0.8, 0.014),
                                   trial(3, Advice::Kind::kTry, 4, 0.5, 0.030),
                                   trial(4, Advice::Kind::kTry, 8, 0.0, 0.060, TrialState::kAborted)};
  EXPECT_EQ(summarize(facts("1.5x"), history).value().requests_in_violation, 200U);
  EXPECT_EQ(summarize(facts("1.5x"), history, {{parse_slo("10x").value()}}).value().requests_in_violation, 0U);
  // Breaking another limit makes nobody wait.
  EXPECT_EQ(summarize(facts("1.5x"), history, {{parse_slo("10x").value(), parse_constraint("energy<=0.6J").value()}})
                .value()
                .requests_in_violation,
            0U);
  auto uncounted = history;
  uncounted[2].outcome.metrics[std::string(kLatencyMean)].samples.reset();
  EXPECT_FALSE(summarize(facts("1.5x"), uncounted).value().requests_in_violation);
  EXPECT_EQ(summarize(facts("1.5x"), uncounted, {{parse_slo("10x").value()}}).value().requests_in_violation, 0U);
}

TEST(Summary, IsRepaidOnceTheSavingHasMadeUpForTheSearch) {
  std::vector<Trial> history{trial(1, Advice::Kind::kReference, 1, 1.0, 0.010), trial(2, Advice::Kind::kTry, 2, 0.8, 0.014)};
  history[1].outcome.metrics[std::string(kThroughput)] = {50.0, {}, {}, {}};
  const auto s = summarize(facts("1.5x"), history).value();
  EXPECT_NEAR(*s.repaid_after_inferences, 200.0 / 0.2, 1e-9);
  EXPECT_NEAR(*s.repaid_after_seconds, 20.0, 1e-9);
  history[1].outcome.metrics[std::string(kEnergy)] = {0.99, 0.01, 100, {}};
  EXPECT_FALSE(summarize(facts("1.5x"), history).value().repaid_after_inferences);  // the interval spans zero
  history[1].outcome.metrics[std::string(kEnergy)] = {1.5, 0.01, 100, {}};
  EXPECT_FALSE(summarize(facts("1.5x"), history).value().repaid_after_inferences);  // the reference is best
  history[1].outcome.metrics[std::string(kEnergy)] = {0.8, 0.01, 100, {}};
  history[1].outcome.metrics.erase(std::string(kTrialEnergy));
  EXPECT_FALSE(summarize(facts("1.5x"), history).value().repaid_after_inferences);  // nobody knows what it cost
}

TEST(Summary, SaysWhatTheOptimizerExpectsToHaveMissed) {
  auto stopped = facts("1.5x");
  const std::vector<Trial> history{trial(1, Advice::Kind::kReference, 1, 1.0, 0.010)};
  stopped[fact::kStop] = R"({"reason":"optimizer","text":"enough","expected_gain":0.003})";
  const auto s = summarize(stopped, history).value();
  EXPECT_EQ(s.stop_reason, "optimizer");
  EXPECT_EQ(s.stop_text, "enough");
  EXPECT_EQ(s.expected_missed, 0.003);
  EXPECT_FALSE(summarize(stopped, history, {{parse_slo("9x").value()}}).value().expected_missed);
  stopped[fact::kStop] = R"({"reason":"budget","text":"budget of 1 used"})";
  EXPECT_FALSE(summarize(stopped, history).value().expected_missed);
}

TEST(Summary, AStudyWithoutTrialsOrFactsIsSaidToBeOne) {
  EXPECT_FALSE(summarize(facts("1.5x"), {}).value().reference);
  EXPECT_EQ(summarize({}, {}).error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace polythrottle
