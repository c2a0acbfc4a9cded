#include "report/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "study/synthetic_study.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Binding = KnobExplanation::Binding;
using Side = Neighbour::Side;
using Verdict = Neighbour::Verdict;

const Constraint kSlo{std::string(kLatencyMean), Bound::kAtMost, 0.050};
const Constraint kPowerCap{std::string(kPower), Bound::kAtMost, 15.0};

Explanation about_energy() {
  Explanation e;
  e.summary.constraints = {kSlo, kPowerCap};
  e.summary.provenance = Provenance::kMeasured;
  return e;
}

Neighbour beside(Side side, Verdict verdict, Predicted saving, double met, std::optional<double> slower = {}) {
  Neighbour n{.side = side, .verdict = verdict, .value = side == Side::kBelow ? 900e6 : 1100e6};
  n.compared = Compared{.id = 0, .measured = false, .chance = {met, 0, met}, .saving = saving};
  n.slower = slower;
  return n;
}

std::string verdict(Role role, Binding binding, std::vector<Neighbour> neighbours, std::size_t decisive = 0) {
  KnobExplanation k{.name = "gpu_max_hz", .role = role, .neighbours = std::move(neighbours), .binding = binding, .decisive = decisive};
  return verdict_text(about_energy(), k);
}

constexpr Predicted kSaves{0.021, 0.012, 0.03, 0.99}, kProbablySaves{0.021, -0.002, 0.044, 0.96}, kCosts{-0.03, -0.04, -0.02, 0.0},
    kNothing{0.001, -0.008, 0.01, 0.6};

TEST(Verdict, TheLimitThatBindsIsNamedWithWhatItCosts) {
  EXPECT_EQ(verdict(Role::kComputeClock, Binding::kLimit, {beside(Side::kBelow, Verdict::kLimit, kSaves, 0.03)}),
            "the SLO (mean latency <= 50.00 ms) binds: 900MHz is predicted to save 2.1 % (1.2 to 3.0), but meets it with P 0.03");
  auto over_power = beside(Side::kAbove, Verdict::kLimit, kProbablySaves, 0.2);
  over_power.compared->chance = {0.1, 1, 0.2};
  EXPECT_THAT(verdict(Role::kBatch, Binding::kLimit, {over_power}), HasSubstr("the limit (power <= 15.00 W) probably binds: 1100MHz is"));
  over_power.compared->chance = {0.1, {}, 0.1};
  EXPECT_THAT(verdict(Role::kBatch, Binding::kLimit, {over_power}), HasSubstr("but runs with P 0.10"));
}

TEST(Verdict, ALimitThatBarsALevelIsSaidWithoutAClaimOnEnergy) {
  EXPECT_EQ(verdict(Role::kComputeClock, Binding::kBarred, {beside(Side::kBelow, Verdict::kBarred, kNothing, 0.001)}),
            "the SLO (mean latency <= 50.00 ms) bars 900MHz, which meets it with P <0.01; whether it would save is not known");
}

TEST(Verdict, FlatOrRisingEnergyBelowAClockIsSaidToBeStaticPowerOnlyIfTheRunIsLonger) {
  const std::string flat = verdict(Role::kComputeClock, Binding::kFlat, {beside(Side::kBelow, Verdict::kFlat, kNothing, 1.0, 0.1)});
  EXPECT_EQ(flat,
            "energy per inference is flat below: 900MHz is predicted to save 0.1 % (-0.8 to 1.0), its run 10 % longer; the slower run pays "
            "static power for about as long as the lower clock saves (voltage floor or idle power)");
  EXPECT_THAT(verdict(Role::kComputeClock, Binding::kFlat, {beside(Side::kBelow, Verdict::kFlat, kNothing, 1.0)}),
              Not(HasSubstr("static power")));
  EXPECT_THAT(verdict(Role::kOther, Binding::kFlat, {beside(Side::kBelow, Verdict::kFlat, kNothing, 1.0, 0.1)}), Not(HasSubstr("static")));
  const std::string turns =
      verdict(Role::kHostClock, Binding::kTurns,
              {beside(Side::kBelow, Verdict::kWorse, kCosts, 1.0, 0.1), beside(Side::kAbove, Verdict::kWorse, kCosts, 1.0)});
  EXPECT_THAT(
      turns,
      HasSubstr("energy per inference rises on either side: 900MHz is predicted to take 3.0 % (2.0 to 4.0) more, its run 10 % longer; "
                "1100MHz is predicted to take 3.0 % (2.0 to 4.0) more; the slower run pays static power for longer than"));
}

