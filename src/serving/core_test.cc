#include "serving/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "serving/core_driver.h"
#include "serving/core_worlds.h"

namespace polythrottle::serving {
namespace {

using testing::HasSubstr;

CoreOptions options_of(Seconds slo, int max_batch) {
  CoreOptions options;
  options.slo = slo;
  options.rows = {fake_row(1.0, max_batch)};
  return options;
}

Core core_of(std::string_view policy, CoreOptions options, std::unique_ptr<RowChoice> rows = nullptr, bool calibrated = true) {
  auto predictor = std::make_unique<FakePredictor>();
  predictor->has_co_runs = calibrated;
  return Core(std::move(options), find_policy(policy).value()->make({}), std::move(predictor), std::move(rows));
}

const FakePredictor& told(const Core& core) { return dynamic_cast<const FakePredictor&>(core.predictor()); }

template <class Kind>
std::vector<Kind> only(const std::vector<Action>& actions) {
  std::vector<Kind> all;
  for (const Action& action : actions)
    if (const auto* one = std::get_if<Kind>(&action)) all.push_back(*one);
  return all;
}

/// Goes to the row it is told to, once.
struct ToldRows final : RowChoice {
  std::optional<std::size_t> next;
  std::vector<std::optional<Seconds>> lateness;
  std::vector<Alarm> alarms;
  std::optional<Time> again;
  std::optional<Time> wake() const override { return again; }
  std::optional<Answer> choose(const ServingState&) override {
    if (!next) return std::nullopt;
    return Answer{*std::exchange(next, std::nullopt), {.cause = Cause::kRate}};
  }
  void answered(Time, std::optional<Seconds> late) override { lateness.push_back(late); }
  void alarm(Time, Alarm alarm) override { alarms.push_back(alarm); }
};

using CoreDeath = testing::Test;

TEST(CoreDeath, BrokenCallsStopTheProgram) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(core_of("greedy", options_of(Seconds(1), 1)).on_batch_done(Time(0), 1), "broken invariant");
  EXPECT_DEATH(core_of("greedy", options_of(Seconds(1), 1)).on_step_done(Time(0), 1), "broken invariant");
  EXPECT_DEATH(core_of("greedy", options_of(Seconds(1), 1)).on_applied(Time(0), 0, true), "broken invariant");
  EXPECT_DEATH(core_of("greedy", CoreOptions{}), "broken invariant");
  EXPECT_DEATH(
      {
        Core core = core_of("greedy", options_of(Seconds(1), 1));
        core.on_tick(Time(1));
        core.on_tick(Time(0.5));
      },
      "broken invariant");
  EXPECT_DEATH(core_of("greedy", options_of(Seconds(1), 1)).on_tick(Time(std::numeric_limits<double>::quiet_NaN())), "broken invariant");
  EXPECT_DEATH(core_of("greedy", options_of(Seconds(1), 1)).set_slo(Time(0), Seconds(0)), "broken invariant");
}

TEST(Core, EqualDeadlinesAreServedInTheOrderTheyCame) {
  Core core = core_of("inference-only", options_of(Seconds(1), 2));
  const auto first = only<RunBatch>(core.on_arrival(Time(0), 30, Time(2)));
  EXPECT_TRUE(first.empty());
  const auto started = only<RunBatch>(core.on_arrival(Time(0), 10, Time(2)));
  ASSERT_EQ(started.size(), 1u);
  EXPECT_EQ(started[0].requests, (std::vector<RequestId>{30, 10}));
  core.on_arrival(Time(0.01), 9, Time(2));
  core.on_arrival(Time(0.01), 8, Time(2));
  core.on_arrival(Time(0.02), 7, Time(1.5));
  const auto next = only<RunBatch>(core.on_batch_done(Time(0.1), started[0].id));
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].requests, (std::vector<RequestId>{7, 9}));
}

TEST(Core, AQueueThatIsFullRefusesTheNewest) {
  CoreOptions options = options_of(Seconds(1), 1);
  options.queue_limit = 2;
  Core core = core_of("inference-only", options);
  for (RequestId id = 1; id <= 3; ++id) EXPECT_TRUE(only<Drop>(core.on_arrival(Time(0), id)).empty());  // one runs, two wait
  const auto drops = only<Drop>(core.on_arrival(Time(0), 4));
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].request, 4u);
  EXPECT_EQ(drops[0].cause, Cause::kQueueFull);
}

