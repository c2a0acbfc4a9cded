// What every optimizer must do, run on every driver of this folder.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "optimizer/optimizer.h"
#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

class OptimizerConformance : public ::testing::TestWithParam<const OptimizerDriver*> {
 protected:
  static std::unique_ptr<Optimizer> fresh() { return GetParam()->make(); }

  /// One that is steered is told to go on until all is measured, as the others do anyway.
  static SyntheticSearch endless(Space space, SyntheticSearch::Machine answers = machine, std::vector<Constraint> constraints = {},
                                 std::uint64_t seed = 0) {
    SyntheticSearch search(std::move(space), std::move(answers), std::move(constraints), seed);
    search.search.min_gain = 0.0;
    return search;
  }

  /// Runs until the stop: every candidate is tried exactly once. Only one that is steered may look again, once, at what it has measured.
  static void expect_covers(SyntheticSearch search) {
    const auto optimizer = fresh();
    const std::vector<Advice> advices = search.run(*optimizer, 2 * search.space().size() + 1);
    ASSERT_EQ(advices.back().kind, Advice::Kind::kStop);
    EXPECT_EQ(advices.back().reason, "space exhausted");
    EXPECT_TRUE(advices.back().config.empty());
    std::set<CandidateId> tried, verified;
    for (std::size_t i = 0; i + 1 < advices.size(); ++i) {
      EXPECT_FALSE(advices[i].reason.empty());
      EXPECT_EQ(advices[i].reason.find('\n'), std::string::npos);
      const auto id = search.space().find(advices[i].config);
      ASSERT_TRUE(id) << advices[i].config.text();
      if (advices[i].kind == Advice::Kind::kVerify) {
        EXPECT_TRUE(GetParam()->steered);
        EXPECT_TRUE(tried.contains(*id)) << "not measured yet: " << advices[i].config.text();
        EXPECT_TRUE(verified.insert(*id).second) << "verified twice: " << advices[i].config.text();
      } else {
        EXPECT_EQ(advices[i].kind, Advice::Kind::kTry);
        EXPECT_TRUE(tried.insert(*id).second) << "repeated " << advices[i].config.text();
      }
      if (advices[i].expected_gain) {
        EXPECT_TRUE(std::isfinite(*advices[i].expected_gain));
        EXPECT_GE(*advices[i].expected_gain, 0.0);
      }
    }
    EXPECT_EQ(tried.size(), search.space().size());
  }
  static void expect_covers(SyntheticSearch::Machine answers) {
    expect_covers(endless(clock_space(6, 4), std::move(answers), {mean_latency_at_most(0.025)}));
  }

  static std::vector<Config> configs(const std::vector<Advice>& advices) {
    std::vector<Config> result;
    for (const Advice& advice : advices) result.push_back(advice.config);
    return result;
  }

  static std::size_t tries(const std::vector<Advice>& advices) {
    const auto is_try = [](const Advice& advice) { return advice.kind == Advice::Kind::kTry; };
    return static_cast<std::size_t>(std::count_if(advices.begin(), advices.end(), is_try));
  }
};

TEST_P(OptimizerConformance, CoversTheSpaceOnceThenStops) { expect_covers(machine); }

TEST_P(OptimizerConformance, CoversTheSpaceWithoutConstraints) { expect_covers(endless(clock_space(6, 4))); }

TEST_P(OptimizerConformance, CoversTheSpaceWhenEverythingFails) {
  for (TrialState state : {TrialState::kFailed, TrialState::kRefused, TrialState::kAborted}) {
    expect_covers([state](const Config&) { return ended(state); });
    expect_covers(endless(clock_space(4, 3), [state](const Config&) { return ended(state); }));
  }
}

TEST_P(OptimizerConformance, CoversTheSpaceWhenEverythingIsEqual) {
  expect_covers([](const Config&) { return measured(0.5, 0.01); });
  expect_covers([](const Config&) { return measured(0.5, 0.9); });
  expect_covers([](const Config&) { return measured(0.0, 0.0); });
}

TEST_P(OptimizerConformance, SurvivesOneDreadfulOutlier) {
  expect_covers([](const Config& config) { return config.number("gpu") == 0.5 ? measured(1e9, 1e9) : machine(config); });
}

