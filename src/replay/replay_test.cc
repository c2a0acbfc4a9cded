#include "replay/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "replay/compare.h"
#include "replay/nominal.h"

namespace polythrottle::replay {
namespace {

using serving::Decision;
using serving::ServingState;

/// Runs who is there, as soon as it can; beside it the first job, in whole steps, if it may.
class Plain final : public serving::Policy {
 public:
  explicit Plain(bool trains = false) : trains_(trains) {}
  Decision decide(const ServingState& state) const override {
    Decision out;
    if (!state.batch) out.batch = std::min(static_cast<int>(state.queue.size()), state.in_force().max_batch);
    if (trains_ && !state.step && !state.jobs.empty()) {
      out.job = state.jobs.front().id;
      out.items = state.jobs.front().step_left();
    }
    return out;
  }

 private:
  bool trains_;
};

class DropsAll final : public serving::Policy {
 public:
  Decision decide(const ServingState& state) const override {
    Decision out;
    for (const auto& request : state.queue) out.drops.push_back({request.id, serving::Cause::kHopeless});
    return out;
  }
};

/// Asks for row 1 once, at five seconds.
class OneChange final : public serving::RowChoice {
 public:
  std::optional<Answer> choose(const ServingState& state) override {
    if (asked_ || state.now < Seconds(5)) return std::nullopt;
    asked_ = true;
    return Answer{.row = 1, .about = {.act = serving::Act::kRow, .cause = serving::Cause::kRate}};
  }
  void answered(serving::Time, std::optional<Seconds>) override {}
  void alarm(serving::Time, serving::Alarm) override {}

 private:
  bool asked_ = false;
};

/// Stays until an alarm, then goes to the reference.
class UntilAlarm final : public serving::RowChoice {
 public:
  std::optional<Answer> choose(const ServingState& state) override {
    if (!alarm_ || state.row == 0) return std::nullopt;
    return Answer{.row = 0, .about = {.act = serving::Act::kRow, .cause = serving::Cause::kDrift}};
  }
  void answered(serving::Time, std::optional<Seconds>) override {}
  void alarm(serving::Time, serving::Alarm alarm) override { alarm_ = alarm; }

 private:
  std::optional<serving::Alarm> alarm_;
};

ReplayOptions options() {
  ReplayOptions o;
  o.board = "jetson-orin";
  o.network = "efficientnet-b0";
  o.slo = Seconds(0.2);
  o.arrivals = *Arrivals::poisson(20.0, 1);
  o.duration = Seconds(10);
  const auto nominal = *Nominal::make(o.board, o.network);
  Config config = nominal.reference();
  config.set("batch", 8.0);
  o.rows = {nominal.row(config)};
  o.make_policy = [] { return std::make_unique<Plain>(); };
  return o;
}

FinetuneJob small_job() { return *parse_finetune("batch=8,iterations=4,outputs=10"); }

TEST(Replay, AnswersEveryRequestOnceAndCountsThoseOfItsDuration) {
  auto o = options();
  o.arrivals = *Arrivals::uniform(20.0);
  o.keep_requests = true;
  const auto ran = replay(o);
  ASSERT_TRUE(ran) << ran.error().text();
  EXPECT_EQ(ran->counted.requests, 200u);
  EXPECT_EQ(ran->counted.answered, 200u);
  EXPECT_EQ(ran->counted.violations_ratio(), 0.0);
  ASSERT_EQ(ran->requests.size(), 200u);
  for (const Outcome& request : ran->requests) {
    ASSERT_TRUE(request.answered);
    EXPECT_GT(*request.answered, request.arrived);
    EXPECT_NEAR((request.deadline - request.arrived).count(), 0.2, 1e-9);
  }
  ASSERT_TRUE(ran->latency);
  EXPECT_LE(ran->latency->p50, ran->latency->p95);
  EXPECT_LE(ran->latency->p99, ran->latency->max);
}

TEST(Replay, IsExactForASeed) {
  auto o = options();
  o.seed = 5;
  o.jobs = {small_job()};
  o.make_policy = [] { return std::make_unique<Plain>(true); };
  const auto a = replay(o), b = replay(o);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->energy, b->energy);
  EXPECT_EQ(a->latency->p99, b->latency->p99);
  EXPECT_EQ(a->job_seconds, b->job_seconds);
  o.seed = 6;
  const auto c = replay(o);
  ASSERT_TRUE(c);
  EXPECT_NE(a->energy, c->energy);
}

TEST(Replay, AMachineThatIsSlowerThanItWasMeasuredAlarmsAndIsServedInTheReference) {
  auto o = options();
  const auto nominal = *Nominal::make(o.board, o.network);
  Config held = o.rows[0].config;  // the GPU's clock cannot fall, so that the band is narrow
  held.set("gpu_min_hz", *held.number("gpu_max_hz"));
  o.rows.push_back(nominal.row(held));
  o.row = 1;
  o.duration = Seconds(60);
  o.row_choice = [] { return std::make_unique<UntilAlarm>(); };
  for (const double slower : {1.0, 1.3}) {  // than the study says
    o.costs.clear();
    for (const auto& row : o.rows) {
      serving::RowCost cost;
      for (int batch = 1; batch <= row.max_batch; ++batch) {
        const Seconds latency = nominal.steady(row.config, batch).latency * (1.0 / slower);
        cost.batches.push_back(serving::straight_curve(batch, latency, latency * 1.02, *row.idle, *row.busy));
      }
      o.costs.push_back(std::move(cost));
    }
    const auto ran = replay(o);
    ASSERT_TRUE(ran) << ran.error().text();
    EXPECT_EQ(ran->stale.has_value(), slower > 1.0);
    if (!ran->stale) continue;
    EXPECT_THAT(ran->stale->reason, testing::HasSubstr("latency left the band"));
    EXPECT_EQ(ran->row_causes.at(serving::Cause::kDrift), 1u);
    EXPECT_GT(ran->row_shares[0], 0.3);
  }
}

TEST(Replay, WhatWasMeasuredMustBeOfTheRows) {
  auto o = options();
  o.costs.resize(3);
  EXPECT_FALSE(replay(o));
}

TEST(Replay, CountsDropsAsViolationsByTheirCause) {
  auto o = options();
  o.make_policy = [] { return std::make_unique<DropsAll>(); };
  const auto ran = replay(o);
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->counted.violations_ratio(), 1.0);
  EXPECT_EQ(ran->counted.drops_ratio(), 1.0);
  EXPECT_EQ(ran->counted.drops.at(serving::Cause::kHopeless), ran->counted.requests);
  EXPECT_FALSE(ran->latency);
  EXPECT_FALSE(ran->energy_per_answer);
}