TEST(Core, ADeadlineThatIsNoMomentIsRefusedAndDisturbsNoOther) {
  Core core = core_of("inference-only", options_of(Seconds(1), 1));
  const BatchId first = only<RunBatch>(core.on_arrival(Time(0), 1)).at(0).id;
  core.on_arrival(Time(0), 2, Time(2));
  for (const double deadline : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    const auto drops = only<Drop>(core.on_arrival(Time(0), 3, Time(deadline)));
    ASSERT_EQ(drops.size(), 1u);
    EXPECT_EQ(drops[0].request, 3u);
    EXPECT_EQ(drops[0].cause, Cause::kNoDeadline);
  }
  core.on_arrival(Time(0), 4, Time(1.5));
  const auto next = only<RunBatch>(core.on_batch_done(Time(0.1), first));
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].requests, std::vector<RequestId>{4});
}

TEST(CoreDeathTest, TimeThatIsNoneStopsTheProgram) {
  Core core = core_of("inference-only", options_of(Seconds(1), 1));
  EXPECT_DEATH(core.on_arrival(Time(std::nan("")), 1), "broken invariant");
  EXPECT_DEATH(core.on_arrival(Time(HUGE_VAL), 1), "broken invariant");
}

TEST(Core, OnTheWayDownItAnswersWhatWaitsAndTakesNoMore) {
  Core core = core_of("greedy", options_of(Seconds(1), 4));
  ASSERT_TRUE(core.submit(Time(0), fake_job(8, 2, {8, 4})));
  core.on_arrival(Time(0), 1);
  std::vector<Action> actions = core.drain(Time(0.1));
  EXPECT_TRUE(only<RunStep>(actions).empty());
  ASSERT_EQ(only<RunBatch>(actions).size(), 1u) << "nothing more will come, so nothing waits for more";
  const auto refused = only<Drop>(core.on_arrival(Time(0.2), 2));
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].cause, Cause::kDraining);
  EXPECT_FALSE(core.submit(Time(0.2), fake_job(8, 1, {8})));
  EXPECT_TRUE(only<RunStep>(core.on_step_done(Time(0.3), 1)).empty());
  core.on_batch_done(Time(1), only<RunBatch>(actions)[0].id);
  EXPECT_TRUE(core.idle());
}

TEST(Core, ANewSloIsOfWhatComesFromNowOn) {
  Core core = core_of("inference-only", options_of(Seconds(4), 2));
  core.on_arrival(Time(0), 1);
  core.set_slo(Time(0), Seconds(0.5));
  const auto batch = only<RunBatch>(core.on_arrival(Time(0.1), 2));
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch[0].requests, (std::vector<RequestId>{2, 1})) << "0.6 s comes before 4 s";
}

TEST(Core, JobsWhoseSizesDoNotFitAreRefused) {
  Core core = core_of("greedy", options_of(Seconds(1), 1));
  const std::vector<JobSpec> broken = {
      fake_job(0, 1, {0}),       fake_job(8, 0, {8}),       fake_job(-8, 1, {-8}),
      fake_job(8, 1, {}),        fake_job(8, 1, {4}),       fake_job(8, 1, {8, 3}),
      fake_job(8, 1, {8, 0}),    fake_job(8, 1, {8, -4}),   fake_job(8, 1, {8, 2, 4}),
      fake_job(8, 1, {8, 4, 4}), fake_job(6, 1, {6, 3, 2}), fake_job(8, std::numeric_limits<long>::max() / 4, {8})};
  for (const JobSpec& job : broken) {
    const auto refused = core.submit(Time(0), job);
    ASSERT_FALSE(refused) << job.items << " items, " << job.steps << " steps, " << job.pieces.size() << " pieces";
    EXPECT_EQ(refused.error().code, Errc::kInvalid);
    EXPECT_FALSE(refused.error().hint.empty());
  }
  EXPECT_TRUE(core.jobs().empty());
  EXPECT_TRUE(core.submit(Time(0), fake_job(12, 1, {12, 6, 4, 2})));
}

