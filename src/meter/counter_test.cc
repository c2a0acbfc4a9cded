#include "meter/counter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "host/fake.h"
#include "meter/counter_meter.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;

constexpr long long k32Bits = 4294967296;

Clock::TimePoint after(double seconds) { return Clock::TimePoint(Seconds(seconds)); }

/// Of microjoules, without a word about its width.
Counter unsaid(long long from) {
  Counter counter({.path = "/e"});
  counter.start(from, after(0));
  return counter;
}

TEST(Counter, TakesAStepBackOf32BitsForAWrapWhereItGoesOnAsBefore) {
  Counter counter = unsaid(k32Bits - 15'000'000);
  EXPECT_DOUBLE_EQ(*counter.since(k32Bits - 5'000'000, after(1)), 10.0);
  counter.book(k32Bits - 5'000'000, after(1));
  EXPECT_NEAR(*counter.since(5'000'000, after(2)), 10.0, 1e-9);
  // From 10 W to 2 kW in the very second of the wrap: a reset is more likely.
  EXPECT_EQ(counter.since(1'990'000'000, after(2)).error().code, Errc::kCorrupt);
}

TEST(Counter, OfA32BitKernelTurnsNegativeOnItsWay) {
  Counter counter = unsaid(2'147'483'000);
  EXPECT_NEAR(*counter.since(2'147'493'000 - k32Bits, after(1)), 0.01, 1e-9);
}

TEST(Counter, OnceAbove32BitsIsNotTakenToWrapThere) {
  Counter counter = unsaid(k32Bits + 5'000'000);
  EXPECT_TRUE(std::isinf(counter.wrap_joules()));
  EXPECT_EQ(counter.read_within(), Seconds(0));
  EXPECT_EQ(counter.since(5'000'000, after(1)).error().code, Errc::kCorrupt);
}

TEST(Counter, SaysBackAndForwardApart) {
  Counter counter({.path = "/e", .range = 262143328850});
  counter.start(100'000'000'000, after(0));
  const Error back = counter.since(50'000'000'000, after(1)).error();
  EXPECT_EQ(back.code, Errc::kCorrupt);
  EXPECT_THAT(back.what, HasSubstr("went back from 100000 J to 50000 J in 1 s"));
  const Error forward = counter.since(150'000'000'000, after(1)).error();
  EXPECT_EQ(forward.code, Errc::kCorrupt);
  EXPECT_THAT(forward.what, HasSubstr("jumped from 100000 J to 150000 J in 1 s"));
}

TEST(Counter, StandsStillAfterTwoSecondsOrTwentyRenewals) {
  Counter fine({.path = "/e", .step_joules = 61e-6, .refresh = Seconds(1e-3)});
  fine.start(7, after(0));
  EXPECT_TRUE(fine.moving(7, after(1.9)));
  EXPECT_EQ(fine.moving(7, after(2)).error().code, Errc::kCorrupt);
  EXPECT_TRUE(fine.moving(8, after(2)));
  Counter slow({.path = "/e", .step_joules = 61e-6, .refresh = Seconds(1)});
  slow.start(7, after(0));
  EXPECT_TRUE(slow.moving(7, after(19)));
  EXPECT_FALSE(slow.moving(7, after(20)));
  Counter coarse = unsaid(7);  // a step of a joule takes its time
  EXPECT_TRUE(coarse.moving(7, after(29)));
  EXPECT_FALSE(coarse.moving(7, after(30)));
}

TEST(Counter, EdgeIsItsAgeAndItsStep) {
  Counter counter({.path = "/e", .step_joules = 1e-3, .refresh = Seconds(0.1)});
  counter.start(0, after(0));
  EXPECT_DOUBLE_EQ(counter.edge_joules(), 1e-3 / std::sqrt(12.0)) << "no power was seen yet";
  counter.book(20'000'000, after(2));
  EXPECT_DOUBLE_EQ(counter.edge_joules(), std::hypot(10.0 * 0.1, 1e-3) / std::sqrt(12.0));
  // Readings closer than the counter is renewed do not make a power of their own.
  counter.book(20'000'000, after(2.01));
  EXPECT_DOUBLE_EQ(counter.edge_joules(), std::hypot(10.0 * 0.1, 1e-3) / std::sqrt(12.0));
}

TEST(ObservedRefresh, IsTheDistanceOfItsChanges) {
  /// A counter that is renewed every 4 ms, on a machine where a read takes 0.1 ms.
  class Renewed : public FakeFiles {
   public:
    explicit Renewed(FakeClock& clock) : clock_(clock) {}
    Result<std::string> read(const std::string&) const override {
      clock_.advance(Seconds(1e-4));
      return std::to_string(static_cast<long long>(clock_.now().time_since_epoch().count() / 4e-3)) + "\n";
    }

   private:
    FakeClock& clock_;
  };
  FakeClock clock;
  Renewed files(clock);
  const Host host{files, clock};
  const auto seen = observed_refresh(host, "/e", Seconds(0.05));
  ASSERT_TRUE(seen);
  EXPECT_NEAR(seen->count(), 4e-3, 1e-4);
  FakeFiles still;
  still.nodes["/e"] = "5\n";
  EXPECT_FALSE(observed_refresh({still, clock}, "/e", Seconds(0.05)));
}

TEST(CounterMeter, AGapInWhichItMayHaveWrappedUnseenWidensTheWindowOverItOnly) {
  FakeFiles files;
  files.nodes["/e"] = "0\n";
  FakeClock clock;
  Host host{files, clock};
  const auto meter = counter_meter(host, {{.path = "/e", .range = 1e9, .most_watts = 100}}, {.name = "x", .error_sources = {"gain"}}, 0.05);
  ASSERT_TRUE(meter) << meter.error().text();
  EXPECT_EQ((*meter)->info().read_within, Seconds(5)) << "1000 J at 100 W, read twice";
  const auto read = [&](double seconds, long long count) {
    clock.advance(Seconds(seconds));
    files.nodes["/e"] = std::to_string(count) + "\n";
    return *(*meter)->read();
  };
  const auto opening = read(5, 50'000'000);
  EXPECT_DOUBLE_EQ(opening.sampling_variance, 0.0);
  const auto closing = read(60, 100'000'000);
  EXPECT_DOUBLE_EQ(closing.sampling_variance - opening.sampling_variance, 1000.0 * 1000.0);
  EXPECT_DOUBLE_EQ(read(5, 200'000'000).sampling_variance, closing.sampling_variance);
}

}  // namespace
}  // namespace polythrottle
