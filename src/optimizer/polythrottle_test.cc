#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;
using Kind = Advice::Kind;

constexpr double kLimit = 0.025;

std::unique_ptr<Optimizer> fresh() { return make_optimizer("polythrottle").value(); }

SyntheticSearch bowl(std::uint64_t seed = 0, SyntheticSearch::Machine answers = machine) {
  return SyntheticSearch(clock_space(13, 11), std::move(answers), {mean_latency_at_most(kLimit)}, seed);
}

std::size_t count(const std::vector<Advice>& advices, Kind kind) {
  return static_cast<std::size_t>(std::count_if(advices.begin(), advices.end(), [&](const Advice& a) { return a.kind == kind; }));
}

std::vector<std::pair<Kind, CandidateId>> steps(const SyntheticSearch& search, const std::vector<Advice>& advices) {
  std::vector<std::pair<Kind, CandidateId>> out;
  for (const Advice& a : advices) out.emplace_back(a.kind, a.kind == Kind::kStop ? 0 : search.space().find(a.config).value());
  return out;
}

double energy_of(const Metrics& metrics) { return metrics.at(std::string(kEnergy)).value; }

TEST(PolyThrottle, StartsAtTheReference) {
  const SyntheticSearch search = bowl();
  const Advice advice = search.ask(*fresh());
  EXPECT_EQ(advice.kind, Kind::kTry);
  EXPECT_EQ(advice.config, search.reference);
  SyntheticSearch other = bowl();
  other.reference = other.space().config(40);
  EXPECT_EQ(other.ask(*fresh()).config, other.reference);
}

TEST(PolyThrottle, StartsSomewhereWhereTheReferenceIsNoSetting) {
  SyntheticSearch search = bowl();
  search.reference = {{"gpu", 0.999}, {"mem", 1.0}};
  const Advice advice = search.ask(*fresh());
  EXPECT_EQ(advice.kind, Kind::kTry);
  EXPECT_TRUE(search.space().find(advice.config));
}

TEST(PolyThrottle, GoesOnWhereTheReferenceFails) {
  for (const TrialState state : {TrialState::kFailed, TrialState::kRefused, TrialState::kAborted}) {
    SyntheticSearch search = bowl();
    search.add(search.reference, Kind::kTry, ended(state));
    const Advice advice = search.ask(*fresh());
    EXPECT_EQ(advice.kind, Kind::kTry) << to_string(state);
    EXPECT_FALSE(advice.config == search.reference) << to_string(state);
  }
}

TEST(PolyThrottle, FindsTheBestOfABowlInAFewTrials) {
  double trials = 0.0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    SyntheticSearch search = bowl(seed);
    const auto optimizer = fresh();
    trials += static_cast<double>(search.run(*optimizer, 40).size()) / 5.0;
    double best = std::numeric_limits<double>::infinity();
    for (CandidateId id = 0; id < search.space().size(); ++id) {
      const Outcome outcome = machine(search.space().config(id));
      if (meets(search.problem().constraints, outcome.metrics)) best = std::min(best, energy_of(outcome.metrics));
    }
    const auto choice = optimizer->recommend(search.problem(), search.history);
    ASSERT_TRUE(choice);
    EXPECT_TRUE(choice->known_to_meet);
    EXPECT_LT(energy_of(machine(choice->config).metrics), 1.04 * best) << seed;
  }
  EXPECT_LT(trials, 15.0);
}

TEST(PolyThrottle, DoesNotDependOnTheUnitsOfKnobsAndMetrics) {
  const auto space = [](double unit) {
    std::vector<double> gpu, mem;
    for (int i = 1; i <= 9; ++i) gpu.push_back(unit * 150 * i);
    for (int i = 1; i <= 5; ++i) mem.push_back(unit * 400 * i);
    return Space::product(
               {knob("gpu", gpu, Role::kComputeClock), knob("mem", mem, Role::kMemoryClock), knob("batch", {1, 2, 4}, Role::kBatch)})
        .value();
  };
  const auto answers = [](double unit, double factor) {
    return [=](const Config& config) {
      Outcome outcome = machine({{"gpu", *config.number("gpu") / (1350 * unit)},
                                 {"mem", *config.number("mem") / (2000 * unit)},
                                 {"batch", *config.number("batch")}});
      for (auto& [name, estimate] : outcome.metrics) estimate.value *= factor, *estimate.std_error *= factor;
      return outcome;
    };
  };
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    SyntheticSearch one(space(1.0), answers(1.0, 1.0), {mean_latency_at_most(0.05)}, seed);
    SyntheticSearch two(space(1e6), answers(1e6, 1e3), {mean_latency_at_most(50.0)}, seed);
    one.search.min_gain = two.search.min_gain = 0.0;
    EXPECT_EQ(steps(one, one.run(*fresh(), 12)), steps(two, two.run(*fresh(), 12))) << seed;
  }
}

TEST(PolyThrottle, DoesNotDependOnTheOrderOfTheHistory) {
  SyntheticSearch search = bowl(3);
  search.search.min_gain = 0.0;
  const auto optimizer = fresh();
  for (int trial = 0; trial < 12; ++trial) {
    const Advice advice = search.ask(*optimizer);
    SyntheticSearch shuffled = search;
    std::reverse(shuffled.history.begin(), shuffled.history.end());
    std::rotate(shuffled.history.begin(), shuffled.history.begin() + trial / 3, shuffled.history.end());
    for (std::size_t i = 0; i < shuffled.history.size(); ++i) shuffled.history[i].id = static_cast<TrialId>(i) + 1;
    const Advice other = shuffled.ask(*optimizer);
    EXPECT_EQ(other.kind, advice.kind);
    EXPECT_EQ(other.config, advice.config);
    EXPECT_EQ(other.expected_gain, advice.expected_gain);
    search.add(advice.config, advice.kind);
  }
}

