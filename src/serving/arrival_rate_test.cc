#include "serving/arrival_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace polythrottle::serving {
namespace {

/// One bin after another, nothing in closed form.
class Naive {
 public:
  explicit Naive(double window) : window_(window) {}
  void arrived(double now) {
    roll(now);
    ++count_;
  }
  double rate(double now) {
    roll(now);
    return (sum_ + count_) / std::max(weight_ * window_ + now - start_, window_);
  }
  double dispersion() const {
    const double mean = sum_ / weight_, variance = squares_ / weight_ - mean * mean;
    return 1.0 + (variance / mean - 1.0) * sum_ / (sum_ + 1.0);  // one request's worth of Poisson
  }

 private:
  void roll(double now) {
    const double kept = std::exp(-1.0 / ArrivalRate::kMemoryBins);
    for (; now >= start_ + window_; start_ += window_, count_ = 0.0) {
      weight_ = weight_ * kept + 1.0;
      sum_ = sum_ * kept + count_;
      squares_ = squares_ * kept + count_ * count_;
    }
  }
  double window_, start_ = 0.0, count_ = 0.0, weight_ = 0.0, sum_ = 0.0, squares_ = 0.0;
};

ArrivalEstimate poisson(double rate, double window, double duration, unsigned seed, int together = 1) {
  ArrivalRate arrivals((Seconds(window)));
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap(rate / together);
  double now = 0.0;
  while ((now += gap(random)) < duration)
    for (int i = 0; i < together; ++i) arrivals.arrived(Time(now));
  return arrivals.estimate(Time(duration));
}

TEST(ArrivalRate, KnowsNothingAtFirst) {
  const ArrivalEstimate estimate = ArrivalRate(Seconds(0.5)).estimate(Time(0));
  EXPECT_EQ(estimate.rate, 0.0);
  EXPECT_EQ(estimate.dispersion, 1.0);
}

TEST(ArrivalRate, BeginsWithTheExpectedRateAndPoisson) {
  const ArrivalEstimate estimate = ArrivalRate(Seconds(0.5), 8.0).estimate(Time(0));
  EXPECT_DOUBLE_EQ(estimate.rate, 8.0);
  EXPECT_DOUBLE_EQ(estimate.dispersion, 1.0);
}

TEST(ArrivalRate, CountsFromItsStart) {
  EXPECT_DOUBLE_EQ(ArrivalRate(Seconds(0.5), 8.0, Time(1000)).estimate(Time(1000)).rate, 8.0);
  EXPECT_LT(ArrivalRate(Seconds(0.5), 8.0).estimate(Time(1000)).rate, 1e-6);
}

TEST(ArrivalRate, OneRequestIsNotAFlood) {
  ArrivalRate arrivals(Seconds(0.5));
  arrivals.arrived(Time(0.001));
  EXPECT_DOUBLE_EQ(arrivals.estimate(Time(0.001)).rate, 2.0);
}

TEST(ArrivalRate, ABurstCountsBeforeItsBinIsOver) {
  ArrivalRate arrivals(Seconds(0.5), 2.0);
  for (int i = 0; i < 40; ++i) arrivals.arrived(Time(0.01));
  // 8 bins of one request and 40 more in 4.01 s.
  EXPECT_NEAR(arrivals.estimate(Time(0.01)).rate, 48.0 / 4.01, 1e-12);
}

TEST(ArrivalRate, TellsAnEvenStreamFromPoissonAndFromBursts) {
  ArrivalRate even(Seconds(0.5));
  for (int i = 0; i < 2000; ++i) even.arrived(Time(0.05 * i));
  EXPECT_NEAR(even.estimate(Time(100)).rate, 20.0, 0.5);
  EXPECT_LT(even.estimate(Time(100)).dispersion, 0.1);

  double rate = 0.0, single = 0.0, sixfold = 0.0;
  for (unsigned seed = 0; seed < 50; ++seed) {
    const ArrivalEstimate once = poisson(20.0, 0.5, 100.0, seed);
    rate += once.rate / 50;
    single += once.dispersion / 50;
    sixfold += poisson(20.0, 0.5, 100.0, seed, 6).dispersion / 50;
  }
  EXPECT_NEAR(rate, 20.0, 1.0);
  EXPECT_NEAR(single, 1.0, 0.1);
  EXPECT_NEAR(sixfold, 6.0, 0.9);  // as many together as one: the variance is six times the mean
}

TEST(ArrivalRate, FollowsAChangeInAFewDozenBins) {
  ArrivalRate arrivals(Seconds(0.5), 2.0);
  double now = 0.0;
  for (; now < 100.0; now += 0.5) arrivals.arrived(Time(now));
  EXPECT_NEAR(arrivals.estimate(Time(now)).rate, 2.0, 0.2);
  for (; now < 200.0; now += 0.025) arrivals.arrived(Time(now));
  EXPECT_NEAR(arrivals.estimate(Time(now)).rate, 40.0, 1.0);
}

TEST(ArrivalRate, IsTheSameAsOneBinAfterAnother) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  for (double window : {0.25, 1.0}) {
    ArrivalRate arrivals((Seconds(window)));
    Naive naive(window);
    double now = 0.0;
    for (int i = 0; i < 5000; ++i) {
      now += std::pow(unit(random), 8.0) * 40.0 * window;  // many at once, then dozens of empty bins
      arrivals.arrived(Time(now));
      naive.arrived(now);
      const double later = now + unit(random) * 0.3;
      Naive then = naive;
      ASSERT_NEAR(arrivals.estimate(Time(later)).rate, then.rate(later), 1e-9 * (1.0 + then.rate(later)))
          << "after " << i << " at " << later;
      if (now > 20.0 * window * ArrivalRate::kMemoryBins) {  // the bins assumed at first are forgotten
        ASSERT_NEAR(arrivals.estimate(Time(later)).dispersion, then.dispersion(), 1e-6 * then.dispersion());
      }
    }
  }
}

