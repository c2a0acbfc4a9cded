#include "arrivals/arrivals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <limits>

namespace polythrottle {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> take(Arrivals& arrivals, std::size_t count) {
  std::vector<double> times;
  for (std::size_t i = 0; i < count; ++i) times.push_back(arrivals.next().count());
  return times;
}

TEST(Arrivals, UniformComeAtEqualGaps) {
  auto arrivals = Arrivals::uniform(4.0).value();
  EXPECT_THAT(take(arrivals, 4), ElementsAre(0.0, 0.25, 0.5, 0.75));
  arrivals.restart();
  EXPECT_EQ(arrivals.next().count(), 0.0);
}

TEST(Arrivals, PoissonHasTheMeanAndScatterOfItsRate) {
  auto arrivals = Arrivals::poisson(50.0, 7).value();
  const auto times = take(arrivals, 20000);
  EXPECT_NEAR(times.back() / 20000, 0.02, 0.02 * 0.03);
  double squares = 0.0, before = 0.0;
  for (const double time : times) {
    EXPECT_GE(time, before);
    squares += (time - before) * (time - before);
    before = time;
  }
  EXPECT_NEAR(squares / 20000, 2 * 0.02 * 0.02, 2 * 0.02 * 0.02 * 0.1);  // second moment of an exponential
}

TEST(Arrivals, PoissonRepeatsForItsSeedOnly) {
  auto a = Arrivals::poisson(10, 1).value(), b = Arrivals::poisson(10, 1).value(), c = Arrivals::poisson(10, 2).value();
  const auto first = take(a, 10);
  EXPECT_EQ(first, take(b, 10));
  EXPECT_NE(first, take(c, 10));
  a.restart();
  EXPECT_EQ(first, take(a, 10));
}

TEST(Arrivals, RecordedRepeatsOneMeanGapAfterItsLast) {
  auto arrivals = Arrivals::recorded({10.0, 10.5, 12.0}).value();  // mean gap 1 s
  EXPECT_DOUBLE_EQ(arrivals.rate(), 1.0);
  EXPECT_THAT(take(arrivals, 7), ElementsAre(0.0, 0.5, 2.0, 3.0, 3.5, 5.0, 6.0));
}

TEST(Arrivals, RecordedIsScaledToARate) {
  auto arrivals = Arrivals::recorded({0.0, 1.0, 4.0}, 5.0).value();  // own rate 0.5
  EXPECT_DOUBLE_EQ(arrivals.rate(), 5.0);
  EXPECT_THAT(take(arrivals, 4),
              ElementsAre(testing::DoubleEq(0.0), testing::DoubleEq(0.1), testing::DoubleEq(0.4), testing::DoubleEq(0.6)));
}

TEST(Arrivals, OneMomentNeedsARate) {
  EXPECT_EQ(Arrivals::recorded({3.0}).error().code, Errc::kInvalid);
  auto arrivals = Arrivals::recorded({3.0, 3.0}, 4.0).value();
  EXPECT_THAT(take(arrivals, 5), ElementsAre(0.0, 0.0, 0.5, 0.5, 1.0));
}

TEST(Arrivals, RefusesWhatIsNoSchedule) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double rate : {0.0, -1.0, infinity, std::numeric_limits<double>::quiet_NaN(), 1e-320}) {
    EXPECT_EQ(Arrivals::uniform(rate).error().code, Errc::kInvalid) << rate;
    EXPECT_EQ(Arrivals::poisson(rate, 1).error().code, Errc::kInvalid) << rate;
    EXPECT_EQ(Arrivals::recorded({0.0, 1.0}, rate).error().code, Errc::kInvalid) << rate;
  }
  EXPECT_EQ(Arrivals::recorded({}).error().code, Errc::kInvalid);
  EXPECT_EQ(Arrivals::recorded({1.0, 0.5}).error().code, Errc::kInvalid);
  EXPECT_EQ(Arrivals::recorded({1.0, infinity}).error().code, Errc::kInvalid);
}

TEST(ParseArrivals, ReadsOneNumberALine) { EXPECT_THAT(parse_arrivals("\n2\r\n 2.5\n2.5\n1e1").value(), ElementsAre(0.0, 0.5, 0.5, 8.0)); }

