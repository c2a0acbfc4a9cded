#include "study/drift.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle {
namespace {

using enum Advice::Kind;
const Config kReferenceSetting{{"batch", 1.0}};

class ReferenceHistory : public testing::Test {
 protected:
  void add(Advice::Kind kind, double joules, double relative_error = 0.003, TrialState state = TrialState::kCompleted) {
    Trial trial;
    trial.id = static_cast<TrialId>(history_.size()) + 1;
    trial.state = trial.outcome.state = state;
    trial.asked = kind == kTry ? Config{{"batch", 2.0}} : kReferenceSetting;
    trial.advice = {kind, trial.asked, "", {}};
    if (state == TrialState::kCompleted)
      trial.outcome.metrics[std::string(kEnergy)] = {joules, relative_error * joules, 100, {{"gain", 0.05}}};
    history_.push_back(trial);
  }
  void tries(int count) {
    for (int i = 0; i < count; ++i) add(kTry, 0.7);
  }
  Drift drift() const { return find_drift(history_, kReferenceSetting, kEnergy); }
  bool due(std::size_t every = 8) const { return check_due(history_, kReferenceSetting, kEnergy, every); }

  std::vector<Trial> history_;
};

TEST_F(ReferenceHistory, ASteadyReferenceShowsNone) {
  add(kReference, 1.0);
  tries(8);
  add(kCheck, 1.004);
  add(kConfirm, 0.996);
  EXPECT_FALSE(drift().drifted);
  ASSERT_EQ(drift().checks.size(), 2U);
  EXPECT_NEAR(drift().checks[0].ratio, 1.004, 1e-12);
  EXPECT_NEAR(drift().checks[0].std_error, 1.004 * 0.003 * std::sqrt(2.0), 1e-6);  // the meter's gain cancels
}

TEST_F(ReferenceHistory, TwoInARowAreADriftAndNameTheTrialsBetween) {
  add(kReference, 1.0);
  tries(8);
  add(kCheck, 1.001);
  tries(8);
  add(kCheck, 1.05);
  EXPECT_FALSE(drift().drifted);  // one alone may be a visit that was off
  add(kCheck, 1.06);
  ASSERT_TRUE(drift().drifted);
  EXPECT_EQ(drift().last_good, 10);
  EXPECT_EQ(drift().found, 19);
  EXPECT_NEAR(drift().ratio, 1.055, 1e-12);
}

TEST_F(ReferenceHistory, OneThatIsOffToEachSideIsScatter) {
  add(kReference, 1.0);
  add(kCheck, 1.05);
  add(kCheck, 0.95);
  EXPECT_FALSE(drift().drifted);
}

TEST_F(ReferenceHistory, WhatIsWithinItsErrorsIsNoDrift) {
  add(kReference, 1.0, 0.02);
  add(kCheck, 1.05, 0.02);
  add(kCheck, 1.05, 0.02);
  EXPECT_FALSE(drift().drifted);
}

TEST_F(ReferenceHistory, VoidChecksAndOtherSettingsSayNothing) {
  add(kReference, 1.0);
  tries(3);
  add(kCheck, 9.9, 0.003, TrialState::kVoid);
  EXPECT_TRUE(drift().checks.empty());
  EXPECT_TRUE(find_drift({}, kReferenceSetting, kEnergy).checks.empty());
}

TEST_F(ReferenceHistory, IsDueAfterSoManyTrialsSinceItsLastMeasurement) {
  add(kReference, 1.0);
  tries(7);
  EXPECT_FALSE(due());
  tries(1);
  EXPECT_TRUE(due());
  EXPECT_FALSE(due(0));
  add(kCheck, 1.0);
  EXPECT_FALSE(due());
  tries(8);
  add(kCheck, 1.0, 0.003, TrialState::kVoid);
  EXPECT_FALSE(due());  // no endless checks on a machine that spoils each
}

TEST_F(ReferenceHistory, ACheckThatIsOffIsMadeOnceMore) {
  add(kReference, 1.0);
  tries(8);
  add(kCheck, 1.05);
  EXPECT_TRUE(due());
  add(kCheck, 1.05);
  EXPECT_FALSE(due());
}

}  // namespace
}  // namespace polythrottle