TEST(Verdict, AMemoryClockSpeaksOfBandwidth) {
  EXPECT_THAT(
      verdict(Role::kMemoryClock, Binding::kEnd,
              {beside(Side::kBelow, Verdict::kWorse, kCosts, 1.0, 0.2), Neighbour{.side = Side::kAbove, .verdict = Verdict::kEnd}}, 1),
      HasSubstr("end of its range, at its highest level: 900MHz is predicted to take 3.0 % (2.0 to 4.0) more, its run 20 % longer; "
                "memory bandwidth: lower slows the run more than it saves"));
}

TEST(Verdict, SaysWhatIsOpenUnknownOrNotAllowed) {
  EXPECT_EQ(
      verdict(Role::kOther, Binding::kOpen, {beside(Side::kAbove, Verdict::kOpen, kSaves, 0.97)}),
      "nothing known binds it: 1100MHz is predicted to save 2.1 % (1.2 to 3.0), and meets the limits with P 0.97; that setting was not "
      "measured");
  EXPECT_EQ(verdict(Role::kOther, Binding::kUnknown, {beside(Side::kAbove, Verdict::kUnknown, kProbablySaves, 0.5)}),
            "not decided: 1100MHz is predicted to save 2.1 % (-0.2 to 4.4), and meets the limits with P 0.50");
  EXPECT_EQ(verdict(Role::kOther, Binding::kCoupled, {Neighbour{.side = Side::kBelow, .verdict = Verdict::kNotAllowed}}),
            "lower levels are not allowed with the other knobs as they are");
  EXPECT_EQ(verdict(Role::kOther, Binding::kSingle, {}), "");
}

TEST(Texts, NumbersNeverClaimMoreThanTheirDigits) {
  EXPECT_EQ(probability_text(0.0), "<0.01");
  EXPECT_EQ(probability_text(1.0), ">0.99");
  EXPECT_EQ(probability_text(0.425), "0.42");
  EXPECT_EQ(percent_text({-0.0001, -0.01, 0.0001, 0.4}), "0.0 % (-1.0 to 0.0)");
  EXPECT_EQ(change_text({std::string(kThroughput), Direction::kMaximize}, kSaves), "gain 2.1 % (1.2 to 3.0)");
  EXPECT_EQ(change_text({std::string(kThroughput), Direction::kMaximize}, kCosts), "lose 3.0 % (2.0 to 4.0)");
}

/// Two knobs whose effects multiply, measured whole; the names are whatever a table may hold.
Explanation whole_study(const std::string& first = "a", std::vector<std::string> limits = {"mean=1s"}) {
  const auto answers = [first](const Config& c) {
    return measured(std::exp(0.1 * *c.number(first) + 0.05 * *c.number("b")), 0.005 * (*c.number(first) - 1.0) + 0.01 * *c.number("b"));
  };
  SyntheticStudy study(Space::product({knob(first, {1, 2, 3}), knob("b", {1, 2, 3}), knob("c", {1, 2}), knob("single", {7})}).value(),
                       answers, std::move(limits));
  study.measure_all();
  return explain(study.summary().value()).value();
}