TEST(Core, AJobThatCannotEndInTimeIsRefusedWithTheReason) {
  // 10 items take 11/32 s; nobody asks for anything meanwhile.
  Core core = core_of("adaptive", options_of(Seconds(1), 1));
  EXPECT_TRUE(core.submit(Time(0), fake_job(10, 1, {10}, Time(11.0 / 32))));
  const auto refused = core.submit(Time(0), fake_job(10, 1, {10}, Time(21.0 / 32)));
  ASSERT_FALSE(refused) << "it comes behind the first";
  EXPECT_EQ(refused.error().code, Errc::kOutOfRange);
  EXPECT_THAT(refused.error().what, HasSubstr("0.688 s"));

  CoreOptions busy = options_of(Seconds(1), 1);
  busy.expected_rate = 16.0;  // 1/16 s each: nothing is left
  Core full = core_of("adaptive", busy);
  const auto never = full.submit(Time(0), fake_job(10, 1, {10}, Time(1e9)));
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, Errc::kOutOfRange);

  // A batch of one takes 2/32 s alone and 3/32 s beside a step, and nobody knows when the next request comes.
  CoreOptions tight = options_of(Seconds(0.08), 1);
  tight.expected_rate = 2.0;
  const auto job = fake_job(64, 1, {64, 32}, Time(1e9));
  Core nowhere = core_of("adaptive", tight);
  EXPECT_FALSE(nowhere.could_run(Time(0), job));
  const auto held = nowhere.submit(Time(0), job);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Errc::kOutOfRange);
  EXPECT_THAT(held.error().what, HasSubstr("its smallest step, of 32 items, fits under the SLO at no row"));
  EXPECT_TRUE(core_of("greedy", tight).submit(Time(0), job)) << "it runs any step at once";
  CoreOptions two = tight;
  two.rows.push_back(fake_row(4.0, 1));
  EXPECT_TRUE(core_of("adaptive", two).submit(Time(0), job)) << "four times as fast";
  tight.slo = Seconds(1);
  EXPECT_TRUE(core_of("adaptive", tight).submit(Time(0), job));

  Core unknown = core_of("adaptive", options_of(Seconds(1), 1), nullptr, false);
  EXPECT_FALSE(unknown.submit(Time(0), fake_job(10, 1, {10}, Time(100)))) << "nobody can say";
  EXPECT_TRUE(unknown.submit(Time(0), fake_job(10, 1, {10})));
}

TEST(Core, TellsThePredictorWhatItSaw) {
  Core core = core_of("greedy", options_of(Seconds(1), 1));
  const auto submitted = core.submit(Time(0), fake_job(8, 1, {8}));
  const StepId step = only<RunStep>(submitted->actions).at(0).id;
  const BatchId batch = only<RunBatch>(core.on_arrival(Time(0.1), 1)).at(0).id;
  core.on_step_done(Time(0.2), step);
  core.on_batch_done(Time(0.5), batch);
  const FakePredictor& predictor = told(core);
  ASSERT_EQ(predictor.steps.size(), 1u);
  EXPECT_EQ(predictor.steps[0].step.items, 8);
  EXPECT_DOUBLE_EQ(predictor.steps[0].duration.count(), 0.2);
  EXPECT_DOUBLE_EQ(predictor.steps[0].beside, 0.5);
  ASSERT_EQ(predictor.batches.size(), 1u);
  EXPECT_EQ(predictor.batches[0].at.batch, 1);
  ASSERT_TRUE(predictor.batches[0].at.step);
  EXPECT_DOUBLE_EQ(predictor.batches[0].latency.count(), 0.4);
  EXPECT_DOUBLE_EQ(predictor.batches[0].beside, 0.25);
}

TEST(Core, LearnsNothingFromWhatRanInTwoRows) {
  CoreOptions options = options_of(Seconds(1), 1);
  options.rows.push_back(fake_row(0.5, 1));
  auto owned = std::make_unique<ToldRows>();
  ToldRows& rows = *owned;
  Core core = core_of("inference-only", options, std::move(owned));
  const BatchId batch = only<RunBatch>(core.on_arrival(Time(0), 1)).at(0).id;
  rows.next = 1;
  const auto apply = only<Apply>(core.on_tick(Time(0.01)));
  ASSERT_EQ(apply.size(), 1u);
  core.on_applied(Time(0.02), 1, true);
  core.on_batch_done(Time(0.1), batch);
  EXPECT_TRUE(told(core).batches.empty());
  EXPECT_EQ(core.row(), 1u);
  const BatchId next = only<RunBatch>(core.on_arrival(Time(0.1), 2)).at(0).id;
  core.on_batch_done(Time(0.2), next);
  ASSERT_EQ(told(core).batches.size(), 1u);
  EXPECT_EQ(told(core).batches[0].at.speeds.gpu, 0.5);
}

TEST(Core, ARowThatTookNoEffectIsNotInForce) {
  CoreOptions options = options_of(Seconds(1), 1);
  options.rows.push_back(fake_row(0.5, 1));
  auto owned = std::make_unique<ToldRows>();
  ToldRows& rows = *owned;
  Core core = core_of("inference-only", options, std::move(owned));
  rows.next = 1;
  core.on_tick(Time(0));
  core.on_applied(Time(0.1), 1, false);
  EXPECT_EQ(core.row(), 0u);
}

