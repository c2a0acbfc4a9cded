#include "study/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "study/synthetic_study.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;
using Binding = KnobExplanation::Binding;
using Verdict = Neighbour::Verdict;

constexpr const char* kLoose = "mean=1s";

Outcome exactly(double energy, double latency) {
  Outcome out = measured(energy, latency);
  for (auto& [name, estimate] : out.metrics) estimate.std_error = 0.001 * estimate.value;
  return out;
}

/// Energy is a product of what each knob does, and `together` where both are at 1. Latency is the same everywhere.
SyntheticSearch::Machine product_machine(double together) {
  return [together](const Config& c) {
    const double a = *c.number("a"), b = *c.number("b");
    return exactly(std::exp(0.10 * a + 0.05 * b - (a == 1.0 && b == 1.0 ? together : 0.0)), 0.01);
  };
}

Space two_knobs() { return Space::product({knob("a", {1, 2, 3, 4}), knob("b", {1, 2, 3, 4})}).value(); }

const KnobExplanation& of(const Explanation& e, const std::string& name) {
  for (const auto& k : e.knobs) {
    if (k.name == name) return k;
  }
  throw std::out_of_range(name);
}

TEST(Explain, WhereKnobsMultiplyAloneIsLastAndNothingInteracts) {
  SyntheticStudy study(two_knobs(), product_machine(0.0), {kLoose});
  study.measure_all();
  const auto e = explain(study.summary().value()).value();
  EXPECT_EQ(e.best, (Config{{"a", 1.0}, {"b", 1.0}}));
  EXPECT_EQ(e.knobs.front().name, "a");  // it saves most
  for (const auto& [name, truth] : {std::pair("a", 1.0 - std::exp(-0.3)), std::pair("b", 1.0 - std::exp(-0.15))}) {
    const auto& k = of(e, name);
    for (const auto& saving : {k.alone->saving, k.last->saving}) {
      EXPECT_NEAR(saving.ratio, truth, 0.004) << name;
      EXPECT_LE(saving.low, truth) << name;
      EXPECT_GE(saving.high, truth) << name;
    }
    EXPECT_TRUE(k.alone->measured);
  }
  EXPECT_NEAR(e.all.saving.ratio, 1.0 - std::exp(-0.45), 0.004);
  ASSERT_TRUE(e.strongest);
  EXPECT_TRUE(e.strongest->more.spans_zero()) << e.strongest->more.ratio;
  EXPECT_EQ(e.compared, e.compared_measured);
  EXPECT_EQ(e.measured, 16U);
}

TEST(Explain, FindsWhatTwoKnobsSaveOnlyTogether) {
  SyntheticStudy study(two_knobs(), product_machine(0.1), {kLoose});
  study.measure_all();
  const auto e = explain(study.summary().value()).value();
  ASSERT_TRUE(e.strongest);
  EXPECT_EQ(e.strongest->first + e.strongest->second, "ab");
  EXPECT_NEAR(e.strongest->more.ratio, 1.0 - std::exp(-0.1), 0.01);
  EXPECT_GT(e.strongest->more.low, 0.0);
  EXPECT_NEAR(of(e, "a").last->saving.ratio, 1.0 - std::exp(-0.4), 0.01);
}

TEST(Explain, NamesTheLimitThatBindsAndTheEndsOfRanges) {
  SyntheticStudy study(clock_space(), machine, {"mean=30ms", "power<=1000W"});
  const auto with_power = [](const Config& c) {
    Outcome out = machine(c);
    out.metrics[std::string(kPower)] = {10.0 + *c.number("gpu"), 0.01, 100, {}};
    return out;
  };
  study.search = SyntheticSearch(clock_space(), with_power, study.search.problem().constraints);
  study.search.add(study.search.problem().reference, Advice::Kind::kReference);
  study.measure_all();
  const auto e = explain(study.summary().value()).value();
  EXPECT_TRUE(e.known_to_meet);
  bool bound = false;
  for (const auto& k : e.knobs) {
    if (k.binding != Binding::kLimit) continue;
    bound = true;
    const Compared& beyond = *k.neighbours[k.decisive].compared;
    EXPECT_EQ(beyond.chance.tightest, 0U);
    EXPECT_LT(beyond.chance.tightest_met, 0.5);
    EXPECT_GT(beyond.saving.ratio, 0.0);
    EXPECT_GT(k.neighbours[k.decisive].slower.value_or(0.0), 0.0);
  }
  EXPECT_TRUE(bound);
}

