#include "study/read_back.h"

#include <gtest/gtest.h>

namespace polythrottle {
namespace {

class AnyValues final : public KnobGroup {
 public:
  bool allows(const Config&) const override { return true; }
  Status write(const Config&) override { return {}; }
};

class NamedKnob final : public Knob {
 public:
  NamedKnob(std::string name, std::string unit, Role role, KnobGroup* group)
      : parameter_{std::move(name), std::move(unit), role, {1.0}, ""}, group_(group) {}
  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override { return Value(1.0); }
  Result<Value> write(const Value& wanted) override { return wanted; }
  std::vector<std::string> paths() const override { return {}; }
  KnobGroup* group() const override { return group_; }

 private:
  Parameter parameter_;
  KnobGroup* group_;
};

/// A ceiling of a CPU with its turbo switch, and a power cap.
class ReadBack : public ::testing::Test {
 protected:
  ReadBack() {
    knobs.push_back(std::make_unique<NamedKnob>("cpu_turbo", "", Role::kOther, &group));
    knobs.push_back(std::make_unique<NamedKnob>("cpu_hz", "Hz", Role::kHostClock, &group));
    knobs.push_back(std::make_unique<NamedKnob>("power_limit", "W", Role::kPowerCap, nullptr));
  }
  static Config config(double turbo, double hertz, double watts) {
    return {{"cpu_turbo", turbo}, {"cpu_hz", hertz}, {"power_limit", watts}};
  }
  bool held(const Config& before, const Config& asked, const Config& got, TrialState state = TrialState::kCompleted) const {
    Trial trial;
    trial.asked = before;
    trial.state = state;
    return held_before(std::vector{trial}, missed(knobs, asked, got).at(0), asked, knobs);
  }
  AnyValues group;
  std::vector<std::unique_ptr<Knob>> knobs;
};

TEST_F(ReadBack, NamesWhatWasMissedAndWhetherAllOfItIsLower) {
  const Config asked = config(1, 3e9, 20);
  EXPECT_TRUE(missed(knobs, asked, asked).empty());
  EXPECT_FALSE(only_lower(missed(knobs, asked, asked)));
  EXPECT_TRUE(only_lower(missed(knobs, asked, config(1, 2e9, 20))));
  EXPECT_FALSE(only_lower(missed(knobs, asked, config(1, 4e9, 20))));
  EXPECT_FALSE(only_lower(missed(knobs, asked, config(1, 2e9, 10))));  // heat lowers no power limit
}

TEST_F(ReadBack, AValueHeldBeforeIsTheKnobsOwnWithItsSwitch) {
  const Config asked = config(1, 3e9, 20), got = config(1, 2e9, 20);
  EXPECT_TRUE(held(asked, asked, got));
  EXPECT_TRUE(held(config(1, 3e9, 10), asked, got));   // another knob's value does not count
  EXPECT_FALSE(held(config(0, 3e9, 20), asked, got));  // turbo does
  EXPECT_FALSE(held(config(1, 1e9, 20), asked, got));
  EXPECT_FALSE(held(asked, asked, got, TrialState::kRefused));
}

}  // namespace
}  // namespace polythrottle
