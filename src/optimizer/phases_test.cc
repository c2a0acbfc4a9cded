#include "optimizer/phases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

using ::testing::StartsWith;

constexpr double kLimit = 0.030;

std::unique_ptr<Optimizer> eic() { return make_optimizer("eic").value(); }
std::unique_ptr<Optimizer> grid() { return make_optimizer("grid").value(); }

/// Feeding the unit takes CPU time and CPU power: with a slow host clock all is late, with a fast one it draws more.
Outcome fed_machine(const Config& config) {
  Outcome outcome = machine(config);
  const double host = config.number("cpu").value_or(1.0);
  outcome.metrics[std::string(kLatencyMean)].value += 0.002 / host;
  outcome.metrics[std::string(kEnergy)].value *= 0.9 + 0.2 * (host - 0.5) * (host - 0.5);
  return outcome;
}

Space host_space(int cpu_levels, int gpu_levels = 5, int mem_levels = 3) {
  return Space::product({clock_knob("cpu", cpu_levels, Role::kHostClock), clock_knob("gpu", gpu_levels),
                         clock_knob("mem", mem_levels, Role::kMemoryClock)})
      .value();
}

SyntheticSearch search_on(Space space, SyntheticSearch::Machine answers = fed_machine) {
  SyntheticSearch search(std::move(space), std::move(answers), {mean_latency_at_most(kLimit)}, 3);
  search.add(search.problem().reference, Advice::Kind::kReference);
  return search;
}

bool first_phase(const Advice& advice) { return advice.reason.starts_with("phase 1 (CPU clock): "); }

TEST(PaperPhases, SweepsTheHostClockOutwardsFromTheReferenceThenHoldsTheBest) {
  SyntheticSearch search = search_on(host_space(6));
  const auto optimizer = make_paper_phases(grid);
  const auto advices = search.run(*optimizer, 1000);
  // The reference is measured: five other clocks, then the 14 other settings with the clock found best, then the stop.
  ASSERT_EQ(advices.size(), 5U + 14U + 1U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_THAT(advices[i].reason, StartsWith("phase 1 (CPU clock): "));
    EXPECT_EQ(advices[i].config, (Config{{"cpu", (5.0 - static_cast<double>(i)) / 6.0}, {"gpu", 1.0}, {"mem", 1.0}}));
  }
  for (std::size_t i = 5; i < 19; ++i) {
    EXPECT_THAT(advices[i].reason, StartsWith("phase 2: "));
    EXPECT_EQ(advices[i].config.number("cpu"), 0.5);
  }
  EXPECT_EQ(advices.back().kind, Advice::Kind::kStop);
  EXPECT_EQ(advices.back().reason, "phase 2: every setting with this CPU clock is measured");
}

TEST(PaperPhases, OnlySettingsThatMeetTheLimitsAreEligible) {
  // Every host clock below the highest is cheaper and late.
  SyntheticSearch search = search_on(host_space(4), [](const Config& config) {
    Outcome outcome = machine(config);
    outcome.metrics[std::string(kEnergy)].value *= *config.number("cpu");
    if (*config.number("cpu") < 1.0) outcome.metrics[std::string(kLatencyMean)].value = 1.0;
    return outcome;
  });
  const auto optimizer = make_paper_phases(grid);
  for (const Advice& advice : search.run(*optimizer, 1000)) {
    if (!first_phase(advice) && advice.kind == Advice::Kind::kTry) {
      EXPECT_EQ(advice.config.number("cpu"), 1.0);
    }
  }
}

TEST(PaperPhases, ALaterLookDoesNotTurnTheSecondPhaseAround) {
  SyntheticSearch search = search_on(host_space(6));
  const auto optimizer = make_paper_phases(grid);
  search.run(*optimizer, 7);
  ASSERT_EQ(search.ask(*optimizer).config.number("cpu"), 0.5);
  // The clock that was chosen now looks dreadful, twice.
  for (int i = 0; i < 2; ++i) search.add({{"cpu", 0.5}, {"gpu", 1.0}, {"mem", 1.0}}, Advice::Kind::kVerify, measured(9.0, 0.5));
  EXPECT_EQ(search.ask(*optimizer).config.number("cpu"), 0.5);
}