TEST(Explain, SaysWhereEnergyIsFlatAndTheRunOnlyLonger) {
  // Below half the clock the voltage does not fall any further.
  const auto floor = [](const Config& c) {
    const double gpu = *c.number("gpu");
    return exactly(1.0 + 0.5 * std::max(0.0, gpu - 0.5), 0.01 / gpu);
  };
  SyntheticStudy study(Space::product({clock_knob("gpu", 8)}).value(), floor, {kLoose});
  study.measure_all();
  auto facts = study.facts();
  facts[fact::kChoice] = R"({"config":{"gpu":0.5},"probability_met":1,"known_to_meet":true})";
  const auto e = explain(summarize(facts, study.search.history).value()).value();
  const auto& gpu = e.knobs.front();
  ASSERT_EQ(gpu.neighbours.size(), 2U);
  EXPECT_EQ(gpu.neighbours[0].verdict, Verdict::kFlat);
  EXPECT_GT(gpu.neighbours[0].slower.value_or(0.0), 0.2);
  EXPECT_EQ(gpu.neighbours[1].verdict, Verdict::kWorse);
  EXPECT_EQ(gpu.binding, Binding::kFlat);
  EXPECT_EQ(gpu.decisive, 0U);
  ASSERT_TRUE(e.curve);
  EXPECT_EQ(e.curve->points.size(), 8U);
  EXPECT_TRUE(e.curve->points[3].best);
  EXPECT_NEAR(e.curve->points[3].measured->value, 1.0, 1e-9);
  EXPECT_NEAR(e.curve->points[3].predicted.value, 1.0, 0.01);
}

TEST(Explain, SettingsThatAreNoCandidatesAreSaidToBeNone) {
  // Both knobs at once or none: no knob can be moved alone.
  const auto space = Space::product({knob("a", {1, 2}), knob("b", {1, 2}), category("c", {"x", "y"})}, [](const Config& c) {
                       return c.number("a") == c.number("b");
                     }).value();
  SyntheticStudy study(space, [](const Config& c) { return exactly(*c.number("a"), 0.01); }, {kLoose});
  study.measure_all();
  const auto e = explain(study.summary().value()).value();
  const auto& a = of(e, "a");
  EXPECT_TRUE(a.moved);
  EXPECT_FALSE(a.alone || a.last);
  EXPECT_EQ(a.neighbours[0].verdict, Verdict::kEnd);
  EXPECT_EQ(a.neighbours[1].verdict, Verdict::kNotAllowed);
  EXPECT_FALSE(e.strongest);
  EXPECT_EQ(of(e, "c").neighbours.front().side, Neighbour::Side::kOther);
  EXPECT_NEAR(e.all.saving.ratio, 0.5, 0.01);
}

TEST(Explain, FollowsTheStoredChoiceUnderTheStudysOwnLimitsAlone) {
  SyntheticStudy study(two_knobs(), product_machine(0.0), {kLoose});
  study.measure_all();
  auto facts = study.facts();
  facts[fact::kChoice] = R"({"config":{"a":2,"b":1},"probability_met":0.99,"known_to_meet":true})";
  const auto summary = summarize(facts, study.search.history).value();
  const auto own = explain(summary).value();
  EXPECT_TRUE(own.chosen);
  EXPECT_EQ(own.best, (Config{{"a", 2.0}, {"b", 1.0}}));
  // The level below is better, measured, and breaks nothing.
  EXPECT_EQ(of(own, "a").binding, Binding::kOpen);
  const auto other = explain(summary, false).value();
  EXPECT_FALSE(other.chosen);
  EXPECT_EQ(other.best, (Config{{"a", 1.0}, {"b", 1.0}}));
}

TEST(Explain, SaysWhatAStudyLacks) {
  SyntheticStudy study(two_knobs(), product_machine(0.0), {kLoose});
  EXPECT_THAT(explain(study.summary().value()).error().text(), HasSubstr("measured its reference setting alone"));
  study.measure_all();
  auto facts = study.facts();
  facts.erase(fact::kAllowed);
  EXPECT_THAT(explain(summarize(facts, study.search.history).value()).error().text(), HasSubstr("does not list its candidates"));
  auto unmeasured = study.search.history;
  unmeasured.erase(unmeasured.begin());
  EXPECT_THAT(explain(summarize(study.facts(), unmeasured).value()).error().text(), HasSubstr("never measured its reference setting"));
  EXPECT_THAT(explain(study.summary({kLoose, "memory<=1GB"}).value()).error().text(),
              HasSubstr("no trial of the study measured memory_bytes"));
  facts = study.facts();
  facts[fact::kSeed] = "x";
  EXPECT_EQ(explain(summarize(facts, study.search.history).value()).error().code, Errc::kCorrupt);
}