TEST(Replay, RunsAJobToItsEndUnderTrafficThatDoesNotCount) {
  auto o = options();
  o.duration = Seconds(0.1);
  o.jobs = {small_job()};
  o.make_policy = [] { return std::make_unique<Plain>(true); };
  const auto ran = replay(o);
  ASSERT_TRUE(ran);
  ASSERT_TRUE(ran->job_seconds);
  EXPECT_GT(*ran->job_seconds, o.duration);
  EXPECT_EQ(ran->jobs[0].steps_done(), 4);
  EXPECT_EQ(ran->jobs[0].pieces, 4u);
  EXPECT_GT(ran->beside_jobs.requests, ran->counted.requests);
  EXPECT_GT(*ran->energy_to_job_end, ran->energy);
  EXPECT_GE(ran->traffic_ended, *ran->job_seconds);
}

TEST(Replay, GivesAJobUpThatNobodyRunsAndSaysSo) {
  auto o = options();
  o.duration = Seconds(2);
  o.patience = 3.0;
  o.jobs = {small_job()};
  const auto ran = replay(o);
  ASSERT_TRUE(ran);
  EXPECT_FALSE(ran->job_seconds);
  EXPECT_EQ(ran->jobs[0].why_not, "given up after 6 s");
  EXPECT_NEAR(ran->traffic_ended.count(), 6.0, 1e-9);
}

TEST(Replay, DoesNotWaitForAJobThatItsPolicyNeverRuns) {
  auto o = options();
  o.make_policy = {};
  o.policy = "inference-only";
  o.jobs = {small_job()};
  const auto ran = replay(o);
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->jobs[0].why_not, "this policy runs no fine-tuning");
  EXPECT_NEAR(ran->traffic_ended.count(), 10.0, 1e-9);
}

TEST(Replay, AChangeOfTheSloIsForRequestsThatComeFromThenOn) {
  auto o = options();
  o.slo_changes = {{Seconds(4), Seconds(0.5)}};
  o.keep_requests = true;
  const auto ran = replay(o);
  ASSERT_TRUE(ran);
  for (const Outcome& request : ran->requests) {
    EXPECT_NEAR((request.deadline - request.arrived).count(), request.arrived < Seconds(4) ? 0.2 : 0.5, 1e-9);
  }
}

