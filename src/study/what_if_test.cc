#include "study/what_if.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "study/synthetic_study.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;

/// A study whose SLO keeps it near the reference: of clocks at 20 ms, found by the default optimizer.
SyntheticStudy tight_study() {
  SyntheticStudy study(clock_space(), machine, {"mean=24ms"});
  study.search.run(*make_optimizer("polythrottle").value(), 20);
  return study;
}

double joules(const Config& config) { return machine(config).metrics.at(std::string(kEnergy)).value; }

TEST(WhatIf, ALooserSloNamesTheTrialThatWouldSettleIt) {
  const SyntheticStudy study = tight_study();
  const auto summary = study.summary({"mean=40ms"}).value();
  const auto answer = what_if(summary).value();
  ASSERT_TRUE(answer.best && answer.next);
  EXPECT_EQ(answer.best->config, summary.best->config);
  EXPECT_FALSE(answer.settled);
  EXPECT_GE(answer.expected_gain, answer.min_gain);
  const double truth = 1.0 - joules(answer.next->config) / joules(answer.best->config);
  EXPECT_GT(truth, 0.0);
  EXPECT_LE(answer.next->saving->low, truth);
  EXPECT_GE(answer.next->saving->high, truth);
  for (const Trial& t : study.search.history) EXPECT_FALSE(t.asked == answer.next->config);
}

TEST(WhatIf, UnderItsOwnLimitsAStoppedSearchIsSettled) {
  SyntheticStudy study = tight_study();
  const auto answer = what_if(study.summary({"mean=24ms"}).value()).value();
  EXPECT_TRUE(answer.settled) << answer.expected_gain;
  study.measure_all();
  const auto all = what_if(study.summary({"mean=24ms"}).value()).value();
  EXPECT_FALSE(all.next);
  EXPECT_TRUE(all.settled);
}

TEST(WhatIf, WhereNothingMeasuredMeetsTheLimitsItNamesTheLikeliest) {
  SyntheticStudy study(clock_space(), machine, {"mean=1s"});
  study.search.add(Config{{"gpu", 0.25}, {"mem", 0.2}});
  study.search.add(Config{{"gpu", 0.5}, {"mem", 0.4}});
  study.search.add(Config{{"gpu", 0.25}, {"mem", 1.0}});
  // The reference draws 25 W, so that it is too much; some slower clock may do, within 60 ms.
  const auto with_power = [&](std::vector<Trial>& history) {
    for (Trial& t : history) {
      const auto& m = t.metrics();
      const double watts = m.at(std::string(kEnergy)).value / m.at(std::string(kLatencyMean)).value;
      t.outcome.metrics[std::string(kPower)] = {watts, 0.01 * watts, 100, {}};
    }
  };
  with_power(study.search.history);
  const auto answer = what_if(study.summary({"mean=40ms", "power<=12W"}).value()).value();
  EXPECT_FALSE(answer.best);
  ASSERT_TRUE(answer.next);
  EXPECT_FALSE(answer.next->saving);
  EXPECT_GT(answer.next->chance.met, 0.5);
  EXPECT_LE(machine(answer.next->config).metrics.at(std::string(kLatencyMean)).value, 0.040 * kSlack);
  EXPECT_FALSE(answer.settled);
}

TEST(WhatIf, ATrialStoppedForTheOldLimitIsOpenUnderTheNewOne) {
  SyntheticStudy study(Space::product({clock_knob("gpu", 8)}).value(), machine, {"mean=22ms"});
  study.search.add(Config{{"gpu", 0.75}});
  Outcome stopped = ended(TrialState::kAborted);
  stopped.metrics[std::string(kLatencyMean)] = {0.032, 0.001, 30, {}};
  study.search.add(Config{{"gpu", 0.5}}, Advice::Kind::kTry, stopped);
  const auto answer = what_if(study.summary({"mean=60ms"}).value()).value();
  ASSERT_TRUE(answer.next);
  EXPECT_FALSE(answer.settled);
  EXPECT_GT(answer.next->chance.met, 0.5);  // it is not held to be a setting that does not run
  // Still stopped for good where it breaks the limit asked about.
  const auto own = what_if(study.summary({"mean=22ms"}).value()).value();
  ASSERT_TRUE(own.best && own.next);
  EXPECT_FALSE(own.next->config == (Config{{"gpu", 0.5}}));
}

TEST(WhatIf, SaysWhatAStudyLacks) {
  SyntheticStudy study(clock_space(), machine, {"mean=1s"});
  EXPECT_THAT(what_if(study.summary({"mean=2s"}).value()).error().text(), HasSubstr("reference setting alone"));
}

}  // namespace
}  // namespace polythrottle
