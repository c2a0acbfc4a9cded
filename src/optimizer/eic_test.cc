#include "optimizer/eic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

constexpr double kLimit = 0.025;

std::unique_ptr<Optimizer> eic(const EicOptions& options = {}) { return make_eic(options).value(); }

SyntheticSearch bowl(std::uint64_t seed, SyntheticSearch::Machine answers = machine) {
  return SyntheticSearch(clock_space(13, 11), std::move(answers), {mean_latency_at_most(kLimit)}, seed);
}

double energy_of(const Outcome& outcome) { return outcome.metrics.at(std::string(kEnergy)).value; }

double least_feasible_energy(const SyntheticSearch& search) {
  double least = std::numeric_limits<double>::infinity();
  for (CandidateId id = 0; id < search.space().size(); ++id) {
    const Outcome outcome = machine(search.space().config(id));
    if (meets(search.problem().constraints, outcome.metrics)) least = std::min(least, energy_of(outcome));
  }
  return least;
}

/// Trials until something feasible within 5 % of the best was measured.
std::size_t trials_to_near_optimum(Optimizer& optimizer, std::uint64_t seed) {
  SyntheticSearch search = bowl(seed);
  const double least = least_feasible_energy(search);
  for (std::size_t trials = 1; trials <= search.space().size(); ++trials) {
    search.add(search.ask(optimizer).config);
    const Outcome& last = search.history.back().outcome;
    if (meets(search.problem().constraints, last.metrics) && energy_of(last) <= 1.05 * least) return trials;
  }
  return search.space().size();
}

TEST(Eic, NeedsFarFewerTrialsThanRandomSearch) {
  const auto optimizer = eic(), random = make_optimizer("random").value();
  double mine = 0.0, theirs = 0.0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    mine += static_cast<double>(trials_to_near_optimum(*optimizer, seed)) / 10.0;
    theirs += static_cast<double>(trials_to_near_optimum(*random, seed)) / 10.0;
  }
  EXPECT_LT(mine, 15.0);
  EXPECT_LT(mine, 0.7 * theirs);
}

TEST(Eic, StartsWithFiveRandomSettings) {
  SyntheticSearch search = bowl(4), same = bowl(4);
  const std::vector<Advice> mine = search.run(*eic(), 6), random = same.run(*make_optimizer("random").value(), 5);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(mine[i].config, random[i].config);
    EXPECT_EQ(mine[i].reason, "random start " + std::to_string(i + 1) + " of 5");
    EXPECT_FALSE(mine[i].expected_gain);
  }
  EXPECT_THAT(mine[5].reason, ::testing::Not(::testing::HasSubstr("random")));
}

TEST(Eic, DoesNotCountReferenceFoundAndVerifyAsStarts) {
  SyntheticSearch search = bowl(4);
  search.add(search.problem().reference, Advice::Kind::kReference);
  search.add(search.space().config(3), Advice::Kind::kFound);
  search.add(search.problem().reference, Advice::Kind::kVerify);
  EXPECT_EQ(search.ask(*eic()).reason, "random start 1 of 5");
}

TEST(Eic, DoesNotCountWhatTaughtNothing) {
  SyntheticSearch search = bowl(4);
  search.add(search.ask(*eic()).config, Advice::Kind::kTry, ended(TrialState::kVoid));
  EXPECT_EQ(search.ask(*eic()).reason, "random start 1 of 5");
}

TEST(Eic, SaysWhatItExpects) {
  SyntheticSearch search = bowl(1);
  search.add(search.problem().reference, Advice::Kind::kReference);
  search.run(*eic(), 5);
  const Advice advice = search.ask(*eic());
  EXPECT_THAT(advice.reason, ::testing::MatchesRegex("EIC .+: expected saving .+ %, P.meets limits. .+"));
  ASSERT_TRUE(advice.expected_gain);
  EXPECT_GT(*advice.expected_gain, 0.0);
  EXPECT_LT(*advice.expected_gain, 1.0);
}

TEST(Eic, ExpectsLessAndLessToGain) {
  SyntheticSearch search = bowl(1);
  search.add(search.problem().reference, Advice::Kind::kReference);
  const std::vector<Advice> advices = search.run(*eic(), 40);
  EXPECT_LT(*advices.back().expected_gain, 0.1 * *advices[5].expected_gain);
}

TEST(Eic, SeeksTheLimitWhenNothingIsFeasibleYet) {
  // Only the fastest corner of the space is fast enough, and everything known is slow.
  SyntheticSearch search(clock_space(13, 11), machine, {mean_latency_at_most(0.0215)}, 0);
  for (CandidateId id : {0U, 30U, 61U, 74U, 90U}) search.add(search.space().config(id));
  const Advice advice = search.ask(*eic());
  EXPECT_THAT(advice.reason, ::testing::HasSubstr("nothing feasible yet: P(meets limits)"));
  EXPECT_FALSE(advice.expected_gain);
  EXPECT_GT(*advice.config.number("gpu"), 0.6);
  EXPECT_GT(*advice.config.number("mem"), 0.6);
}