TEST(ArrivalRate, AskingChangesNothing) {
  ArrivalRate asked(Seconds(0.5)), left_alone(Seconds(0.5));
  for (int i = 0; i < 100; ++i) {
    asked.arrived(Time(0.3 * i));
    left_alone.arrived(Time(0.3 * i));
    asked.estimate(Time(0.3 * i + 100.0));
  }
  EXPECT_EQ(asked.estimate(Time(40)).rate, left_alone.estimate(Time(40)).rate);
  EXPECT_EQ(asked.estimate(Time(40)).dispersion, left_alone.estimate(Time(40)).dispersion);
}

TEST(ArrivalRate, SilenceFadesToNothingInOneStep) {
  ArrivalRate arrivals(Seconds(1e-3), 1000.0);
  for (int i = 0; i < 1000; ++i) arrivals.arrived(Time(1e-3 * i));
  double before = arrivals.estimate(Time(1)).rate;
  // A window of a millisecond: 3.6 million bins in the hour, 3e13 in a thousand years. Looping over them would not come back.
  for (double later : {1.01, 1.1, 2.0, 3600.0, 3.2e10}) {
    const ArrivalEstimate estimate = arrivals.estimate(Time(later));
    EXPECT_GE(estimate.rate, 0.0);
    EXPECT_LT(estimate.rate, before);
    EXPECT_TRUE(std::isfinite(estimate.dispersion));
    EXPECT_GE(estimate.dispersion, 0.0);
    before = std::max(estimate.rate, std::numeric_limits<double>::min());
  }
  arrivals.arrived(Time(3.2e10));
  EXPECT_GT(arrivals.estimate(Time(3.2e10)).rate, 0.0);
}

TEST(ArrivalRate, NeverSaysWhatIsNoNumber) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(-9.0, 6.0);
  for (int run = 0; run < 200; ++run) {
    ArrivalRate arrivals(Seconds(std::pow(10.0, exponent(random))), std::pow(10.0, exponent(random)));
    double now = 0.0;
    for (int i = 0; i < 200; ++i) {
      if (i % 3 == 0) now += std::pow(10.0, exponent(random));
      arrivals.arrived(Time(now));
      for (double later : {0.0, 1e-9, 1.0, 1e9}) {
        const ArrivalEstimate estimate = arrivals.estimate(Time(now + later));
        ASSERT_TRUE(std::isfinite(estimate.rate) && estimate.rate >= 0.0) << run << " " << i << " " << later;
        ASSERT_TRUE(std::isfinite(estimate.dispersion) && estimate.dispersion >= 0.0) << run << " " << i << " " << later;
      }
    }
  }
}

TEST(ArrivalRate, IgnoresAnExpectationThatIsNone) {
  for (double nonsense : {0.0, -3.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    EXPECT_EQ(ArrivalRate(Seconds(1), nonsense).estimate(Time(0)).rate, 0.0) << nonsense;
}

}  // namespace
}  // namespace polythrottle::serving
