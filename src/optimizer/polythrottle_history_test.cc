// Histories that nobody would wish for: the next advice and the choice must make sense all the same.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

using Kind = Advice::Kind;

std::unique_ptr<Optimizer> fresh() { return make_optimizer("polythrottle").value(); }

Config at(double gpu, double mem) { return {{"gpu", gpu}, {"mem", mem}}; }

const std::vector<Config>& settings() {
  static const std::vector<Config> list{at(1, 1), at(0.75, 1), at(0.5, 0.75), at(0.25, 1), at(1, 0.25), at(0.625, 0.5), at(0.875, 0.75)};
  return list;
}

struct Case {
  const char* name;
  SyntheticSearch::Machine answers;
  std::vector<Config> asked = settings();
};

Outcome aborted(Outcome outcome) {
  outcome.state = TrialState::kAborted;
  return outcome;
}

/// The machine's answer with every estimate changed.
template <class Change>
SyntheticSearch::Machine changed(Change change) {
  return [change](const Config& config) {
    Outcome outcome = machine(config);
    for (auto& [name, estimate] : outcome.metrics) change(estimate);
    return outcome;
  };
}

std::vector<Case> cases() {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();
  std::vector<Case> out{
      {"nothing", machine, {}},
      {"one", machine, {at(1, 1)}},
      {"one that is not the reference", machine, {at(0.25, 0.25)}},
      {"all failed", [](const Config&) { return ended(TrialState::kFailed); }},
      {"all refused", [](const Config&) { return ended(TrialState::kRefused); }},
      {"all aborted", [](const Config&) { return ended(TrialState::kAborted); }},
      {"all aborted for the limit", [](const Config&) { return aborted(measured(1.0, 0.5)); }},
      {"all lost twice", [](const Config&) { return ended(TrialState::kLost); }, {at(1, 1), at(1, 1), at(0.5, 0.5), at(0.5, 0.5)}},
      {"all void", [](const Config&) { return ended(TrialState::kVoid); }},
      {"all equal", [](const Config&) { return measured(0.5, 0.01); }},
      {"all equal and too slow", [](const Config&) { return measured(0.5, 0.9); }},
      {"all zero", [](const Config&) { return measured(0.0, 0.0); }},
      {"one looked at many times", machine, {at(1, 1), at(1, 1), at(1, 1), at(1, 1), at(1, 1), at(1, 1)}},
      {"each looked at twice", machine, {at(1, 1), at(0.5, 1), at(1, 1), at(0.5, 1)}},
      {"no metrics", [](const Config&) { return completed({}); }},
      {"metrics nobody asked for",
       [](const Config&) {
         return completed({{"unheard_of", {1.0, 0.1, 10, {}}}});
       }},
      {"away from the space", machine, {{{"gpu", 0.33}, {"mem", 1.0}}, {{"other", 1.0}}}},
      {"no errors stated", changed([](Estimate& e) { e.std_error.reset(); })},
      {"no samples stated", changed([](Estimate& e) { e.samples.reset(); })},
      {"no samples", changed([](Estimate& e) { e.samples = 0; })},
  };
  for (const double value : {1e9, 1e-9, 1e-300, 1e300, 0.0, -1.0, kNan, kInf, -kInf}) {
    out.push_back({"one odd energy", [=](const Config& c) { return c == at(0.5, 0.75) ? measured(value, 0.02) : machine(c); }});
    out.push_back({"one odd latency", [=](const Config& c) { return c == at(0.5, 0.75) ? measured(0.4, value) : machine(c); }});
    out.push_back({"one odd at the reference", [=](const Config& c) { return c == at(1, 1) ? measured(value, value) : machine(c); }});
    out.push_back({"all odd", [=](const Config&) { return measured(value, value); }});
    out.push_back({"odd errors", changed([=](Estimate& e) { e.std_error = value; })});
    out.push_back({"stopped at odd values", [=](const Config& c) { return c == at(1, 1) ? machine(c) : aborted(measured(value, value)); }});
  }
  return out;
}

/// One more advice and the choice, both sound.
void expect_sound(SyntheticSearch& search, Optimizer& optimizer) {
  const auto advice = optimizer.ask(search.problem(), search.history);
  ASSERT_TRUE(advice) << advice.error().text();
  EXPECT_FALSE(advice->reason.empty());
  if (advice->expected_gain) {
    EXPECT_TRUE(*advice->expected_gain >= 0.0 && std::isfinite(*advice->expected_gain)) << *advice->expected_gain;
  }
  const auto seen = [&](const Config& config) {
    const std::vector<Trial> taught = teaching(search.history);
    return std::any_of(taught.begin(), taught.end(), [&](const Trial& t) { return t.asked == config; });
  };
  if (advice->kind == Kind::kStop) {
    EXPECT_TRUE(advice->config.empty());
  } else {
    EXPECT_TRUE(search.space().find(advice->config)) << advice->config.text();
    EXPECT_EQ(seen(advice->config), advice->kind == Kind::kVerify) << advice->config.text();
  }
  if (const auto choice = optimizer.recommend(search.problem(), search.history)) {
    EXPECT_TRUE(seen(choice->config)) << choice->config.text();
    EXPECT_TRUE(choice->probability_met >= 0.0 && choice->probability_met <= 1.0) << choice->probability_met;
  }
}

class PolyThrottleHistory : public ::testing::TestWithParam<Explore> {};

TEST_P(PolyThrottleHistory, HoweverOddLeavesSoundAdvice) {
  const auto optimizer = fresh();
  for (const bool maximise : {false, true}) {
    for (const Case& c : cases()) {
      SCOPED_TRACE(c.name);
      SyntheticSearch search(clock_space(8, 4), c.answers, {mean_latency_at_most(0.025)});
      search.search.explore = GetParam();
      if (maximise) search.objective.direction = Direction::kMaximize;
      for (const Config& config : c.asked) search.add(config);
      expect_sound(search, *optimizer);
    }
  }
}

TEST_P(PolyThrottleHistory, MayLackTheMetricOfAnObjectiveOrALimit) {
  const auto optimizer = fresh();
  for (const std::string_view metric : {kPower, kThroughput, kTemperature, kMemory, kLatencyP99, kTrialEnergy, kEnergyProxy}) {
    for (const double limit : {-10.0, 0.0, 1e-9, 5.0, 1e300}) {
      for (const Bound bound : {Bound::kAtMost, Bound::kAtLeast}) {
        SyntheticSearch search(clock_space(8, 4), machine, {{std::string(metric), bound, limit}, mean_latency_at_most(0.025)});
        search.search.explore = GetParam();
        search.add(at(1, 1));
        expect_sound(search, *optimizer);
        search.objective.metric = metric;
        expect_sound(search, *optimizer);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, PolyThrottleHistory, ::testing::Values(Explore::kSafe, Explore::kStrict, Explore::kBold),
                         [](const auto& instance) { return std::string(to_string(instance.param)); });

}  // namespace
}  // namespace polythrottle
