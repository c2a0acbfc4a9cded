#include "meter/window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <vector>

#include "host/fake.h"

namespace polythrottle {
namespace {

/// Constant power, with two error sources.
class PowerMeter : public Meter {
 public:
  explicit PowerMeter(Clock& clock) : clock_(clock) {}
  const MeterInfo& info() const override { return info_; }
  Result<MeterSample> read() override {
    if (++reads == fail_at) return fail(Errc::kIo, "read it: failed on purpose");
    const auto at = clock_.now();
    const double joules = watts * at.time_since_epoch().count();
    return MeterSample{.at = at, .energy = Joules(joules), .one_sigma = {Joules(0.1 * joules), Joules(-0.2 * joules)}};
  }
  std::atomic<int> reads{0};
  int fail_at = 0;
  double watts = 5.0;

  void sample_every(Seconds time) { info_.sampling = time; }

 private:
  Clock& clock_;
  MeterInfo info_{.name = "power",
                  .boundary = {},
                  .estimated = false,
                  .refresh = Seconds(0.01),
                  .read_cost = Seconds(0),
                  .error = {},
                  .error_sources = {"gain", "offset"}};
};

class WindowTest : public ::testing::Test {
 protected:
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  PowerMeter meter{clock};
};

TEST_F(WindowTest, SeesWhatPassedBetweenOpeningAndClosing) {
  clock.advance(Seconds(3));
  auto window = *Window::open(host, meter, Seconds(0.25));
  clock.advance(Seconds(2));
  const auto reading = window->close();
  ASSERT_TRUE(reading) << reading.error().text();
  EXPECT_DOUBLE_EQ(reading->elapsed.count(), 2.0);
  EXPECT_NEAR(reading->energy.si(), 10.0, 1e-9);
  ASSERT_EQ(reading->one_sigma.size(), 2u);
  EXPECT_NEAR(reading->one_sigma[0].si(), 1.0, 1e-9);
  EXPECT_NEAR(reading->one_sigma[1].si(), -2.0, 1e-9);
  EXPECT_EQ(reading->samples.size(), 9u);
  EXPECT_EQ(window->close().error().code, Errc::kInvalid);
  const int reads = meter.reads;
  clock.advance(Seconds(2));
  EXPECT_EQ(meter.reads, reads);
}

TEST_F(WindowTest, NoBlockIsShorterThanNineTenths) {
  for (const double length : {1.0, 1.01, 1.1, 1.2, 1.24, 1.49, 0.26}) {
    auto window = *Window::open(host, meter, Seconds(0.25));
    clock.advance(Seconds(length));
    const auto reading = *window->close();
    EXPECT_NEAR(reading.elapsed.count(), length, 1e-9);
    for (std::size_t i = 1; i < reading.samples.size(); ++i) {
      EXPECT_GE((reading.samples[i].at - reading.samples[i - 1].at).count(), 0.9 * 0.25) << length;
    }
  }
}

TEST_F(WindowTest, AWindowShorterThanABlockHasItsTwoEnds) {
  auto window = *Window::open(host, meter, Seconds(1));
  clock.advance(Seconds(0.1));
  const auto reading = *window->close();
  EXPECT_EQ(reading.samples.size(), 2u);
  EXPECT_NEAR(reading.energy.si(), 0.5, 1e-9);
}

TEST_F(WindowTest, AFrozenMeterIsCorruptOnceItShouldHaveMoved) {
  meter.watts = 0.0;
  auto brief = *Window::open(host, meter, Seconds(1));
  clock.advance(Seconds(0.19));
  EXPECT_TRUE(brief->close());
  auto window = *Window::open(host, meter, Seconds(1));
  clock.advance(Seconds(0.21));
  const auto frozen = window->close();
  ASSERT_FALSE(frozen);
  EXPECT_EQ(frozen.error().code, Errc::kCorrupt);
}

TEST_F(WindowTest, ReportsTheFirstFailedRead) {
  meter.fail_at = 1;
  EXPECT_EQ(Window::open(host, meter, Seconds(1)).error().code, Errc::kIo);
  meter.fail_at = 3;
  auto window = *Window::open(host, meter, Seconds(1));
  clock.advance(Seconds(5));
  EXPECT_EQ(window->close().error().code, Errc::kIo);
  EXPECT_EQ(Window::open(host, meter, Seconds(0)).error().code, Errc::kInvalid);
}

TEST_F(WindowTest, ReadsAPowerSensorWithinTheBlocks) {
  meter.sample_every(Seconds(0.07));
  auto window = *Window::open(host, meter, Seconds(0.25));  // four reads to a block
  clock.advance(Seconds(2));
  const auto reading = window->close();
  ASSERT_TRUE(reading) << reading.error().text();
  EXPECT_GE(meter.reads, 32);
  EXPECT_LE(meter.reads, 34);
  for (std::size_t i = 1; i < reading->samples.size(); ++i) {
    EXPECT_GE((reading->samples[i].at - reading->samples[i - 1].at).count(), 0.125);
    EXPECT_LE((reading->samples[i].at - reading->samples[i - 1].at).count(), 0.375);
  }
}

TEST_F(WindowTest, APowerSensorIsReadAtUnevenMomentsNeverFasterThanItsRefresh) {
  meter.sample_every(Seconds(0.08));
  auto window = *Window::open(host, meter, Seconds(0.8));
  std::vector<double> times{0.0};
  const auto watch = clock.every(Seconds(1e-3), [&, seen = meter.reads.load()]() mutable {
    if (meter.reads != seen) times.push_back(clock.now().time_since_epoch().count());
    seen = meter.reads;
  });
  clock.advance(Seconds(40));
  double least = 1.0, most = 0.0;
  std::set<long> phases;
  for (std::size_t i = 1; i < times.size(); ++i) {
    least = std::min(least, times[i] - times[i - 1]);
    most = std::max(most, times[i] - times[i - 1]);
    phases.insert(std::lround(std::fmod(times[i], 0.08) / 0.01) % 8);
  }
  EXPECT_EQ(times.size(), 501u);  // one for each 0.08 s
  EXPECT_GE(least, 0.01 - 1e-9);
  EXPECT_LE(most, 0.16);
  EXPECT_EQ(phases.size(), 8u);
}

TEST_F(WindowTest, ASlowSensorIsReadOncePerBlock) {
  meter.sample_every(Seconds(0.422));
  auto window = *Window::open(host, meter, Seconds(0.25));
  clock.advance(Seconds(1));
  ASSERT_TRUE(window->close());
  EXPECT_LE(meter.reads, 6);
}

TEST_F(WindowTest, DestroyingItStopsTheReading) {
  Window::open(host, meter, Seconds(0.1)).value().reset();
  const int reads = meter.reads;
  clock.advance(Seconds(1));
  EXPECT_EQ(meter.reads, reads);
}

TEST(WindowInRealTime, ReadsFromTheTickersThread) {
  FakeFiles files;
  const auto clock = real_clock();
  Host host{files, *clock};
  PowerMeter meter(*clock);
  auto window = *Window::open(host, meter, Seconds(0.002));
  clock->sleep_until(clock->now() + Seconds(0.05));
  const auto reading = window->close();
  ASSERT_TRUE(reading) << reading.error().text();
  EXPECT_GT(reading->samples.size(), 2u);
  EXPECT_NEAR(reading->energy.si() / reading->elapsed.count(), 5.0, 1e-6);
}

}  // namespace
}  // namespace polythrottle
