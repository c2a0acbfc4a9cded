// Segments, specifications and statistics of arrivals.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <random>

#include "arrivals/spec.h"
#include "arrivals/statistics.h"

namespace polythrottle {
namespace {

using testing::HasSubstr;

std::vector<double> take(Arrivals arrivals, std::size_t count) {
  std::vector<double> times;
  for (std::size_t i = 0; i < count; ++i) times.push_back(arrivals.next().count());
  return times;
}

/// Variance of the counts in 30 equal bins, straight from the definition.
double variance(const std::vector<double>& times, double length) {
  std::vector<double> counts(30, 0.0);
  for (const double time : times) ++counts[std::min<std::size_t>(29, static_cast<std::size_t>(time / length * 30))];
  const double mean = static_cast<double>(times.size()) / 30;
  double sum = 0.0;
  for (const double count : counts) sum += (count - mean) * (count - mean);
  return sum / 30;
}

TEST(BurstySegment, IsWhereRequestsComeInBursts) {
  // Even for 1000 s at 1/s, then 100 s in which ten come at once every ten seconds, then even and three times as busy.
  std::vector<double> times;
  for (int i = 0; i < 1000; ++i) times.push_back(i);
  for (int i = 0; i < 100; ++i) times.push_back(1000 + i / 10 * 10);
  for (int i = 0; i < 3000; ++i) times.push_back(1100 + i / 3.0);
  const auto segment = Arrivals::bursty_segment(times, Seconds(50), 2.0);  // 100 requests
  ASSERT_TRUE(segment.has_value()) << segment.error().text();
  EXPECT_DOUBLE_EQ(segment->rate(), 2.0);
  const auto statistics = arrival_statistics(*segment, Seconds(50), Seconds(50.0 / 30)).value();
  EXPECT_EQ(statistics.requests, 100u);
  EXPECT_GT(*statistics.dispersion, 5.0);
}

TEST(BurstySegment, HasTheWantedRateAndNoRunIsBurstier) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<double> times;
    double now = -50.0, rate = 1.0;
    const std::size_t size = 60 + random() % 400;
    while (times.size() < size) {
      if (random() % 10 == 0) rate = 0.2 + static_cast<double>(random() % 100) / 10;
      now += static_cast<double>(random() % 1000) / 500 / rate;
      times.push_back(now);
    }
    const std::size_t wanted = 2 + random() % 50;  // below 60: every run is looked at
    const double length = 1.0 + static_cast<double>(random() % 30), per_second = static_cast<double>(wanted) / length;
    const auto segment = Arrivals::bursty_segment(times, Seconds(length), per_second);
    ASSERT_TRUE(segment.has_value()) << segment.error().text();
    const auto got = take(*segment, wanted + 1);
    EXPECT_EQ(got.front(), 0.0);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
    EXPECT_NEAR(got.back(), length, 1e-9 * length) << "it begins anew when it has lasted its duration";
    double most = 0.0;
    for (std::size_t start = 0; start + wanted <= times.size(); ++start) {
      const auto at = times.begin() + static_cast<std::ptrdiff_t>(start);
      const auto run = Arrivals::recorded(std::vector<double>(at, at + static_cast<std::ptrdiff_t>(wanted)), per_second).value();
      most = std::max(most, variance(take(run, wanted), length));
    }
    EXPECT_NEAR(variance(std::vector<double>(got.begin(), got.end() - 1), length), most, 0.15 * most + 0.1) << seed;
  }
}

TEST(BurstySegment, DoesNotDependOnTheTracesClock) {
  std::mt19937_64 random(3);
  std::vector<double> times{0.0};
  for (int i = 0; i < 500; ++i) times.push_back(times.back() + static_cast<double>(random() % 64) * 0.25);
  auto slow = times;
  for (auto& time : slow) time = time * 4.0 + 1024.0;
  EXPECT_EQ(take(Arrivals::bursty_segment(times, Seconds(10), 8.0).value(), 80),
            take(Arrivals::bursty_segment(slow, Seconds(10), 8.0).value(), 80));
}

TEST(BurstySegment, RefusesWhatTheTraceHasNot) {
  const std::vector<double> times{0, 1, 2, 3};
  EXPECT_THAT(Arrivals::bursty_segment(times, Seconds(30), 8.0).error().text(), HasSubstr("needs 240, and the trace has 4"));
  EXPECT_THAT(Arrivals::bursty_segment(times, Seconds(0.1), 8.0).error().text(), HasSubstr("fewer than 2"));
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(Arrivals::bursty_segment(times, Seconds(bad), 8.0).error().code, Errc::kInvalid) << bad;
    EXPECT_EQ(Arrivals::bursty_segment(times, Seconds(1), bad).error().code, Errc::kInvalid) << bad;
  }
  EXPECT_EQ(Arrivals::bursty_segment({}, Seconds(1), 8.0).error().code, Errc::kInvalid);
  EXPECT_EQ(Arrivals::bursty_segment({2, 1}, Seconds(1), 2.0).error().code, Errc::kInvalid);
  EXPECT_TRUE(Arrivals::bursty_segment(times, Seconds(4)).has_value()) << "at its own rate";
}