TEST(PaperPhases, MoreLevelsThanASweepTakesAreLeftToTheOptimizer) {
  SyntheticSearch search = search_on(host_space(20, 3, 1));
  const auto optimizer = make_paper_phases(eic);
  const Advice advice = search.ask(*optimizer);
  EXPECT_EQ(advice.reason, "phase 1 (CPU clock): random start 1 of 5");
  const auto advices = search.run(*optimizer, 1000);
  // eic goes on until all is measured: 19 clocks, 2 GPU clocks, the stop.
  EXPECT_EQ(advices.size(), 19U + 2U + 1U);
}

TEST(PaperPhases, TheSecondPhaseBeginsItsOwnSearch) {
  SyntheticSearch search = search_on(host_space(8));
  const auto optimizer = make_paper_phases(eic);
  search.run(*optimizer, 7);
  // Of the trials of phase 1 only the one that was chosen is in the space of phase 2.
  EXPECT_EQ(search.ask(*optimizer).reason, "phase 2: random start 2 of 5");
}

TEST(PaperPhases, IsAPureFunctionOfTheHistory) {
  const auto once = [](bool fresh_each_time) {
    SyntheticSearch search = search_on(host_space(6));
    auto optimizer = make_paper_phases(eic);
    std::vector<Config> configs;
    for (int i = 0; i < 15; ++i) {
      if (fresh_each_time) optimizer = make_paper_phases(eic);
      const Advice advice = search.ask(*optimizer);
      configs.push_back(advice.config);
      search.add(advice.config);
    }
    return configs;
  };
  EXPECT_EQ(once(false), once(true));
}

TEST(PaperPhases, ALostTrialIsTriedAgainInItsPhase) {
  SyntheticSearch search = search_on(host_space(6));
  const auto optimizer = make_paper_phases(grid);
  for (const std::size_t before : {std::size_t{2}, std::size_t{5}}) {
    search.run(*optimizer, before);
    const Advice advice = search.ask(*optimizer);
    search.add(advice.config, Advice::Kind::kTry, ended(TrialState::kLost));
    EXPECT_EQ(search.ask(*optimizer).config, advice.config);
    EXPECT_EQ(search.ask(*optimizer).reason, advice.reason);
  }
}

TEST(PaperPhases, KeepsToACoupledSpace) {
  // The host clock may not be below the unit's, but at one step; nothing is reachable twice.
  const auto space =
      Space::product({clock_knob("cpu", 4, Role::kHostClock), clock_knob("gpu", 4), clock_knob("mem", 2, Role::kMemoryClock)},
                     [](const Config& c) { return *c.number("cpu") + 0.3 >= *c.number("gpu"); })
          .value();
  SyntheticSearch search = search_on(space);
  const auto optimizer = make_paper_phases(grid);
  const auto advices = search.run(*optimizer, 1000);
  EXPECT_EQ(advices.back().kind, Advice::Kind::kStop);
  std::set<CandidateId> seen;
  std::size_t first = 0;
  for (std::size_t i = 0; i + 1 < advices.size(); ++i) {
    const auto id = space.find(advices[i].config);
    ASSERT_TRUE(id) << advices[i].config.text();
    EXPECT_TRUE(seen.insert(*id).second);
    first += first_phase(advices[i]) ? 1U : 0U;
  }
  EXPECT_EQ(first, 1U);  // with the GPU at its highest only one lower host clock is allowed
}

TEST(PaperPhases, RecommendsOverTheWholeSpace) {
  SyntheticSearch search = search_on(host_space(6));
  const auto optimizer = make_paper_phases(grid);
  search.run(*optimizer, 1000);
  const auto best = optimizer->recommend(search.problem(), search.history).value();
  EXPECT_EQ(best.config, recommend(search.problem(), search.history).value().config);
  EXPECT_EQ(best.config.number("cpu"), 0.5);
}

TEST(PaperPhases, NeedAHostClockWithAChoice) {
  SyntheticSearch search(clock_space());
  const auto optimizer = make_paper_phases(eic);
  const auto advice = optimizer->ask(search.problem(), search.history);
  ASSERT_FALSE(advice);
  EXPECT_EQ(advice.error().code, Errc::kInvalid);
  EXPECT_EQ(advice.error().what, "--phases paper needs a CPU clock knob; this space has none");
  EXPECT_FALSE(check_phases(host_space(1)));
  EXPECT_TRUE(check_phases(host_space(2)));
}

}  // namespace
}  // namespace polythrottle