TEST_P(OptimizerConformance, SurvivesMissingAndMeaninglessMetrics) {
  expect_covers([](const Config&) { return completed({}); });
  expect_covers([](const Config& config) {
    Outcome outcome = machine(config);
    outcome.metrics.erase(config.number("mem") < 0.6 ? std::string(kEnergy) : std::string(kLatencyMean));
    return outcome;
  });
  expect_covers([](const Config& config) { return config.number("mem") < 0.6 ? measured(std::nan(""), INFINITY) : machine(config); });
}

TEST_P(OptimizerConformance, SurvivesAMixtureOfEndings) {
  expect_covers([](const Config& config) {
    if (config.number("gpu") > 0.9) return ended(TrialState::kRefused);
    if (config.number("mem") < 0.3) return ended(TrialState::kFailed);
    if (config.number("gpu") < 0.2) {
      Outcome aborted = machine(config);
      aborted.state = TrialState::kAborted;
      return aborted;
    }
    return machine(config);
  });
}

TEST_P(OptimizerConformance, CoversARaggedList) {
  std::vector<Config> rows;
  for (double low : {0.25, 0.5, 0.75, 1.0}) {
    for (double high : {0.25, 0.5, 0.75, 1.0}) {
      if (low <= high && low + high != 1.25) rows.push_back({{"floor", low}, {"gpu", high}});
    }
  }
  const std::vector<Parameter> knobs{clock_knob("floor", 4, Role::kClockFloor), clock_knob("gpu", 4)};
  expect_covers(endless(Space::list(knobs, rows).value(), machine, {mean_latency_at_most(0.03)}));
}

TEST_P(OptimizerConformance, CoversCategories) {
  const std::vector<Parameter> knobs{category("precision", {"fp32", "fp16", "int8"}), clock_knob("gpu", 4), knob("batch", {1, 2, 8})};
  const auto answers = [](const Config& config) {
    Outcome outcome = machine(config);
    const double factor = config.get("precision") == Value("fp32") ? 1.0 : 0.6;
    for (auto& [name, estimate] : outcome.metrics) estimate.value *= factor;
    return outcome;
  };
  expect_covers(endless(Space::product(knobs).value(), answers, {mean_latency_at_most(0.05)}));
}

TEST_P(OptimizerConformance, CoversTheSmallestSpaces) {
  expect_covers(endless(clock_space(1, 1)));
  expect_covers(endless(clock_space(2, 1), machine, {mean_latency_at_most(0.025)}));
  expect_covers(endless(clock_space(9, 1), machine, {mean_latency_at_most(0.025)}));
}

TEST_P(OptimizerConformance, MaximisesAndTakesLowerLimits) {
  SyntheticSearch search = endless(clock_space(6, 4),
                                   [](const Config& config) {
                                     Outcome outcome = machine(config);
                                     const double throughput = 1.0 / outcome.metrics.at(std::string(kLatencyMean)).value;
                                     outcome.metrics[std::string(kThroughput)] = {throughput, 0.01 * throughput, 100, {}};
                                     return outcome;
                                   },
                                   {{std::string(kThroughput), Bound::kAtLeast, 40.0}, {std::string(kEnergy), Bound::kAtMost, 0.45}});
  search.objective = {std::string(kThroughput), Direction::kMaximize};
  expect_covers(search);
}

TEST_P(OptimizerConformance, SameSeedSameSequence) {
  SyntheticSearch one = endless(clock_space(), machine, {mean_latency_at_most(0.025)}, 7), two = one;
  const auto optimizer = fresh(), other = fresh();
  EXPECT_EQ(configs(one.run(*optimizer, 14)), configs(two.run(*other, 14)));
}

TEST_P(OptimizerConformance, AnswersLikeAFreshObjectWhateverItWasAskedBefore) {
  SyntheticSearch one = endless(clock_space(8, 5), machine, {mean_latency_at_most(0.025)}, 1);
  SyntheticSearch two = endless(clock_space(5, 8), machine, {}, 2);
  const auto veteran = fresh();
  for (int i = 0; i < 9; ++i) {
    for (SyntheticSearch* search : {&one, &two}) {
      const Advice advice = search->ask(*veteran);
      const Advice first_time = search->ask(*fresh());
      EXPECT_EQ(advice.config, first_time.config);
      EXPECT_EQ(advice.reason, first_time.reason);
      EXPECT_EQ(advice.expected_gain, first_time.expected_gain);
      search->add(advice.config, advice.kind);
    }
  }
}

