#include "study/history.h"

#include <gtest/gtest.h>

namespace polythrottle {
namespace {

const std::vector<Constraint> kLimits{{std::string(kLatencyMean), Bound::kAtMost, 0.010}, {std::string(kPower), Bound::kAtMost, 15.0}};

Trial trial(Advice::Kind kind, TrialState state, double latency = 0.005, double watts = 10.0) {
  Trial t;
  t.advice.kind = kind;
  t.state = t.outcome.state = state;
  if (state == TrialState::kCompleted) {
    t.outcome.metrics[std::string(kLatencyMean)] = {latency, {}, 100, {}};
    t.outcome.metrics[std::string(kPower)] = {watts, {}, 100, {}};
  }
  return t;
}

TEST(Explored, CountsWhatTaughtSomethingAndWasNoRepeat) {
  using enum Advice::Kind;
  const std::vector<Trial> history{
      trial(kReference, TrialState::kCompleted), trial(kFound, TrialState::kCompleted),  trial(kTry, TrialState::kAborted),
      trial(kTry, TrialState::kRefused),         trial(kTry, TrialState::kVoid),         trial(kTry, TrialState::kLost),
      trial(kVerify, TrialState::kCompleted),    trial(kConfirm, TrialState::kCompleted)};
  EXPECT_EQ(explored(history), 4U);
}

TEST(FirstReference, IsTheFirstThatWasCompleted) {
  const std::vector<Trial> history{trial(Advice::Kind::kTry, TrialState::kCompleted), trial(Advice::Kind::kReference, TrialState::kVoid),
                                   trial(Advice::Kind::kReference, TrialState::kCompleted)};
  EXPECT_EQ(first_reference(history), &history[2]);
  EXPECT_EQ(first_reference(std::span(history).first(2)), nullptr);
}

TEST(SearchedInViolation, CountsAbortedTrialsAndEveryLimitButNoRepeatAndNotTheReference) {
  using enum Advice::Kind;
  const std::vector<Trial> history{trial(kReference, TrialState::kCompleted, 0.020),
                                   trial(kFound, TrialState::kCompleted, 0.020),  // the second counts
                                   trial(kTry, TrialState::kCompleted, 0.010),
                                   trial(kTry, TrialState::kCompleted, 0.02, 10),  // the second counts
                                   trial(kTry, TrialState::kCompleted, 0.005, 20),
                                   trial(kTry, TrialState::kAborted),  // both count
                                   trial(kVerify, TrialState::kCompleted, 0.020),
                                   trial(kConfirm, TrialState::kCompleted, 0.020),
                                   trial(kTry, TrialState::kFailed),
                                   trial(kTry, TrialState::kVoid)};
  EXPECT_EQ(searched_in_violation(history, kLimits), 4U);
}

}  // namespace
}  // namespace polythrottle