TEST(Explain, KnowsThatEarlierStudiesAreMissing) {
  SyntheticStudy study(two_knobs(), product_machine(0.0), {kLoose});
  study.measure_all();
  auto facts = study.facts();
  for (const auto& [search, expected] : {std::pair(R"({"warm_start":[{"study":"old","trials":9}]})", true),
                                         std::pair(R"({"warm_start":[]})", false), std::pair(R"({"phases":"joint"})", false)}) {
    facts[fact::kSearch] = search;
    EXPECT_EQ(explain(summarize(facts, study.search.history).value())->warm_started, expected) << search;
  }
}

/// A machine of which everything is drawn: shares of time, exponents of power, a voltage floor.
class DrawnMachine {
 public:
  explicit DrawnMachine(std::uint64_t seed) : engine_(seed) {
    for (double& x : drawn_) x = uniform();
  }
  double joules(const Config& c) const { return watts(c) * seconds(c); }
  double seconds(const Config& c) const {
    return 0.004 + (0.004 + 0.01 * drawn_[0]) / *c.number("gpu") + (0.001 + 0.01 * drawn_[1]) / *c.number("mem");
  }
  /// As measured, with errors as stated.
  Outcome operator()(const Config& c) {
    const double e = 0.01 * normal(), l = 0.005 * normal();
    return measured(joules(c) * std::exp(e), seconds(c) * std::exp(l));
  }

 private:
  double watts(const Config& c) const {
    const double volts = std::max(*c.number("gpu"), 0.3 + 0.4 * drawn_[2]), mem = *c.number("mem");
    return 2.0 + 6.0 * drawn_[3] + (5.0 + 15.0 * drawn_[4]) * *c.number("gpu") * volts * volts + (1.0 + 6.0 * drawn_[5]) * mem;
  }
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  double normal() { return std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(2.0 * M_PI * uniform()); }

  std::mt19937_64 engine_;
  std::array<double, 6> drawn_{};
};

struct Tally {
  std::size_t held = 0, of = 0;
  void add(const Predicted& p, double truth) { ++of, held += p.low <= truth && truth <= p.high ? 1U : 0U; }
  double share() const { return static_cast<double>(held) / static_cast<double>(of); }
};

TEST(Explain, IntervalsHoldTheTruth) {
  Tally all, alone, last, neighbours, interactions;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    DrawnMachine drawn(seed);
    const DrawnMachine truth = drawn;
    SyntheticStudy study(
        clock_space(6, 4), [&drawn](const Config& c) { return drawn(c); }, {kLoose}, seed);
    study.search.run(*make_optimizer("random").value(), 8);
    const auto e = explain(study.summary().value()).value();
    const auto at = [&](CandidateId id) { return truth.joules(study.search.space().config(id)); };
    const double reference = truth.joules(study.search.problem().reference), best = truth.joules(e.best);
    all.add(e.all.saving, 1.0 - best / reference);
    for (const auto& k : e.knobs) {
      if (k.alone) alone.add(k.alone->saving, 1.0 - at(k.alone->id) / reference);
      if (k.last) last.add(k.last->saving, 1.0 - best / at(k.last->id));
      for (const auto& n : k.neighbours) {
        if (n.compared) neighbours.add(n.compared->saving, 1.0 - at(n.compared->id) / best);
      }
    }
    // With two knobs the best is where both have moved.
    if (e.strongest) {
      interactions.add(e.strongest->more, 1.0 - best * reference / (at(e.knobs[0].alone->id) * at(e.knobs[1].alone->id)));
    }
  }
  for (const auto& [name, tally] : {std::pair("all", all), std::pair("alone", alone), std::pair("last", last),
                                    std::pair("neighbours", neighbours), std::pair("interactions", interactions)}) {
    EXPECT_GE(tally.share(), 0.85) << name << ": " << tally.held << " of " << tally.of;
    EXPECT_GE(tally.of, 40U) << name;
  }
}

}  // namespace
}  // namespace polythrottle