TEST(Core, WakesTheRowChoiceOfAnIdleServerButNotWhileARowIsOnItsWay) {
  auto owned = std::make_unique<ToldRows>();
  ToldRows& rows = *owned;
  CoreOptions options = options_of(Seconds(1), 1);
  options.rows.push_back(fake_row(0.5, 1));
  Core core = core_of("inference-only", options, std::move(owned));
  rows.again = Time(7);
  const auto wakes = only<WakeAt>(core.on_tick(Time(1)));
  ASSERT_EQ(wakes.size(), 1u);
  EXPECT_EQ(wakes[0].when, Time(7));
  rows.next = 1;
  EXPECT_TRUE(only<WakeAt>(core.on_tick(Time(7))).empty());
  EXPECT_EQ(only<WakeAt>(core.on_applied(Time(7.2), 1, true)).size(), 1u);
}

TEST(Core, TellsTheRowChoiceHowLateItWas) {
  auto owned = std::make_unique<ToldRows>();
  ToldRows& rows = *owned;
  Core core = core_of("inference-only", options_of(Seconds(1), 1), std::move(owned));
  const BatchId batch = only<RunBatch>(core.on_arrival(Time(0), 1, Time(0.25))).at(0).id;
  core.on_arrival(Time(0), 2, Time(0.01));  // hopeless
  core.on_batch_done(Time(0.5), batch);
  core.on_alarm(Time(0.5), Alarm::kHot);
  ASSERT_EQ(rows.lateness.size(), 2u);
  EXPECT_FALSE(rows.lateness[0]);
  EXPECT_DOUBLE_EQ(rows.lateness[1]->count(), 0.25);
  EXPECT_EQ(rows.alarms, std::vector{Alarm::kHot});
}

TEST(Core, ASpuriousTickLeavesNoRecord) {
  CoreOptions options = options_of(Seconds(1), 4);
  Core core = core_of("adaptive", options, nullptr, false);
  core.on_arrival(Time(0), 1);
  ASSERT_TRUE(core.submit(Time(0), fake_job(8, 1, {8})));
  const std::size_t records = core.records().size();
  for (int i = 1; i <= 1000; ++i) core.on_tick(Time(1e-4 * i));
  EXPECT_EQ(core.records().size(), records);
}

TEST(Core, TheSameWaitAfterABatchIsAnotherOne) {
  Core core = core_of("inference-only", options_of(Seconds(1), 2));
  core.on_arrival(Time(0), 1);
  const auto batch = only<RunBatch>(core.on_arrival(Time(0.5), 2));
  ASSERT_EQ(batch.size(), 1u);
  core.on_batch_done(Time(0.75), batch[0].id);
  core.on_arrival(Time(2), 3);
  std::vector<Act> acts;
  for (const DecisionRecord& record : core.records()) acts.push_back(record.act);
  EXPECT_EQ(acts, (std::vector{Act::kWaitForMore, Act::kBatch, Act::kWaitForMore}));
}

TEST(Core, KeepsTheLatestRecordsOnly) {
  CoreOptions options = options_of(Seconds(1), 1);
  options.records = 10;
  Core core = core_of("inference-only", options);
  Time now(0);
  for (RequestId id = 1; id <= 100; ++id) {
    const auto batch = only<RunBatch>(core.on_arrival(now, id));
    ASSERT_EQ(batch.size(), 1u);
    now += Seconds(0.125);
    core.on_batch_done(now, batch[0].id);
    EXPECT_DOUBLE_EQ(core.records().back().actual->count(), 0.125);
  }
  EXPECT_EQ(core.records().size(), 10u);
  EXPECT_EQ(core.records().back().number, 100u);
  EXPECT_EQ(core.records().front().number, 91u);
}

TEST(Core, ACancelledJobEndsWithItsStep) {
  Core core = core_of("greedy", options_of(Seconds(1), 1));
  const auto submitted = core.submit(Time(0), fake_job(8, 4, {8}));
  core.cancel(Time(0.1), submitted->id);
  EXPECT_TRUE(only<RunStep>(core.on_step_done(Time(0.3), 1)).empty());
  EXPECT_TRUE(core.jobs().empty());
  EXPECT_TRUE(core.idle());
  core.cancel(Time(0.3), submitted->id);  // again, and of one that never was: nothing
  core.pause(Time(0.3), 99, true);
}

TEST(Core, APausedJobGoesOnWhereItStopped) {
  Core core = core_of("greedy", options_of(Seconds(1), 1));
  const auto submitted = core.submit(Time(0), fake_job(8, 2, {8}));
  core.pause(Time(0.1), submitted->id, true);
  EXPECT_TRUE(only<RunStep>(core.on_step_done(Time(0.3), 1)).empty());
  EXPECT_EQ(core.jobs()[0].items_done, 8);
  EXPECT_EQ(only<RunStep>(core.pause(Time(5), submitted->id, false)).size(), 1u);
}

}  // namespace
}  // namespace polythrottle::serving
