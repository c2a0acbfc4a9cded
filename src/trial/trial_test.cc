#include "trial/trial.h"

#include <gtest/gtest.h>

#include <cmath>

#include "trial/constraint.h"

namespace polythrottle {
namespace {

Metrics with(std::string_view name, Estimate estimate) { return Metrics{{std::string(name), std::move(estimate)}}; }

TEST(ParseSlo, UnderstandsWhatPeopleWrite) {
  const auto p99 = parse_slo("p99=50ms").value();
  EXPECT_EQ(p99.metric, kLatencyP99);
  EXPECT_DOUBLE_EQ(p99.limit, 0.05);
  EXPECT_FALSE(p99.relative);
  EXPECT_EQ(parse_slo("1.2x").value().metric, kLatencyMean);
  EXPECT_TRUE(parse_slo("1.2x").value().relative);
  EXPECT_EQ(parse_slo("p99=1.2x").value().metric, kLatencyP99);
  EXPECT_DOUBLE_EQ(parse_slo(" mean = 20 us ").value().limit, 20e-6);
}

TEST(ParseSlo, RefusesWithOneClearLine) {
  for (const char* bad : {"", "=", "p99", "p99=", "p99=50", "50ms", "p98=1ms", "power=5ms", "p99=-1ms", "p99=0ms", "p99=nanms",
                          "p99=1e999ms", "1.2", "p99=5W", "p99=1.2xx", "p99=0x", "x", "p99=inf ms"}) {
    const auto parsed = parse_slo(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Errc::kInvalid) << bad;
    EXPECT_EQ(parsed.error().text().find('\n'), std::string::npos);
  }
}

TEST(ParseConstraint, UnderstandsEveryMetricAndUnit) {
  const auto power = parse_constraint("power<=15W").value();
  EXPECT_EQ(power.metric, kPower);
  EXPECT_DOUBLE_EQ(power.limit, 15.0);
  const auto throughput = parse_constraint("throughput>=100/s").value();
  EXPECT_EQ(throughput.bound, Bound::kAtLeast);
  EXPECT_DOUBLE_EQ(parse_constraint("throughput >= 100").value().limit, 100.0);
  EXPECT_DOUBLE_EQ(parse_constraint("memory<=2GB").value().limit, 2e9);
  EXPECT_DOUBLE_EQ(parse_constraint("temperature<=70C").value().limit, 70.0);
  EXPECT_TRUE(parse_constraint("power<=0.8x").value().relative);
  for (const char* bad : {"power", "power<15W", "power=15W", "power<=", "power<=15", "powr<=15W", "<=15W", "power<=15ms"}) {
    EXPECT_FALSE(parse_constraint(bad)) << bad;
  }
}

TEST(ParseObjective, KnowsItsDirection) {
  EXPECT_EQ(parse_objective("energy").value().metric, kEnergy);
  EXPECT_EQ(parse_objective("throughput").value().direction, Direction::kMaximize);
  EXPECT_FALSE(parse_objective("speed"));
}

TEST(Judge, AllowsOnePercentAndNoMore) {
  const Constraint c{std::string(kLatencyMean), Bound::kAtMost, 0.1};
  EXPECT_EQ(judge(c, with(kLatencyMean, {0.101, {}, 100})), Verdict::kMet);
  EXPECT_EQ(judge(c, with(kLatencyMean, {0.1011, {}, 100})), Verdict::kViolated);
  EXPECT_EQ(judge(c, {}), Verdict::kMissing);
}

TEST(Judge, LeavesAPercentileUndecidedBelowItsMinimumSample) {
  const Constraint c{std::string(kLatencyP99), Bound::kAtMost, 0.1};
  EXPECT_EQ(judge(c, with(kLatencyP99, {0.05, {}, 298})), Verdict::kUndecided);
  EXPECT_EQ(judge(c, with(kLatencyP99, {0.05, {}, 299})), Verdict::kMet);
  EXPECT_EQ(judge(c, with(kLatencyP99, {0.2, {}, 10})), Verdict::kViolated);
  EXPECT_EQ(judge(c, with(kLatencyP99, {0.05, {}, {}})), Verdict::kMet);  // recorded: stated by the source
  EXPECT_FALSE(meets({c}, with(kLatencyP99, {0.05, {}, 10})));
  EXPECT_EQ(probability_met(c, with(kLatencyP99, {0.05, {}, 10})), 0.0);
}

TEST(ProbabilityMet, IsHalfAtTheSlackenedLimitAndOneSidedWithoutError) {
  const Constraint c{std::string(kLatencyMean), Bound::kAtMost, 0.1};
  EXPECT_NEAR(probability_met(c, with(kLatencyMean, {0.101, 0.01, 100})), 0.5, 1e-9);
  EXPECT_EQ(probability_met(c, with(kLatencyMean, {0.1, {}, 100})), 1.0);
  const Constraint floor{std::string(kThroughput), Bound::kAtLeast, 101.0};
  EXPECT_NEAR(probability_met(floor, with(kThroughput, {100.0, 1.0, {}})), 0.5, 1e-9);
}

TEST(Resolve, MultipliesTheReference) {
  const auto c = resolve(parse_slo("1.2x").value(), with(kLatencyMean, {0.1, {}, 100})).value();
  EXPECT_DOUBLE_EQ(c.limit, 0.12);
  EXPECT_EQ(resolve(parse_slo("1.2x").value(), {}).error().code, Errc::kNotFound);
}

Trial trial(TrialState state, double batch, double energy = 1.0, std::optional<double> error = {}) {
  Trial t;
  t.state = t.outcome.state = state;
  t.asked = Config{{"batch", batch}};
  if (state == TrialState::kCompleted) t.outcome.metrics = with(kEnergy, {energy, error, 10, {{"gain", 0.05}}});
  return t;
}

TEST(Teaching, LeavesOutVoidAndRunningAndTakesTwiceLostAsFailed) {
  const std::vector<Trial> history{trial(TrialState::kCompleted, 1), trial(TrialState::kVoid, 2), trial(TrialState::kLost, 4),
                                   trial(TrialState::kLost, 8),      trial(TrialState::kLost, 4), trial(TrialState::kRunning, 16)};
  const auto taught = teaching(history);
  ASSERT_EQ(taught.size(), 2U);
  EXPECT_EQ(taught[1].state, TrialState::kFailed);
  EXPECT_EQ(taught[1].asked, (Config{{"batch", 4.0}}));
}

TEST(Pooled, OneWindowThatLooksPreciseDoesNotOutvoteTheOthers) {
  const std::vector<Trial> history{trial(TrialState::kCompleted, 1, 3.0, 0.01), trial(TrialState::kCompleted, 1, 4.0, 0.1),
                                   trial(TrialState::kCompleted, 1, 4.1, 0.1), trial(TrialState::kCompleted, 1, 4.0, 0.1)};
  EXPECT_NEAR(pooled(history, history[0].asked).at(std::string(kEnergy)).value, 3.77, 0.05);
}

TEST(Pooled, WeighsByErrorAndNeverHidesTheScatter) {
  const std::vector<Trial> quiet{trial(TrialState::kCompleted, 1, 1.0, 0.1), trial(TrialState::kCompleted, 1, 1.0, 0.1)};
  EXPECT_NEAR(*pooled(quiet, quiet[0].asked).at(std::string(kEnergy)).std_error, 0.1 / std::sqrt(2.0), 1e-12);
  const std::vector<Trial> apart{trial(TrialState::kCompleted, 1, 1.0, 0.01), trial(TrialState::kCompleted, 1, 2.0, 0.01)};
  const auto e = pooled(apart, apart[0].asked).at(std::string(kEnergy));
  EXPECT_NEAR(e.value, 1.5, 1e-12);
  EXPECT_NEAR(*e.std_error, 0.5, 1e-12);
  EXPECT_NEAR(e.shared.at(0).relative, 0.05, 1e-12);
  EXPECT_EQ(*e.samples, 20U);
  EXPECT_TRUE(pooled(apart, Config{{"batch", 2.0}}).empty());
}

TEST(FormatMetric, PicksThePrefixAPersonWouldUse) {
  EXPECT_EQ(format_metric(kLatencyMean, 0.01234), "12.34 ms");
  EXPECT_EQ(format_metric(kEnergy, 1.5), "1.500 J");
  EXPECT_EQ(format_metric(kEnergy, 0.0009999999), "1.000 mJ");
  EXPECT_EQ(format_metric(kLatencyMean, 1234.5), "1234 s");
  EXPECT_EQ(format_metric(kMemory, 2e9), "2.000 GB");
  EXPECT_EQ(format_metric(kThroughput, 123.456), "123.5 /s");
}

}  // namespace
}  // namespace polythrottle
