#include "study/facts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "study/runner.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

std::vector<Parameter> knobs() {
  return {{"batch", "", Role::kBatch, {1.0, 2.0, 4.0}, "inferences at a time"},
          {"precision", "", Role::kCategory, {std::string("fp16"), std::string("fp32")}, ""}};
}

StudyFacts facts_of(const Space& space) {
  return {{fact::kSpace, to_json(space.parameters()).dump()},
          {fact::kAllowed, space.ranges()},
          {fact::kReference, R"({"batch":1,"precision":"fp32"})"}};
}

TEST(SpaceOf, RebuildsTheCandidatesUnderTheirIds) {
  const auto space = Space::product(knobs(), [](const Config& c) { return c.number("batch") != 2.0; }).value();
  const auto again = space_of(facts_of(space)).value();
  ASSERT_EQ(again.size(), 4U);
  for (CandidateId id = 0; id < space.size(); ++id) EXPECT_EQ(again.config(id), space.config(id));
  EXPECT_EQ(again.parameters()[0].role, Role::kBatch);
}

TEST(SpaceOf, SaysWhatIsMissingOrDamaged) {
  auto facts = facts_of(Space::product(knobs()).value());
  facts[fact::kAllowed] = "0-99";
  EXPECT_EQ(space_of(facts).error().code, Errc::kCorrupt);
  facts[fact::kSpace] = "[{}]";
  EXPECT_EQ(space_of(facts).error().code, Errc::kCorrupt);
  facts.erase(fact::kAllowed);
  EXPECT_EQ(space_of(facts).error().code, Errc::kNotFound);
  EXPECT_EQ(space_of(facts).error().what, "the study does not list its candidates");
}

TEST(StoppedFacts, ReadBackAndARunningStudyHasNoChoice) {
  StudyEnd end{StopReason::kOptimizer, "enough", 0.003, Recommendation{Config{{"batch", 2.0}}, 0.93, true}};
  auto facts = stopped_facts(end);
  EXPECT_EQ(facts.at(fact::kStop), R"({"reason":"optimizer","text":"enough","expected_gain":0.003})");
  const auto choice = choice_of(facts).value();
  EXPECT_EQ(choice->config, (Config{{"batch", 2.0}}));
  EXPECT_EQ(choice->probability_met, 0.93);
  EXPECT_TRUE(choice->known_to_meet);
  for (const auto& [key, value] : running_facts()) facts[key] = value;
  EXPECT_FALSE(choice_of(facts).value());
  EXPECT_FALSE(choice_of({}).value());
}

TEST(Earlier, IsReadWithItsParametersReferenceAndTrials) {
  const auto journal = memory_journal();
  ASSERT_TRUE(journal->describe(facts_of(Space::product(knobs()).value())));
  const Config reference{{"batch", 1.0}, {"precision", std::string("fp32")}};
  const TrialId id = journal->begin({Advice::Kind::kReference, reference, "", {}}, 0, 0.0).value();
  EXPECT_EQ(earlier_study("old", *journal).error().code, Errc::kNotFound);
  ASSERT_TRUE(journal->finish(id, Outcome{}, 1.0));
  const auto earlier = earlier_study("old", *journal).value();
  EXPECT_EQ(earlier.name, "old");
  EXPECT_EQ(earlier.parameters.size(), 2U);
  EXPECT_EQ(earlier.reference, reference);
  EXPECT_EQ(earlier.history.size(), 1U);
  EXPECT_EQ(earlier_study("empty", *memory_journal()).error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace polythrottle
