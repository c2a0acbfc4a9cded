// Knobs of CPUs that are no clocks: a switch whose levels are 0 and 1, and labels that have an order (Role::kOther) or none.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

const std::vector<std::string> kPreferences{"power", "balance_power", "balance_performance", "performance"};

/// Eagerness costs power and buys time; turbo does so once more. The least energy within the limit is one step from both ends.
Outcome eager_machine(const Config& config) {
  const auto name = std::get<std::string>(*config.get("cpu_epp"));
  const double eager = static_cast<double>(std::find(kPreferences.begin(), kPreferences.end(), name) - kPreferences.begin()) / 3.0;
  const double speed = *config.number("cpu") * (0.7 + 0.3 * eager) * (*config.number("cpu_turbo") == 1.0 ? 1.25 : 1.0);
  const double seconds = 0.01 / speed + 0.002;
  return measured((5.0 + 20.0 * std::pow(speed, 2.5)) * seconds, seconds);
}

Space eager_space(Role preference) {
  Parameter epp = category("cpu_epp", kPreferences);
  epp.role = preference;
  return Space::product({clock_knob("cpu", 8), knob("cpu_turbo", {0.0, 1.0}), std::move(epp)}).value();
}

class SwitchesAndLabels : public ::testing::TestWithParam<Role> {};

TEST_P(SwitchesAndLabels, AreSearchedLikeClocks) {
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    SyntheticSearch search(eager_space(GetParam()), eager_machine, {mean_latency_at_most(0.016)}, seed);
    const auto optimizer = make_optimizer("polythrottle").value();
    const auto advices = search.run(*optimizer, 40);
    EXPECT_EQ(advices.back().kind, Advice::Kind::kStop);
    EXPECT_LT(advices.size(), search.space().size() / 2) << "nobody needs to try them all";
    double best = std::numeric_limits<double>::infinity();
    for (CandidateId id = 0; id < search.space().size(); ++id) {
      const Outcome outcome = eager_machine(search.space().config(id));
      if (meets(search.problem().constraints, outcome.metrics)) best = std::min(best, outcome.metrics.at(std::string(kEnergy)).value);
    }
    const auto choice = optimizer->recommend(search.problem(), search.history);
    ASSERT_TRUE(choice);
    EXPECT_TRUE(choice->known_to_meet);
    EXPECT_LT(eager_machine(choice->config).metrics.at(std::string(kEnergy)).value, 1.05 * best) << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Preferences, SwitchesAndLabels, ::testing::Values(Role::kOther, Role::kCategory),
                         [](const auto& role) { return role.param == Role::kOther ? "Ordered" : "Unordered"; });

}  // namespace
}  // namespace polythrottle