TEST_P(OptimizerConformance, DoesNotDependOnTheOrderOfTheHistory) {
  SyntheticSearch search = endless(clock_space(), machine, {mean_latency_at_most(0.025)}, 3);
  const auto optimizer = fresh();
  search.run(*optimizer, 10);
  search.add(search.history[4].asked, Advice::Kind::kVerify);
  const Config before = search.ask(*optimizer).config;
  std::reverse(search.history.begin(), search.history.end());
  EXPECT_EQ(search.ask(*optimizer).config, before);
}

TEST_P(OptimizerConformance, DoesNotDependOnTheUnits) {
  const auto scaled = [](const Config& config) {
    Outcome outcome = machine(config);
    for (auto& [name, estimate] : outcome.metrics) {
      estimate.value *= 1000.0;
      *estimate.std_error *= 1000.0;
    }
    return outcome;
  };
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    SyntheticSearch seconds = endless(clock_space(), machine, {mean_latency_at_most(0.025)}, seed);
    SyntheticSearch milliseconds = endless(clock_space(), scaled, {mean_latency_at_most(25.0)}, seed);
    const auto optimizer = fresh();
    EXPECT_EQ(configs(seconds.run(*optimizer, 15)), configs(milliseconds.run(*optimizer, 15))) << "seed " << seed;
  }
}

TEST_P(OptimizerConformance, AsksAgainForASettingThatWasLostOnceOrVoid) {
  for (std::size_t before : {std::size_t{0}, std::size_t{8}}) {
    for (TrialState state : {TrialState::kLost, TrialState::kVoid, TrialState::kRunning}) {
      SyntheticSearch search = endless(clock_space(), machine, {mean_latency_at_most(0.025)});
      const auto optimizer = fresh();
      search.run(*optimizer, before);
      const Config asked = search.ask(*optimizer).config;
      search.add(asked, Advice::Kind::kTry, ended(state));
      EXPECT_EQ(search.ask(*optimizer).config, asked) << to_string(state);
    }
  }
}

TEST_P(OptimizerConformance, GivesUpASettingThatWasLostTwice) {
  SyntheticSearch search = endless(clock_space(), machine, {mean_latency_at_most(0.025)});
  const auto optimizer = fresh();
  const Config asked = search.ask(*optimizer).config;
  search.add(asked, Advice::Kind::kTry, ended(TrialState::kLost));
  search.add(asked, Advice::Kind::kTry, ended(TrialState::kLost));
  EXPECT_FALSE(search.ask(*optimizer).config == asked);
}

TEST_P(OptimizerConformance, NeverProposesTheReferenceOnceItIsMeasured) {
  SyntheticSearch search = endless(clock_space(4, 3), machine, {mean_latency_at_most(0.025)});
  const Config reference = search.problem().reference;
  search.add(reference, Advice::Kind::kReference);
  const auto optimizer = fresh();
  const std::vector<Advice> advices = search.run(*optimizer, 50);
  EXPECT_EQ(advices.back().kind, Advice::Kind::kStop);
  EXPECT_EQ(tries(advices), search.space().size() - 1);
  for (const Advice& advice : advices) EXPECT_FALSE(advice.config == reference);
}

TEST_P(OptimizerConformance, TakesASettingFoundOutsideTheSpaceCalmly) {
  SyntheticSearch search = endless(clock_space(4, 3), machine, {mean_latency_at_most(0.025)});
  search.add({{"gpu", 0.777}, {"mem", 1.0}}, Advice::Kind::kFound);
  expect_covers(search);
}

TEST_P(OptimizerConformance, CountsASettingThatBecameAnotherAsBoth) {
  SyntheticSearch search = endless(clock_space(4, 1));
  Outcome rounded = machine({{"gpu", 0.75}, {"mem", 1.0}});
  rounded.got = {{"gpu", 0.75}};  // what the machine reports need not name every knob
  search.add({{"gpu", 0.5}, {"mem", 1.0}}, Advice::Kind::kTry, rounded);
  const auto optimizer = fresh();
  const std::vector<Advice> advices = search.run(*optimizer, 10);
  EXPECT_EQ(advices.back().kind, Advice::Kind::kStop);
  EXPECT_EQ(tries(advices), 2U);
}

INSTANTIATE_TEST_SUITE_P(Drivers, OptimizerConformance, ::testing::ValuesIn(optimizer_drivers().begin(), optimizer_drivers().end()),
                         [](const auto& instance) { return std::string(instance.param->name); });

}  // namespace
}  // namespace polythrottle