TEST(ExplanationText, IsOneScreenAndCallsEnergyWhatItIs) {
  const std::string text = render_explanation(whole_study());
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 24);
  EXPECT_THAT(text, HasSubstr("Changes of energy per inference (simulated) are predicted from 18 measured settings of 18"));
  EXPECT_THAT(text, HasSubstr("saves alone"));
  EXPECT_THAT(text, HasSubstr("No interaction is shown: the strongest predicted one, a with b, is "));
  EXPECT_THAT(text, HasSubstr("end of its range, at its lowest level: 2 is predicted to take "));
  EXPECT_THAT(text, Not(HasSubstr("\nsingle")));  // it cannot move
  EXPECT_THAT(text, HasSubstr("  stays "));
}

TEST(ExplanationText, SaysWhatTheAnswerLeavesOut) {
  Explanation e = whole_study();
  e.warm_started = true;
  e.known_to_meet = false;
  e.summary.provenance = Provenance::kEstimated;
  const std::string text = render_explanation(e);
  EXPECT_THAT(text, HasSubstr("The search also knew earlier studies; they are no part of this.\n"));
  EXPECT_THAT(text, HasSubstr("No setting is known to meet the limits; this one is the nearest to it.\n"));
  EXPECT_THAT(text, HasSubstr("The error of the estimate's power model is not in these intervals.\n"));
  e.knobs.front().alone.reset();
  e.strongest.reset();
  EXPECT_THAT(render_explanation(e), HasSubstr("not allowed"));
  EXPECT_THAT(render_explanation(e), HasSubstr("No two moved knobs can be compared"));
  e.strongest = Interaction{"a", "b", {-0.03, -0.04, -0.02, 0.0}};
  EXPECT_THAT(
      render_explanation(e),
      HasSubstr(
          "Strongest interaction: a with b, together they are predicted to save 3.0 % (2.0 to 4.0) less than each alone would suggest."));
}

TEST(ExplanationJson, HoldsTheNumbersOfTheText) {
  const Explanation e = whole_study();
  const auto json = nlohmann::json::parse(render_explanation_json(e));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["provenance"], "simulated");
  EXPECT_EQ(json["best"]["saving"]["ratio"], e.all.saving.ratio);
  EXPECT_EQ(json["best"]["config"]["a"], 1);
  ASSERT_EQ(json["knobs"].size(), 4U);
  EXPECT_EQ(json["knobs"][0]["name"], "a");
  EXPECT_EQ(json["knobs"][0]["alone"]["saving"]["low"], e.knobs[0].alone->saving.low);
  EXPECT_EQ(json["knobs"][0]["alone"]["measured"], true);
  EXPECT_EQ(json["knobs"][0]["binding"], "end");
  EXPECT_EQ(json["knobs"][0]["neighbours"][0]["verdict"], "end");
  EXPECT_EQ(json["knobs"][0]["neighbours"][1]["value"], 2);
  EXPECT_EQ(json["interaction"]["knobs"], nlohmann::json::array({"a", "b"}));
  EXPECT_EQ(json["curve"]["knob"], "a");
  EXPECT_EQ(json["curve"]["points"].size(), 3U);
  EXPECT_EQ(json["settings"]["measured"], 18);
}

TEST(PlotScript, NamesFromAStudyCannotRunAnything) {
  const std::string hostile = "a'\n!touch x; `touch y` \"system('z')\"";
  const std::string script = render_plot_script(whole_study(hostile, {"mean=17ms"}), PlotFormat::kSvg);
  EXPECT_THAT(script, HasSubstr("set terminal svg"));
  EXPECT_THAT(script, HasSubstr("predicted to break mean latency <= 17.00 ms"));
  std::istringstream lines(script);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_FALSE(line.starts_with('!')) << line;
    // Outside single quotes there are only our own words; the one string in double quotes is a line break.
    std::string outside;
    bool inside = false;
    for (const char c : line) {
      if (c == '\'') {
        inside = !inside;
      } else if (!inside) {
        outside += c;
      }
    }
    EXPECT_EQ(outside.find('`'), std::string::npos) << line;
    EXPECT_EQ(outside.find("system"), std::string::npos) << line;
    EXPECT_FALSE(inside) << line;
  }
  EXPECT_THAT(render_plot_script(whole_study(), PlotFormat::kPng), HasSubstr("set terminal pngcairo"));
}