TEST(BurstySegment, OfTheAzureTracesIsMuchMoreUnevenThanPoisson) {
  for (const char* name : {"azure_llm_code_2023.csv", "azure_llm_conv_2023.csv"}) {
    const std::string path = std::string(POLYTHROTTLE_SOURCE_DIR "/../shared/data/arrivals/") + name;
    if (!std::ifstream(path)) GTEST_SKIP() << "no " << path;
    const auto segment = ArrivalSpec::parse(path + "#bursty").value().open(8.0, 0);
    ASSERT_TRUE(segment.has_value()) << segment.error().text();
    const auto statistics = arrival_statistics(*segment, Seconds(30), Seconds(1)).value();
    EXPECT_EQ(statistics.requests, 240u);
    EXPECT_GT(*statistics.dispersion, 2.0);
    RecordProperty(name, std::to_string(*statistics.dispersion));
  }
}

TEST(ArrivalSpec, ReadsWhatPeopleWrite) {
  using Kind = ArrivalSpec::Kind;
  const struct {
    const char* text;
    Kind kind;
    const char* path;
  } cases[] = {{"uniform", Kind::kUniform, ""},
               {"poisson", Kind::kPoisson, ""},
               {"./poisson", Kind::kTrace, "./poisson"},
               {"a#1.csv", Kind::kTrace, "a#1.csv"},
               {"a.csv#bursty", Kind::kBurstySegment, "a.csv"}};
  for (const auto& c : cases) {
    const auto spec = ArrivalSpec::parse(c.text).value();
    EXPECT_EQ(spec.kind, c.kind) << c.text;
    EXPECT_EQ(spec.path, c.path) << c.text;
    EXPECT_EQ(spec.text(), c.text);
  }
  for (const char* bad : {"", "#bursty", "poisson#bursty"}) EXPECT_EQ(ArrivalSpec::parse(bad).error().code, Errc::kInvalid) << bad;
}

TEST(ArrivalSpec, OpensWhatItNames) {
  EXPECT_EQ(take(ArrivalSpec::parse("uniform").value().open(4.0, 0).value(), 3), (std::vector<double>{0.0, 0.25, 0.5}));
  EXPECT_EQ(take(ArrivalSpec::parse("poisson").value().open(4.0, 9).value(), 5), take(Arrivals::poisson(4.0, 9).value(), 5));
  EXPECT_EQ(ArrivalSpec::parse("poisson").value().open({}, 0).error().text(), "poisson arrivals need a rate; give one with --rate");
  const std::string path = testing::TempDir() + "bursty_test.txt";
  std::ofstream(path) << "5\n6\n6\n9\n";
  EXPECT_EQ(take(ArrivalSpec::parse(path).value().open({}, 0).value(), 4), (std::vector<double>{0, 1, 1, 4}));
  EXPECT_EQ(take(ArrivalSpec::parse(path + "#bursty").value().open(2.0, 0, Seconds(1)).value(), 3), (std::vector<double>{0, 0, 1}));
  EXPECT_THAT(ArrivalSpec::parse(path + "#bursty").value().open(2.0, 0).error().text(), HasSubstr(path + ": a segment of 30 s"));
  std::ofstream(path) << "5\n4\n";
  const auto unordered = ArrivalSpec::parse(path).value().open({}, 0);
  EXPECT_EQ(unordered.error().code, Errc::kCorrupt);
  EXPECT_THAT(unordered.error().what, HasSubstr(path + ": line 2: 4 comes before"));
  std::ofstream(path).flush();
  EXPECT_THAT(ArrivalSpec::parse(path).value().open({}, 0).error().what, HasSubstr("line 1: the file is empty"));
  std::remove(path.c_str());
  EXPECT_THAT(ArrivalSpec::parse(path).value().open({}, 0).error().text(), HasSubstr("give uniform, poisson, FILE or FILE#bursty"));
}

TEST(ArrivalStatistics, KnowsEvenFromPoisson) {
  const auto even = arrival_statistics(Arrivals::uniform(8.0).value(), Seconds(30), Seconds(1)).value();
  EXPECT_EQ(even.requests, 240u);
  EXPECT_DOUBLE_EQ(even.rate, 8.0);
  EXPECT_DOUBLE_EQ(*even.dispersion, 0.0);
  const auto poisson = arrival_statistics(Arrivals::poisson(8.0, 4).value(), Seconds(20000), Seconds(1)).value();
  EXPECT_NEAR(poisson.rate, 8.0, 0.1);
  EXPECT_NEAR(*poisson.dispersion, 1.0, 0.05);  // 20000 windows: five standard errors
}

TEST(ArrivalStatistics, LooksAtWholeWindowsFromTheStart) {
  auto schedule = Arrivals::recorded({0.0, 0.1, 0.2, 2.5, 9.0}).value();
  for (int i = 0; i < 3; ++i) schedule.next();
  const auto statistics = arrival_statistics(schedule, Seconds(3.5), Seconds(1)).value();
  EXPECT_EQ(statistics.requests, 4u);
  // Counts 3, 0, 1: mean 4/3, variance 7/3.
  EXPECT_NEAR(*statistics.dispersion, 1.75, 1e-12);
  EXPECT_FALSE(arrival_statistics(schedule, Seconds(1.5), Seconds(1)).value().dispersion.has_value());
  EXPECT_EQ(arrival_statistics(schedule, Seconds(0), Seconds(1)).error().code, Errc::kInvalid);
  EXPECT_EQ(arrival_statistics(schedule, Seconds(1), Seconds(0)).error().code, Errc::kInvalid);
  EXPECT_EQ(arrival_statistics(schedule, Seconds(1e12), Seconds(1)).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace polythrottle
