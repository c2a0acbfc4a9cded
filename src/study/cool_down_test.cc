#include "study/cool_down.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/fake.h"
#include "trial/metric.h"

namespace polythrottle {
namespace {

/// 20 degrees, and what is left of some heat: half of it goes every ten seconds.
class Cooling final : public Gauge {
 public:
  Cooling(const Clock& clock, double heat) : clock_(clock), heat_(heat) {}
  const std::string& name() const override { return name_; }
  Result<double> read() override {
    if (broken_) return fail(Errc::kIo, "no sensor");
    return 20.0 + heat_ * std::exp2(-clock_.now().time_since_epoch().count() / 10.0);
  }
  bool broken_ = false;

 private:
  const Clock& clock_;
  double heat_;
  std::string name_{kTemperature};
};

TEST(CoolDown, WaitsUntilTheMachineIsAsCoolAsItWas) {
  FakeClock clock;
  Cooling gauge(clock, 20.0);
  CoolDown cooling;
  const auto waited = cooling.wait(clock, &gauge, 20.0, Seconds(60), {});
  EXPECT_NEAR(waited.time.count(), 20.0, 1.0);  // 20 degrees to 5
  EXPECT_TRUE(waited.remark.empty());
  EXPECT_LE(*waited.temperature, 25.0);
}

TEST(CoolDown, ACoolMachineWaitsForNothing) {
  FakeClock clock;
  Cooling gauge(clock, 4.0);
  EXPECT_EQ(CoolDown().wait(clock, &gauge, 20.0, Seconds(60), {}).time.count(), 0.0);
  EXPECT_EQ(CoolDown().wait(clock, nullptr, 20.0, Seconds(60), {}).time.count(), 0.0);
  EXPECT_EQ(CoolDown().wait(clock, &gauge, std::nullopt, Seconds(60), {}).time.count(), 0.0);
  gauge.broken_ = true;
  const auto blind = CoolDown().wait(clock, &gauge, 20.0, Seconds(60), {});
  EXPECT_EQ(blind.time.count(), 0.0);
  EXPECT_FALSE(blind.temperature);
  EXPECT_EQ(clock.now().time_since_epoch().count(), 0.0);
}

TEST(CoolDown, GivesUpAtTheLimitAndAfterThreeInVainForGood) {
  FakeClock clock;
  Cooling gauge(clock, 1e9);
  CoolDown cooling;
  for (int i = 1; i <= CoolDown::kVainWaits; ++i) {
    const auto waited = cooling.wait(clock, &gauge, 20.0, Seconds(7), {});
    EXPECT_NEAR(waited.time.count(), 7.0, 1e-9);
    EXPECT_TRUE(waited.remark.starts_with(kStillWarm));
    EXPECT_EQ(waited.remark.ends_with("no further trial waits"), i == CoolDown::kVainWaits);
  }
  const auto waited = cooling.wait(clock, &gauge, 20.0, Seconds(7), {});
  EXPECT_EQ(waited.time.count(), 0.0);
  EXPECT_TRUE(waited.temperature.has_value());  // what it is, is kept all the same
}

TEST(CoolDown, StopsWhenAskedTo) {
  FakeClock clock;
  Cooling gauge(clock, 1e9);
  std::stop_source stop;
  const auto ticker = clock.every(Seconds(3), [&] { stop.request_stop(); });
  EXPECT_NEAR(CoolDown().wait(clock, &gauge, 20.0, Seconds(60), stop.get_token()).time.count(), 3.0, 1.1);
}

}  // namespace
}  // namespace polythrottle