TEST(PlotScript, AStudyThatFoundNothingBetterStillDraws) {
  Explanation e = whole_study();
  for (auto& k : e.knobs) k.moved = false;
  EXPECT_THAT(render_plot_script(e, PlotFormat::kSvg), HasSubstr("No knob differs from the reference."));
  e.curve.reset();
  EXPECT_THAT(render_plot_script(e, PlotFormat::kSvg), Not(HasSubstr("$curve")));
}

Summary asked() {
  Summary s;
  s.constraints = {kSlo, kPowerCap};
  return s;
}

WhatIf::Option option(double batch, double met) { return {Config{{"batch", batch}}, {met, 0, met}, {0.2, 0.15, 0.25}, {}}; }

TEST(WhatIfText, NamesTheTrialWithTheFlagsThatMakeIt) {
  WhatIf w{.best = option(1, 0.99), .next = option(4, 0.7), .expected_gain = 0.031};
  w.next->saving = kProbablySaves;
  const std::string text = render_what_if(asked(), w);
  EXPECT_THAT(text, HasSubstr("Best measured: batch=1, P(meets limits) 0.99.\n"));
  EXPECT_THAT(
      text,
      HasSubstr("Likely better, not measured: batch=4, predicted to save 2.1 % (-0.2 to 4.4) against it, P(meets limits) 0.70. A trial "
                "of it would settle that, and is expected to save 3.1 %.\n"));
  EXPECT_THAT(text, HasSubstr(" --slo mean=0.05s --constraint 'power<=15W' --reference batch=4 --budget 1\n"));
}

TEST(WhatIfText, SaysWhenTheAnswerWouldNotChange) {
  WhatIf w{.best = option(1, 0.99), .next = option(4, 0.7), .settled = true};
  w.next->saving = kNothing;
  EXPECT_THAT(render_what_if(asked(), w), HasSubstr("No single trial is expected to save more than 0.4 %: this answer would not change."));
  w.next.reset();
  EXPECT_THAT(render_what_if(asked(), w), HasSubstr("Every candidate was measured: this answer would not change.\n"));
}

TEST(WhatIfText, WhereNothingMeetsTheLimitsSaysHowLikelyTheRestIs) {
  WhatIf w{.next = option(4, 0.9)};
  EXPECT_THAT(render_what_if(asked(), w),
              HasSubstr("Nothing measured is known to meet these limits. Likely to, and the best of what is: batch=4, P(meets "
                        "limits) 0.90, energy per inference predicted as 200.0 mJ (150.0 mJ to 250.0 mJ; measured).\n"));
  w.next->chance.met = 0.3;
  EXPECT_THAT(render_what_if(asked(), w), HasSubstr("The likeliest to, not measured: batch=4"));
  w.next->chance.met = 0.01;
  EXPECT_THAT(render_what_if(asked(), w), HasSubstr("no other candidate is likely to: batch=4 is the likeliest, with P 0.01."));
  w.next.reset();
  EXPECT_THAT(render_what_if(asked(), w), HasSubstr("and every candidate was measured.\n"));
}

TEST(WhatIfJson, StandsBesideTheAnswer) {
  const WhatIf w{.best = option(1, 0.99), .next = option(4, 0.7), .expected_gain = 0.031};
  const auto json = nlohmann::json::parse(render_json(asked(), &w));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["what_if"]["next"]["config"]["batch"], 4);
  EXPECT_EQ(json["what_if"]["next"]["predicted"]["high"], 0.25);
  EXPECT_EQ(json["what_if"]["expected_gain"], 0.031);
  EXPECT_EQ(json["what_if"]["settled"], false);
  EXPECT_TRUE(nlohmann::json::parse(render_json(asked(), nullptr))["what_if"].is_null());
}

}  // namespace
}  // namespace polythrottle
