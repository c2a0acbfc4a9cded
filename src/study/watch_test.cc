#include "study/watch.h"

#include <gtest/gtest.h>

#include "host/fake.h"

namespace polythrottle {
namespace {

/// A clock whose reading takes time.
class DearKnob final : public Knob {
 public:
  DearKnob(FakeClock& clock, Seconds cost) : clock_(clock), cost_(cost) {}
  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override {
    ++reads;
    return Value(300e6);
  }
  Result<Value> write(const Value& wanted) override { return wanted; }
  std::vector<std::string> paths() const override { return {}; }
  Result<std::optional<Value>> actual() override {
    ++looks;
    clock_.advance(cost_);
    return std::optional<Value>(300e6);
  }
  int reads = 0, looks = 0;

 private:
  FakeClock& clock_;
  Seconds cost_;
  Parameter parameter_{"gpu_max_hz", "Hz", Role::kComputeClock, {300e6}, ""};
};

struct Looked {
  int looks, reads;
  std::size_t judged;
};

/// Watches for `idle`, and then for `time` under load.
Looked watch_for(Seconds time, Seconds cost, const Watch::Pace& pace = {}, Seconds idle = Seconds(0)) {
  FakeClock clock;
  std::vector<std::unique_ptr<Knob>> knobs;
  auto knob = std::make_unique<DearKnob>(clock, cost);
  const DearKnob& seen = *knob;
  knobs.push_back(std::move(knob));
  Watch watch(clock, knobs, {{"gpu_max_hz", 300e6}}, pace);
  clock.advance(idle);
  watch.judge_from_now();
  clock.advance(time);
  const auto watched = watch.end();
  clock.advance(time);  // nobody looks any more
  return {seen.looks, seen.reads, watched.clocks.at(0).hertz.size()};
}

TEST(Watch, LooksAtClocksOftenAndAtSettingsNowAndThen) {
  const auto looked = watch_for(Seconds(2), Seconds(0));
  EXPECT_EQ(looked.looks, 40);         // every 50 ms
  EXPECT_EQ(looked.reads, 10);         // every 200 ms
  EXPECT_EQ(looked.judged, 40U - 4U);  // not in the first quarter of a second
}

TEST(Watch, ADearClockIsReadLessOftenSoThatAllTakeAHundredth) {
  const auto looked = watch_for(Seconds(100), Seconds(0.01));
  // Two kinds of reading share a hundredth: half of it is one reading of 10 ms in 2 s.
  EXPECT_GE(looked.looks, 45);
  EXPECT_LE(looked.looks, 51);
  EXPECT_GT(looked.reads, 400);  // the cheap one goes on as before
}

TEST(Watch, JudgesNoClockBeforeTheLoadBegins) {
  const auto looked = watch_for(Seconds(1), Seconds(0), {}, Seconds(3));
  EXPECT_EQ(looked.looks, 80);
  EXPECT_EQ(looked.reads, 20);  // settings are compared all the time
  EXPECT_EQ(looked.judged, 20U);
}

TEST(Watch, ADearClockIsReadAsOftenAsAVerdictInTheShortestWindowNeeds) {
  const Seconds cost(0.0027);  // five policies of tegra194-cpufreq
  const auto looked = watch_for(Seconds(1), cost, {.window = Seconds(1)}, Seconds(2));
  EXPECT_GE(looked.judged, kFewestReadings);
  EXPECT_LE(looked.looks * cost, 0.03 * Seconds(3));
  EXPECT_LT(watch_for(Seconds(1), cost, {}, Seconds(2)).judged, kFewestReadings);
}

TEST(Watch, NoVerdictIsWorthMoreThanThreeHundredthsOfTheTime) {
  const Seconds cost(0.05);
  const auto looked = watch_for(Seconds(100), cost, {.window = Seconds(1)});
  EXPECT_LE(looked.looks * cost, 0.031 * Seconds(100));  // half a tick early is allowed
}

}  // namespace
}  // namespace polythrottle
