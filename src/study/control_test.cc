#include "study/control.h"

#include <gtest/gtest.h>

#include "study/one_trial.h"
#include "study/proof.h"

namespace polythrottle {
namespace {

Trial trial(double batch, TrialState state, std::string note = {}) {
  Trial out;
  out.state = out.outcome.state = state;
  out.asked = {{"batch", batch}};
  out.outcome.note = std::move(note);
  return out;
}

Trial proved(double batch, Proof proof, TrialState state = TrialState::kCompleted) {
  Trial out = trial(batch, state);
  out.outcome.notes = {proof_remark({.proof = proof, .text = proof == Proof::kUnseen ? "cpu_hz: asleep" : ""})};
  return out;
}

TEST(Control, ASettingCountsOnceAsTheBestItWasSeenToDo) {
  const auto count = count_proofs(std::vector{proved(1, Proof::kUnseen), proved(1, Proof::kProved), proved(1, Proof::kUnseen),
                                              proved(2, Proof::kNotContradicted), proved(4, Proof::kUnseen),
                                              proved(6, Proof::kUnseen, TrialState::kAborted),
                                              proved(8, Proof::kContradicted, TrialState::kRefused), trial(16, TrialState::kCompleted)});
  EXPECT_EQ(count.proved, 1U);
  EXPECT_EQ(count.not_contradicted, 1U);
  EXPECT_EQ(count.unseen, 1U);
  EXPECT_EQ(count.why_unseen, "cpu_hz: asleep");
}

TEST(Control, ActuationIsOfTheTrialsThatSetSomethingAndWritesAreWeighedByTheirNumber) {
  EXPECT_FALSE(actuation_cost(std::vector{trial(1, TrialState::kCompleted)}));
  Trial first = trial(1, TrialState::kCompleted), second = trial(2, TrialState::kRefused), third = trial(2, TrialState::kCompleted);
  first.outcome.metrics = {{std::string(kActuation), {0.150, {}, 1, {}}}, {std::string(kWrite), {0.010, {}, 9, {}}}};
  second.outcome.metrics = {{std::string(kActuation), {0.020, {}, 1, {}}}, {std::string(kWrite), {0.020, {}, 1, {}}}};
  third.outcome.metrics = {{std::string(kActuation), {0.001, {}, 1, {}}}};
  const auto cost = actuation_cost(std::vector{first, second, third, trial(4, TrialState::kCompleted)});
  ASSERT_TRUE(cost);
  EXPECT_EQ(cost->configurations, 3U);
  EXPECT_DOUBLE_EQ(cost->median_seconds, 0.020);
  EXPECT_DOUBLE_EQ(cost->most_seconds, 0.150);
  EXPECT_EQ(cost->writes, 10U);
  EXPECT_DOUBLE_EQ(*cost->write_seconds, 0.011);
}

TEST(Control, MishapsAreGatheredByTheirReason) {
  const auto found = mishaps(std::vector{trial(1, TrialState::kCompleted), trial(2, TrialState::kVoid, "somebody else set it"),
                                         trial(2, TrialState::kRefused, "no"), trial(2, TrialState::kVoid, "somebody else set it"),
                                         trial(2, TrialState::kVoid, kInterruptedNote), trial(2, TrialState::kLost, "we died")});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].state, TrialState::kVoid);
  EXPECT_EQ(found[0].trials, 2U);
  EXPECT_EQ(found[1].note, "no");
}

}  // namespace
}  // namespace polythrottle