TEST(Eic, KeepsAwayFromWhereSettingsAreRefused) {
  // Energy falls towards high clocks, where everything above the middle is refused: only belief about refusals can turn the search back.
  const auto refusing = [](const Config& config) {
    const double gpu = *config.number("gpu");
    return gpu > 0.5 ? ended(TrialState::kRefused) : measured(2.0 - gpu - 0.1 * *config.number("mem"), 0.01);
  };
  double trials = 0.0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    SyntheticSearch search(clock_space(12, 10), refusing, {}, seed);
    const auto optimizer = eic();
    for (bool found = false; !found && search.history.size() < 120; trials += 0.1) {
      search.add(search.ask(*optimizer).config);
      const Trial& last = search.history.back();
      found = last.state == TrialState::kCompleted && energy_of(last.outcome) <= 1.41;
    }
  }
  EXPECT_LT(trials, 15.0);  // two settings of 120 are that good, next to 60 that are refused
}

TEST(Eic, LearnsLatencyFromATrialThatWasStoppedEarly) {
  const auto stopping = [](const Config& config) {
    Outcome outcome = machine(config);
    if (outcome.metrics.at(std::string(kLatencyMean)).value > 2.0 * kLimit) {
      outcome.state = TrialState::kAborted;
      outcome.metrics.erase(std::string(kEnergy));
    }
    return outcome;
  };
  SyntheticSearch search = bowl(2, stopping);
  search.run(*eic(), 14);
  const auto stopped = std::count_if(search.history.begin() + 5, search.history.end(),
                                     [](const Trial& trial) { return trial.state == TrialState::kAborted; });
  EXPECT_LE(stopped, 2);  // a third of the space is that slow
}

TEST(Eic, DoesNotBuildOnAPercentileOfTooFewRequests) {
  const auto few = [](const Config& config) {
    Outcome outcome = machine(config);
    const double latency = outcome.metrics.at(std::string(kLatencyMean)).value;
    outcome.metrics[std::string(kLatencyP99)] = {1.1 * latency, 0.01 * latency, 100, {}};  // 299 are needed
    return outcome;
  };
  SyntheticSearch search(clock_space(), few, {{std::string(kLatencyP99), Bound::kAtMost, 10.0}});
  const std::vector<Advice> advices = search.run(*eic(), 8);
  EXPECT_THAT(advices.back().reason, ::testing::HasSubstr("nothing feasible yet"));
}

TEST(Eic, PutsAMeasurementWhereItWasMade) {
  // The machine rounds mem = 0.2 up to 1.0, so nothing may be learnt about 0.2 itself: its neighbours stay as uncertain as before.
  SyntheticSearch asked(clock_space(1, 10), machine, {}, 0), rounded = asked;
  for (double mem : {0.4, 0.5, 0.6, 0.7, 1.0}) {
    asked.add({{"gpu", 1.0}, {"mem", mem}});
    rounded.add({{"gpu", 1.0}, {"mem", mem}});
  }
  Outcome outcome = machine({{"gpu", 1.0}, {"mem", 1.0}});
  asked.add({{"gpu", 1.0}, {"mem", 0.2}}, Advice::Kind::kTry, outcome);
  outcome.got = {{"gpu", 1.0}, {"mem", 1.0}};
  rounded.add({{"gpu", 1.0}, {"mem", 0.2}}, Advice::Kind::kTry, outcome);
  EXPECT_NE(asked.ask(*eic()).expected_gain, rounded.ask(*eic()).expected_gain);
}

TEST(Eic, EveryChoiceOfOptionsSearchesWell) {
  for (Kernel kernel : {Kernel::kMatern52, Kernel::kSquaredExponential}) {
    for (Encoding encoding : {Encoding::kIndex, Encoding::kValue, Encoding::kLog}) {
      for (Target target : {Target::kRaw, Target::kLog}) {
        for (Standardisation standardisation : {Standardisation::kMeanAndDeviation, Standardisation::kMedianAndAbsolute}) {
          for (Noise noise : {Noise::kFitted, Noise::kReported}) {
            for (Incumbent incumbent : {Incumbent::kBestMeasured, Incumbent::kBestPosteriorMean}) {
              EicOptions options;
              options.kernel = kernel;
              options.encoding = encoding;
              options.target = target;
              options.standardisation = standardisation;
              options.noise = noise;
              options.incumbent = incumbent;
              EXPECT_LT(trials_to_near_optimum(*eic(options), 1), 30U);
            }
          }
        }
      }
    }
  }
}

TEST(Eic, LogTargetsGiveWayToRawOnesWhereAValueIsNotPositive) {
  EicOptions options;
  options.target = Target::kLog;
  SyntheticSearch search(clock_space(), [](const Config& config) { return measured(*config.number("gpu") - 0.5, 0.01); });
  for (const Advice& advice : search.run(*eic(options), 20)) {
    if (advice.expected_gain) {
      EXPECT_TRUE(std::isfinite(*advice.expected_gain));
    }
  }
  EXPECT_EQ(recommend(search.problem(), search.history)->config.number("gpu"), 0.125);
}

TEST(EicOptions, NamesTheFieldThatIsWrong) {
  EicOptions options;
  options.xi = -0.1;
  EXPECT_THAT(make_eic(options).error().what, ::testing::HasSubstr("xi"));
  options = {};
  options.random_starts = 0;
  EXPECT_THAT(make_eic(options).error().what, ::testing::HasSubstr("random_starts"));
  options = {};
  options.refusal_length_scale = 0.0;
  EXPECT_THAT(make_eic(options).error().what, ::testing::HasSubstr("refusal_length_scale"));
}

}  // namespace
}  // namespace polythrottle