TEST(Replay, ChangesClocksWhileBatchesGoOnAndCountsIt) {
  auto o = options();
  const auto nominal = *Nominal::make(o.board, o.network);
  Config slow = o.rows[0].config;
  slow.set("gpu_max_hz", nominal.board().gpu_levels[3].si());
  o.rows.push_back(nominal.row(slow));
  o.row_choice = [] { return std::make_unique<OneChange>(); };
  o.keep_timeline = true;
  const auto ran = replay(o);
  ASSERT_TRUE(ran) << ran.error().text();
  EXPECT_EQ(ran->row_changes, 1u);
  EXPECT_EQ(ran->row_changes_failed, 0u);
  EXPECT_NEAR(std::accumulate(ran->row_shares.begin(), ran->row_shares.end(), 0.0), 1.0, 1e-9);
  EXPECT_NEAR(ran->row_shares[1], 0.5, 0.02);
  ASSERT_EQ(ran->timeline.rows.size(), 2u);
  // A write of a clock takes 17 ms on the board.
  EXPECT_GT(ran->timeline.rows[1].at, Seconds(5.017));
}

TEST(Replay, AClockThatTheBoardRefusesIsToldToTheCore) {
  auto o = options();
  const auto nominal = *Nominal::make(o.board, o.network);
  Config slow = o.rows[0].config;
  slow.set("mem_hz", nominal.board().mem_levels.front().si());
  o.rows.push_back(nominal.row(slow));
  o.row_choice = [] { return std::make_unique<OneChange>(); };
  o.faults = "refuse:/sys/kernel/debug/bpmp/debug/clk/emc/rate@3";
  const auto ran = replay(o);
  ASSERT_TRUE(ran) << ran.error().text();
  EXPECT_EQ(ran->row_changes, 0u);
  EXPECT_EQ(ran->row_changes_failed, 1u);
  EXPECT_EQ(ran->row_shares[0], 1.0);
}

TEST(Replay, PowerOfTheTimelineAddsUpToTheEnergy) {
  auto o = options();
  o.keep_timeline = true;
  const auto ran = replay(o);
  ASSERT_TRUE(ran);
  double joules = 0.0, from = 0.0;
  for (const auto& mark : ran->timeline.power) {
    if (mark.until > o.duration + Seconds(1e-9)) break;
    joules += mark.mean.si() * (mark.until.count() - from);
    from = mark.until.count();
  }
  EXPECT_NEAR(from, 10.0, 0.05 + 1e-9);
  EXPECT_NEAR(joules, ran->energy.si(), 0.01 * ran->energy.si());
}

TEST(Replay, UnknownNamesAreRefusedWithTheNamesThereAre) {
  auto o = options();
  o.make_policy = {};
  o.policy = "lucky";
  const auto ran = replay(o);
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().text(), testing::HasSubstr("greedy"));
}

TEST(Compare, EverybodySeesTheSameArrivalsAndOneJobHasABound) {
  CompareOptions c;
  c.base = options();
  c.base.make_policy = {};
  c.base.jobs = {small_job()};
  for (const char* policy : {"inference-only", "greedy"}) c.contenders.push_back({.name = policy, .policy = policy, .rows = c.base.rows});
  c.seeds = 2;
  c.arrivals = [](std::uint64_t seed) { return Arrivals::poisson(20.0, seed); };
  const auto compared = compare(c);
  ASSERT_TRUE(compared) << compared.error().text();
  for (std::size_t s = 0; s < 2; ++s) {
    EXPECT_EQ(compared->contenders[0].runs[s].counted.requests, compared->contenders[1].runs[s].counted.requests);
    EXPECT_FALSE(compared->contenders[0].runs[s].jobs[0].bound);
    EXPECT_TRUE(compared->contenders[1].runs[s].jobs[0].bound);
  }
  EXPECT_TRUE(Comparison::ratio_to_bound(compared->contenders[1].runs[0]));
}

TEST(Estimate, OfOneRunHasNoInterval) {
  EXPECT_FALSE(estimate(std::vector{3.0}).half_width);
  // Student's t with two degrees of freedom, 4.3027, over the square root of three.
  EXPECT_NEAR(*estimate(std::vector{1.0, 2.0, 3.0}).half_width, 4.3027 / std::sqrt(3.0), 1e-3);
}

}  // namespace
}  // namespace polythrottle::replay
