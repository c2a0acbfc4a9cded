#include "replay/bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace polythrottle::replay {
namespace {

std::vector<Seconds> seconds(std::initializer_list<double> values) {
  std::vector<Seconds> out;
  for (const double v : values) out.emplace_back(v);
  return out;
}

Obligation at(double arrived, double slo) { return {Seconds(arrived), Seconds(arrived + slo)}; }

TEST(ClairvoyantBound, IsTheJobAloneWhereNobodyAsks) {
  const auto batches = seconds({1.0});
  EXPECT_DOUBLE_EQ(clairvoyant_bound({.work = Seconds(10), .batch_seconds = batches, .requests = {}}).count(), 10.0);
}

TEST(ClairvoyantBound, ARequestThatMayWaitForTheJobsEndCostsNothing) {
  const auto batches = seconds({1.0});
  const std::vector late{at(5.0, 5.5)};
  EXPECT_DOUBLE_EQ(clairvoyant_bound({.work = Seconds(10), .batch_seconds = batches, .requests = late}).count(), 10.0);
  const std::vector early{at(5.0, 5.0)};
  EXPECT_DOUBLE_EQ(clairvoyant_bound({.work = Seconds(10), .batch_seconds = batches, .requests = early}).count(), 11.0);
}

TEST(ClairvoyantBound, ARequestThatPushesTheEndBehindAnothersDeadlineBringsThatOneIn) {
  const auto batches = seconds({1.0});
  const std::vector requests{at(5.0, 2.0), at(8.0, 3.0), at(10.0, 3.0)};
  // 10, with the first 11, that lies at the second deadline: 12; the third's is 13.
  EXPECT_DOUBLE_EQ(clairvoyant_bound({.work = Seconds(10), .batch_seconds = batches, .requests = requests}).count(), 12.0);
}

TEST(ClairvoyantBound, RequestsFromBeforeTheSubmissionMayHaveBeenAnswered) {
  const auto batches = seconds({1.0});
  const std::vector requests{at(1.0, 3.0), at(2.5, 3.0)};
  EXPECT_DOUBLE_EQ(
      clairvoyant_bound({.submitted = Seconds(2), .work = Seconds(10), .batch_seconds = batches, .requests = requests}).count(), 11.0);
}

TEST(LeastInferenceTime, OneBatchWhereTheFirstDeadlineAllowsIt) {
  const auto batches = seconds({1.0, 1.2, 1.4});
  EXPECT_DOUBLE_EQ(least_inference_time(std::vector{at(0, 3), at(1, 3), at(1.5, 3)}, batches).count(), 1.4);
  // The third comes too late for the first: two and one, in either way.
  EXPECT_DOUBLE_EQ(least_inference_time(std::vector{at(0, 3), at(1, 3), at(1.7, 3)}, batches).count(), 2.2);
  // Nobody can wait for the next.
  EXPECT_DOUBLE_EQ(least_inference_time(std::vector{at(0, 1.5), at(1, 1.5), at(2, 1.5)}, batches).count(), 3.0);
}

TEST(LeastInferenceTime, WhatNoBatchCanAnswerInTimeCostsNothing) {
  const auto batches = seconds({1.0});
  EXPECT_DOUBLE_EQ(least_inference_time(std::vector{at(0, 0.5), at(1, 2)}, batches).count(), 1.0);
}

/// Every partition of every order-preserving choice, the slow way: batches may be any sets of requests.
double brute_force(const std::vector<Obligation>& requests, const std::vector<Seconds>& batch_seconds) {
  const unsigned all = (1U << requests.size()) - 1;
  std::vector<double> least(all + 1, std::numeric_limits<double>::infinity());
  least[0] = 0.0;
  for (unsigned served = 0; served <= all; ++served) {
    const unsigned rest = all & ~served;
    for (unsigned batch = rest; batch > 0; batch = (batch - 1) & rest) {
      std::size_t size = 0;
      double begin = 0.0, end = 1e300;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        if ((batch >> i & 1U) == 0) continue;
        ++size;
        begin = std::max(begin, requests[i].arrived.count());
        end = std::min(end, requests[i].deadline.count());
      }
      if (size > batch_seconds.size() || begin + batch_seconds[size - 1].count() > end) continue;
      least[served | batch] = std::min(least[served | batch], least[served] + batch_seconds[size - 1].count());
    }
  }
  return least[all];
}

TEST(LeastInferenceTime, IsThatOfTheBestOfAllPartitionsOfSmallCases) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 1 + random() % 7;
    const double slo = 0.5 + 1.5 * unit(random);
    std::vector<Seconds> batches;
    double time = 0.1 + 0.3 * unit(random);
    for (int b = 0; b < 4; ++b, time += 0.3 * unit(random)) batches.emplace_back(time);
    std::vector<Obligation> requests;
    double now = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      now += 0.6 * unit(random);
      requests.push_back(at(now, slo));
    }
    EXPECT_NEAR(least_inference_time(requests, batches).count(), brute_force(requests, batches), 1e-9) << "round " << round;
  }
}

TEST(LeastInferenceTime, NeverExceedsTheBestWhereDeadlinesAreOutOfOrder) {
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  for (int round = 0; round < 300; ++round) {
    std::vector<Seconds> batches;
    double time = 0.1;
    for (int b = 0; b < 4; ++b, time += 0.2 * unit(random)) batches.emplace_back(time);
    std::vector<Obligation> requests;
    double now = 0.0;
    for (int i = 0; i < 6; ++i) requests.push_back(at(now += 0.4 * unit(random), 0.2 + 2.0 * unit(random)));
    EXPECT_LE(least_inference_time(requests, batches).count(), brute_force(requests, batches) + 1e-9) << "round " << round;
  }
}

/// A schedule that really runs: batches as soon as their requests are there, the job in between, stopped for each batch.
TEST(ClairvoyantBound, NoPreemptiveScheduleOfSmallCasesIsBetter) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  const auto batches = seconds({0.3, 0.4, 0.5});
  for (int round = 0; round < 300; ++round) {
    std::vector<Obligation> requests;
    double now = 0.0;
    for (int i = 0; i < 12; ++i) requests.push_back(at(now += 0.8 * unit(random), 1.0));
    const double work = 0.5 + 5.0 * unit(random);
    // Serves `waiting` at most at once, random in how long it waits for more.
    const double patience = 0.6 * unit(random);
    double clock = 0.0, left = work;
    std::vector<Obligation> answered;
    std::size_t next = 0;
    double end = 0.0;
    while (left > 0.0) {
      const double begin = next < requests.size() ? std::max(clock, requests[next].arrived.count() + patience) : 1e300;
      if (clock + left <= begin) {
        end = clock + left;
        break;
      }
      left -= begin - clock;
      std::size_t size = 0;
      while (size < 3 && next + size < requests.size() && requests[next + size].arrived.count() <= begin) ++size;
      clock = begin + batches[size - 1].count();
      for (std::size_t i = 0; i < size; ++i) {
        if (clock <= requests[next + i].deadline.count()) answered.push_back(requests[next + i]);
      }
      next += size;
    }
    EXPECT_LE(clairvoyant_bound({.work = Seconds(work), .batch_seconds = batches, .requests = answered}).count(), end + 1e-9)
        << "round " << round;
  }
}

}  // namespace
}  // namespace polythrottle::replay