TEST(PolyThrottle, SameSeedSameSequenceFromAFreshAndAUsedObject) {
  const auto veteran = fresh();
  const auto sequence = [](Optimizer& optimizer, std::uint64_t seed) {
    SyntheticSearch search = bowl(seed);
    return steps(search, search.run(optimizer, 12));
  };
  const auto first = sequence(*veteran, 5), other = sequence(*veteran, 6), again = sequence(*veteran, 5);
  EXPECT_EQ(first, again);
  EXPECT_EQ(first, sequence(*fresh(), 5));
  EXPECT_EQ(other, sequence(*fresh(), 6));
}

TEST(PolyThrottle, StopsByItselfAndSaysWhatItMayHaveMissed) {
  SyntheticSearch search = bowl(1);
  const std::vector<Advice> advices = search.run(*fresh(), 40);
  ASSERT_EQ(advices.back().kind, Kind::kStop);
  EXPECT_THAT(advices.back().reason, HasSubstr("expected to save less than 0.4 %"));
  ASSERT_TRUE(advices.back().expected_gain);
  EXPECT_GE(*advices.back().expected_gain, 0.0);
  EXPECT_LT(*advices.back().expected_gain, 0.02);
  for (const Advice& advice : advices) {
    if (advice.expected_gain) {
      EXPECT_LT(*advice.expected_gain, 1.0);
    }
  }
}

TEST(PolyThrottle, StopsSoonerForALargerLeastGain) {
  std::size_t before = std::numeric_limits<std::size_t>::max();
  for (const double min_gain : {0.0005, 0.004, 0.05}) {
    std::size_t trials = 0;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      SyntheticSearch search = bowl(seed);
      search.search.min_gain = min_gain;
      trials += search.run(*fresh(), 60).size();
    }
    EXPECT_LT(trials, before) << min_gain;
    before = trials;
  }
}

TEST(PolyThrottle, LooksAtItsChoiceAgainBeforeItStops) {
  SyntheticSearch search = bowl(2);
  const auto optimizer = fresh();
  const std::vector<Advice> advices = search.run(*optimizer, 40);
  EXPECT_GE(count(advices, Kind::kVerify), 1U);
  EXPECT_LE(count(advices, Kind::kVerify), 5U);
  const Config choice = optimizer->recommend(search.problem(), search.history)->config;
  EXPECT_EQ(std::count_if(search.history.begin(), search.history.end(), [&](const Trial& t) { return t.asked == choice; }), 2);
}

TEST(PolyThrottle, LooksAgainOnlyWhereAnotherLookCanDiffer) {
  SyntheticSearch search = bowl(2, [](const Config& config) {
    Outcome outcome = machine(config);
    for (auto& [name, estimate] : outcome.metrics) estimate.std_error.reset();
    return outcome;
  });
  const std::vector<Advice> advices = search.run(*fresh(), 60);
  EXPECT_EQ(advices.back().kind, Kind::kStop);
  EXPECT_EQ(count(advices, Kind::kVerify), 0U);
}

TEST(PolyThrottle, AShortHorizonStopsEarlier) {
  const auto trials = [](std::optional<double> horizon) {
    std::size_t sum = 0;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      SyntheticSearch search = bowl(seed, [](const Config& config) {
        Outcome outcome = machine(config);
        outcome.metrics[std::string(kTrialEnergy)] = {500.0, {}, {}, {}};
        return outcome;
      });
      search.search.horizon_inferences = horizon;
      search.search.min_gain = 0.0001;
      const std::vector<Advice> advices = search.run(*fresh(), 60);
      EXPECT_EQ(advices.back().kind, Kind::kStop);
      if (horizon && *horizon < 1e5) {
        EXPECT_THAT(advices.back().reason, HasSubstr("within the horizon"));
      }
      sum += advices.size();
    }
    return sum;
  };
  // A trial costs 500 J, an inference about 0.4 J.
  const std::size_t hour = trials(1e4), week = trials(1e6), forever = trials(1e12);
  EXPECT_LT(hour, week);
  EXPECT_LT(week, forever);
  EXPECT_EQ(forever, trials({}));
}

TEST(PolyThrottle, AHorizonMattersOnlyWhereJoulesAreKnownAndWanted) {
  for (const bool energy : {true, false}) {
    SyntheticSearch with = bowl(1), without = bowl(1);
    if (!energy) with.objective.metric = without.objective.metric = kLatencyMean;
    with.search.horizon_inferences = 1.0;  // of an energy that no trial states
    EXPECT_EQ(steps(with, with.run(*fresh(), 40)), steps(without, without.run(*fresh(), 40)));
  }
}

TEST(PolyThrottle, StrictStopsAtOnceWhereNothingMeetsTheLimits) {
  SyntheticSearch search(clock_space(), machine, {mean_latency_at_most(1e-4)});
  search.search.explore = Explore::kStrict;
  const std::vector<Advice> advices = search.run(*fresh(), 10);
  ASSERT_EQ(advices.size(), 2U);
  EXPECT_EQ(advices.back().kind, Kind::kStop);
  EXPECT_THAT(advices.back().reason, HasSubstr("no setting is known to meet the limits"));
}

}  // namespace
}  // namespace polythrottle