TEST(ParseArrivals, ReadsTheAzureFormat) {
  const auto times = parse_arrivals(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n"
      "2023-11-17 00:00:00,1,1\n");
  ASSERT_TRUE(times.has_value()) << times.error().text();
  ASSERT_EQ(times->size(), 3u);
  EXPECT_DOUBLE_EQ((*times)[0], 0.0);
  EXPECT_NEAR((*times)[1], 0.052, 1e-9);
  EXPECT_NEAR((*times)[2], 5 * 3600 + 42 * 60 + 56.02004, 1e-8);
}

TEST(ParseArrivals, FindsItsColumnAnywhere) {
  EXPECT_THAT(parse_arrivals("\xef\xbb\xbfid,\"arrival_seconds\"\n\"a, b\",1\nc,\"3\"\n").value(), ElementsAre(0.0, 2.0));
  EXPECT_THAT(parse_arrivals("time,TIMESTAMP\n5,1\n4,2\n").value(), ElementsAre(0.0, 1.0));
}

TEST(ParseArrivals, ReadsIsoVariants) {
  EXPECT_THAT(parse_arrivals("2024-02-29T23:59:59Z\n2024-03-01T01:00:01+01:00\n2024-02-29 23:00:03.5-01:00").value(),
              ElementsAre(0.0, 2.0, testing::DoubleNear(4.5, 1e-9)));
}

TEST(ParseArrivals, NamesTheLineThatIsWrong) {
  const struct {
    const char* text;
    const char* what;
  } cases[] = {
      {"", "line 1: the file is empty"},
      {"\n\n", "line 2: no request"},
      {"TIMESTAMP\n", "line 1: no request"},
      {"when,what\n1,2\n", "line 1: neither"},
      {"1\n2\nx\n", "line 3: \"x\" is no time"},
      {"1\n3\n2\n", "line 3: 2 comes before"},
      {"time\n1\ninf\n", "line 3: \"inf\" is no time"},
      {"time\n1\nnan\n", "line 3"},
      {"a,time\n1,2\n1\n", "line 3: \"\" is no time"},
      {"TIMESTAMP\n2023-02-29 00:00:00\n", "line 2"},
      {"TIMESTAMP\n2023-02-28 24:00:00\n", "line 2"},
      {"TIMESTAMP\n2023-02-28 00:00:00.\n", "line 2"},
      {"TIMESTAMP\n2023-02-28 00:00:00 x\n", "line 2"},
      {"TIMESTAMP\n2023-02-28\n", "line 2"},
      {"-1e308\n1e308\n", "line 2"},
  };
  for (const auto& c : cases) {
    const auto times = parse_arrivals(c.text);
    ASSERT_FALSE(times.has_value()) << c.text;
    EXPECT_EQ(times.error().code, Errc::kCorrupt);
    EXPECT_THAT(times.error().what, HasSubstr(c.what));
  }
}

TEST(Arrivals, LoadsAFileAndSaysWhichIsMissing) {
  const std::string path = testing::TempDir() + "arrivals_test.csv";
  std::ofstream(path) << "time\n0\n2\n";
  auto arrivals = Arrivals::load(path, 2.0);
  ASSERT_TRUE(arrivals.has_value()) << arrivals.error().text();
  EXPECT_THAT(take(*arrivals, 3), ElementsAre(0.0, 0.5, 1.0));
  std::ofstream(path) << "time\n0\nx\n";
  EXPECT_THAT(Arrivals::load(path).error().what, HasSubstr(path + ": line 3"));
  std::remove(path.c_str());
  EXPECT_EQ(Arrivals::load(path).error().code, Errc::kNotFound);
  EXPECT_EQ(Arrivals::load(testing::TempDir()).error().code, Errc::kIo);
}

TEST(Arrivals, ReadsTheAzureTraces) {
  for (const auto& [name, requests] : {std::pair{"azure_llm_code_2023.csv", 8819u}, {"azure_llm_conv_2023.csv", 19366u}}) {
    const std::string path = std::string(POLYTHROTTLE_SOURCE_DIR "/../shared/data/arrivals/") + name;
    if (!std::ifstream(path)) GTEST_SKIP() << "no " << path;
    auto arrivals = Arrivals::load(path);
    ASSERT_TRUE(arrivals.has_value()) << arrivals.error().text();
    const auto times = take(*arrivals, requests + 1);
    EXPECT_NEAR(times[requests], 3600, 400);  // about an hour, then the second round
    EXPECT_NEAR(times[requests] * arrivals->rate(), requests, 1e-6 * requests);
  }
}

}  // namespace
}  // namespace polythrottle
