// What each policy decides, state by state. Times are those of `FakePredictor`: a batch of b takes (1 + b) / 32 s alone and 3/2 of it
// beside a step, a step of n items (1 + n) / 32 s alone. A microsecond stands for the least that a clock can tell apart.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serving/fake_predictor.h"
#include "serving/policy.h"

namespace polythrottle::serving {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr double kMicro = 1e-6;
double alone(int batch) { return (1.0 + batch) / 32.0; }
double beside(int batch) { return 1.5 * alone(batch); }

/// One moment of a server: a row of 4 requests a batch, an SLO of a second, nobody waits, nothing runs, nothing comes. Now is 8 s.
struct Scene {
  std::string_view policy = "inference-only";
  std::vector<double> slack;  ///< of those that wait, s
  int max_batch = 4;
  double slo = 1.0;
  std::optional<double> batch_ends;  ///< from now on, s
  double batch_slack = 1.0;
  int batch_size = 1;
  std::optional<double> step_ends;  ///< if a batch runs beside it
  std::vector<JobSpec> specs;
  std::vector<long> done;  ///< items of each job; 0 where it says nothing
  std::vector<JobId> paused;
  bool calibrated = true;
  std::optional<Row> applying;
  double beside_factor = 1.5;
  ArrivalEstimate arrivals{.seconds = 1e9};
  PolicyOptions options = {};
  double lag = 0.0;  ///< s

  Decision decide() const {
    const Time now(8.0);
    FakePredictor predictor;
    predictor.has_co_runs = calibrated;
    predictor.beside_factor = beside_factor;
    std::vector<Request> queue;
    for (double left : slack) queue.push_back({queue.size() + 1, now - Seconds(0.5), now + Seconds(left)});
    std::vector<PendingJob> jobs;
    for (const JobSpec& spec : specs) {
      PendingJob job{jobs.size() + 1, &spec, jobs.size() < done.size() ? done[jobs.size()] : 0, Time(1)};
      job.paused = std::find(paused.begin(), paused.end(), job.id) != paused.end();
      jobs.push_back(job);
    }
    std::vector<Row> rows{fake_row(1.0, max_batch)};
    if (applying) rows.push_back(*applying);
    ServingState state;
    state.now = now;
    state.slo = Seconds(slo);
    state.queue = queue;
    if (batch_ends) state.batch = RunningBatch{7, now - Seconds(0.01), batch_size, now + Seconds(batch_slack), now + Seconds(*batch_ends)};
    if (step_ends) {
      RunningStep step{7, 1, now - Seconds(0.01), 8, now + Seconds(*step_ends)};
      step.work = {{}, 8};
      step.alone.mean = Seconds(1.0);
      step.beside.mean = Seconds(2.0);
      step.share_left = *step_ends / 2.0;
      state.step = step;
    }
    state.jobs = jobs;
    state.rows = rows;
    if (applying) state.applying = 1;
    state.arrivals = arrivals;
    state.lag = Seconds(lag);
    state.predictor = &predictor;
    return find_policy(policy).value()->make(options)->decide(state);
  }
};

std::vector<std::pair<RequestId, Cause>> dropped(const Decision& decision) {
  std::vector<std::pair<RequestId, Cause>> all;
  for (const Decision::Drop& drop : decision.drops) all.emplace_back(drop.request, drop.cause);
  return all;
}

struct BatchCase {
  const char* what;
  Scene scene;
  int batch;
  Act act;
  Cause cause;
  std::optional<double> wake = {};  ///< from now on, s
  std::vector<std::pair<RequestId, Cause>> drops = {};
};

void check(const BatchCase& given) {
  const Decision decision = given.scene.decide();
  SCOPED_TRACE(std::string(given.scene.policy) + ": " + given.what);
  EXPECT_EQ(decision.batch, given.batch);
  EXPECT_STREQ(to_string(decision.about_batch.act), to_string(given.act));
  EXPECT_STREQ(to_string(decision.about_batch.cause), to_string(given.cause));
  EXPECT_EQ(decision.wake.has_value(), given.wake.has_value());
  if (decision.wake && given.wake) {
    EXPECT_DOUBLE_EQ(decision.wake->count(), 8.0 + *given.wake);
  }
  EXPECT_EQ(dropped(decision), given.drops);
}

TEST(Policies, ServeByDeadlineAndWaitForMore) {
  const double latest = alone(2);  // with two, the deadline could still be met
  const BatchCase cases[] = {
      {"one with time waits until two would only just make it", {.slack = {1.0}}, 0, Act::kWaitForMore, Cause::kRoomForMore, 1.0 - latest},
      {"and no longer than a machine that is late allows",
       {.slack = {1.0}, .lag = 0.1},
       0,
       Act::kWaitForMore,
       Cause::kRoomForMore,
       0.9 - latest},
      {"at the least one runs at once", {.slack = {latest + 0.05}, .lag = 0.1}, 1, Act::kBatch, Cause::kDeadline},
      {"a microsecond before that it still waits", {.slack = {latest + kMicro}}, 0, Act::kWaitForMore, Cause::kRoomForMore, kMicro},
      {"at that moment it runs", {.slack = {latest}}, 1, Act::kBatch, Cause::kDeadline},
      {"and a microsecond later", {.slack = {latest - kMicro}}, 1, Act::kBatch, Cause::kDeadline},
      {"one that makes it exactly", {.slack = {alone(1)}}, 1, Act::kBatch, Cause::kDeadline},
      {"the earliest deadline decides", {.slack = {alone(3), 5.0}}, 2, Act::kBatch, Cause::kDeadline},
      {"three whose first allows exactly three", {.slack = {alone(3), 1.0, 1.0}}, 3, Act::kBatch, Cause::kDeadline},
      {"a microsecond less: two", {.slack = {alone(3) - kMicro, 1.0, 1.0}}, 2, Act::kBatch, Cause::kShrunk},
      {"as many as the row takes do not wait", {.slack = {1.0, 1.0, 1.0, 1.0}}, 4, Act::kBatch, Cause::kFull},
      {"of more, as many as the row takes", {.slack = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0}}, 4, Act::kBatch, Cause::kFull},
      {"a row of one waits for nobody", {.slack = {1.0}, .max_batch = 1}, 1, Act::kBatch, Cause::kFull},
      {"told not to wait", {.slack = {1.0}, .options = {.wait = false}}, 1, Act::kBatch, Cause::kWorthNoWait},
  };
  for (BatchCase given : cases)
    for (const char* policy : {"inference-only", "greedy", "adaptive"}) {
      given.scene.policy = policy;
      check(given);
    }
}

TEST(Policies, NobodyWaitsAndNothingHappens) {
  for (const char* policy : {"inference-only", "greedy", "paper", "adaptive"}) {
    const Decision decision = Scene{.policy = policy}.decide();
    EXPECT_EQ(decision.batch, 0) << policy;
    EXPECT_FALSE(decision.job) << policy;
    EXPECT_FALSE(decision.wake) << policy;
    EXPECT_THAT(decision.drops, IsEmpty()) << policy;
  }
}

TEST(Policies, DropOnlyTheHopeless) {
  const double late = alone(1) - kMicro;
  for (const char* policy : {"inference-only", "paper", "adaptive"}) {
    check({"a microsecond too little", {.policy = policy, .slack = {late}}, 0, Act::kBatch, Cause::kFull, {}, {{1, Cause::kHopeless}}});
    check({"past its deadline", {.policy = policy, .slack = {-kMicro}}, 0, Act::kBatch, Cause::kFull, {}, {{1, Cause::kExpired}}});
    check({"two, and who is behind them",
           {.policy = policy, .slack = {-1.0, late, alone(1)}},
           1,
           Act::kBatch,
           std::string_view(policy) == "paper" ? Cause::kWorthNoWait : Cause::kDeadline,
           {},
           {{1, Cause::kExpired}, {2, Cause::kHopeless}}});
    // It cannot begin before the batch that runs ends.
    check({"behind a batch, just in time",
           {.policy = policy, .slack = {0.1 + alone(1)}, .batch_ends = 0.1},
           0,
           Act::kBatch,
           Cause::kFull,
           0.1 + alone(1)});
    check({"behind a batch, too late",
           {.policy = policy, .slack = {0.1 + late}, .batch_ends = 0.1},
           0,
           Act::kBatch,
           Cause::kFull,
           {},
           {{1, Cause::kHopeless}}});
    // With all of its time left and the device free, only a batch that runs can say that the prediction is wrong.
    const Decision tried = Scene{.policy = policy, .slack = {late}, .slo = late}.decide();
    EXPECT_EQ(tried.batch, 1) << policy;
    EXPECT_THAT(tried.drops, IsEmpty()) << policy;
    EXPECT_EQ((Scene{.policy = policy, .slack = {beside(1) - kMicro}, .slo = beside(1) - kMicro, .step_ends = 1.0}.decide().batch), 0)
        << policy;
    // Nor is a batch overdue for ever.
    check({"behind a batch that should have ended",
           {.policy = policy, .slack = {alone(1)}, .batch_ends = -3.0},
           0,
           Act::kBatch,
           Cause::kFull,
           alone(1)});
    // The step that runs cannot be stopped.
    check({"beside a step, too late",
           {.policy = policy, .slack = {beside(1) - kMicro}, .step_ends = 1.0},
           0,
           Act::kBatch,
           Cause::kFull,
           {},
           {{1, Cause::kHopeless}}});
    EXPECT_EQ((Scene{.policy = policy, .slack = {beside(1)}, .step_ends = 1.0}.decide().batch), 1) << policy;
    // A step that ends on the way slows down only a part: half of it beside, the rest alone.
    const double half = beside(1) / 2 + alone(1) / 2;
    EXPECT_EQ((Scene{.policy = policy, .slack = {half}, .step_ends = beside(1) / 2}.decide().batch), 1) << policy;
    EXPECT_EQ((Scene{.policy = policy, .slack = {half - kMicro}, .step_ends = beside(1) / 2}.decide().batch), 0) << policy;
  }
}

TEST(Policies, GreedyDropsOnlyWhatIsLate) {
  check({"hopeless, but not late", {.policy = "greedy", .slack = {alone(1) - kMicro}}, 1, Act::kBatch, Cause::kShrunk});
  check({"at its deadline", {.policy = "greedy", .slack = {0.0}}, 1, Act::kBatch, Cause::kShrunk});
  check({"past it", {.policy = "greedy", .slack = {-kMicro}}, 0, Act::kBatch, Cause::kFull, {}, {{1, Cause::kExpired}}});
  // It plans as though no step ran.
  check({"beside a step", {.policy = "greedy", .slack = {alone(2)}, .step_ends = 1.0}, 1, Act::kBatch, Cause::kDeadline});
}

TEST(Policies, BetweenTwoRowsTheWorseCounts) {
  for (const char* policy : {"inference-only", "greedy", "adaptive"}) {
    Scene scene{.policy = policy, .slack = {1.0, 1.0, 1.0}, .applying = fake_row(1.0, 2)};
    check({"the smaller batch", scene, 2, Act::kBatch, Cause::kFull});
    scene.applying = fake_row(0.5, 8);
    check({"the slower clock", scene, 0, Act::kWaitForMore, Cause::kRoomForMore, 1.0 - 2.0 * alone(4)});
  }
}

struct StepCase {
  const char* what;
  Scene scene;
  std::optional<JobId> job;
  int items;
  Cause cause;
  std::optional<double> wake = {};
};

void check(const StepCase& given) {
  const Decision decision = given.scene.decide();
  SCOPED_TRACE(std::string(given.scene.policy) + ": " + given.what);
  EXPECT_EQ(decision.job, given.job);
  EXPECT_EQ(decision.job ? decision.items : 0, given.items);
  if (!given.job) {
    EXPECT_STREQ(to_string(decision.about_step.act), to_string(Act::kHoldStep));
  }
  EXPECT_STREQ(to_string(decision.about_step.cause), to_string(given.cause));
  EXPECT_EQ(decision.wake.has_value(), given.wake.has_value());
  if (decision.wake && given.wake) {
    EXPECT_DOUBLE_EQ(decision.wake->count(), 8.0 + *given.wake);
  }
}

const JobSpec kJob = fake_job(8, 2, {8, 4, 2, 1});
const JobSpec kWhole = fake_job(8, 2, {8});

TEST(Policies, InferenceOnlyFineTunesNothing) {
  check({"one job", {.specs = {kJob}}, {}, 0, Cause::kNeverBeside});
  check({"nobody waits, and it is calibrated", {.specs = {kJob, kJob}, .arrivals = {0.0, 1.0, 1e9}}, {}, 0, Cause::kNeverBeside});
}

TEST(Policies, GreedyAsksNobody) {
  const StepCase cases[] = {
      {"at once", {.specs = {kJob}}, 1, 8, Cause::kGreedy},
      {"before any co-run was seen", {.specs = {kJob}, .calibrated = false}, 1, 8, Cause::kGreedy},
      {"beside a batch that will be late for it", {.batch_ends = alone(1), .batch_slack = alone(1), .specs = {kJob}}, 1, 8, Cause::kGreedy},
      {"while requests wait", {.slack = {1.0}, .specs = {kJob}}, 1, 8, Cause::kGreedy, 1.0 - alone(2)},
      {"while the configuration changes", {.specs = {kJob}, .applying = fake_row(0.5, 4)}, 1, 8, Cause::kGreedy},
      {"no further than the optimizer step", {.specs = {kJob}, .done = {12}}, 1, 4, Cause::kGreedy},
      {"the last item", {.specs = {kJob}, .done = {15}}, 1, 1, Cause::kGreedy},
      {"the first of two", {.specs = {kJob, kWhole}}, 1, 8, Cause::kGreedy},
      {"the second if the first is paused", {.specs = {kJob, kWhole}, .paused = {1}}, 2, 8, Cause::kGreedy},
      {"none if all are", {.specs = {kJob, kWhole}, .paused = {1, 2}}, {}, 0, Cause::kPaused},
  };
  for (StepCase given : cases) {
    given.scene.policy = "greedy";
    check(given);
  }
  EXPECT_FALSE((Scene{.policy = "greedy", .step_ends = 0.01, .specs = {kJob}}.decide().job)) << "one step at a time, however near its end";
}

TEST(Policies, PaperFineTunesWhileABatchMeetsTheSlo) {
  const StepCase cases[] = {
      {"calibrated", {.specs = {kJob}}, 1, 8, Cause::kSlack},
      {"not before any co-run was seen", {.specs = {kJob}, .calibrated = false}, {}, 0, Cause::kNotCalibrated},
      {"a batch of one beside it meets the SLO exactly", {.slo = beside(1), .specs = {kJob}}, 1, 8, Cause::kSlack},
      {"a microsecond less", {.slo = beside(1) - kMicro, .specs = {kJob}}, {}, 0, Cause::kRisk},
      {"whole iterations, as far as they go", {.specs = {kJob}, .done = {12}}, 1, 4, Cause::kSlack},
      {"the first of two", {.specs = {kWhole, kJob}}, 1, 8, Cause::kSlack},
      {"the second if the first is paused", {.specs = {kWhole, kJob}, .paused = {1}}, 2, 8, Cause::kSlack},
      {"none if all are", {.specs = {kWhole}, .paused = {1}}, {}, 0, Cause::kPaused},
      {"behind a batch, the next deadline exactly",
       {.slack = {0.25 + beside(1)}, .batch_ends = 0.25, .specs = {kJob}},
       1,
       8,
       Cause::kSlack,
       0.25 + beside(1)},
      {"behind a batch, a microsecond less",
       {.slack = {0.25 + beside(1) - kMicro}, .batch_ends = 0.25, .specs = {kJob}},
       {},
       0,
       Cause::kRisk,
       0.25 + beside(1) - kMicro},
  };
  for (StepCase given : cases) {
    given.scene.policy = "paper";
    check(given);
  }
  EXPECT_FALSE((Scene{.policy = "paper", .step_ends = 0.01, .specs = {kJob}}.decide().job));
}

TEST(Policies, PaperTakesTheLargestBatchThatMeetsTheSloBesideAStep) {
  const auto batch = [](double slo, std::vector<JobSpec> specs) {
    return Scene{.policy = "paper", .slack = {5.0, 5.0, 5.0, 5.0, 5.0}, .slo = slo, .specs = std::move(specs)}.decide().batch;
  };
  EXPECT_EQ(batch(beside(4), {kJob}), 4);
  EXPECT_EQ(batch(beside(4) - kMicro, {kJob}), 3);
  EXPECT_EQ(batch(beside(2), {kJob}), 2);
  EXPECT_EQ(batch(beside(1) - kMicro, {kJob}), 1);
  EXPECT_EQ(batch(beside(2), {}), 4) << "with nothing pending, as many as the row takes";
  EXPECT_EQ((Scene{.policy = "paper", .slack = {5.0}}.decide().batch), 1) << "what waits then runs; nothing waits for more";
}

TEST(Policies, AdaptiveFineTunesWithinItsBudget) {
  // With batches four times as long beside a step, one that begins at once takes 1/4 s, unless the step ends before.
  const double slow = 4.0 * alone(1), little = slow - kMicro, wake = little - alone(2);
  const StepCase cases[] = {
      {"nothing to lose", {.specs = {kJob}}, 1, 8, Cause::kSlack},
      {"not before any co-run was seen", {.specs = {kJob}, .calibrated = false}, {}, 0, Cause::kNotCalibrated},
      {"not while the configuration changes", {.specs = {kJob}, .applying = fake_row(0.5, 4)}, {}, 0, Cause::kBetweenRows},
      {"not while a batch runs, however near its end", {.batch_ends = kMicro, .specs = {kJob}}, {}, 0, Cause::kAfterBatch},
      {"one waits that just makes it", {.slack = {slow}, .specs = {kWhole}, .beside_factor = 4.0}, 1, 8, Cause::kSlack, slow - alone(2)},
      {"a microsecond less", {.slack = {little}, .specs = {kWhole}, .beside_factor = 4.0}, {}, 0, Cause::kRisk, wake},
      {"unless a smaller piece does", {.slack = {little}, .specs = {kJob}, .beside_factor = 4.0}, 1, 2, Cause::kSlack, wake},
      {"no further than the optimizer step", {.specs = {kJob}, .done = {13}}, 1, 2, Cause::kSlack},
      {"the last item", {.specs = {kJob}, .done = {15}}, 1, 1, Cause::kSlack},
      {"the first of two", {.specs = {kWhole, kJob}}, 1, 8, Cause::kSlack},
      {"the second if the first is paused", {.specs = {kWhole, kJob}, .paused = {1}}, 2, 8, Cause::kSlack},
      {"none if all are", {.specs = {kWhole}, .paused = {1}}, {}, 0, Cause::kPaused},
  };
  for (StepCase given : cases) {
    given.scene.policy = "adaptive";
    check(given);
  }
  EXPECT_FALSE((Scene{.policy = "adaptive", .step_ends = 0.01, .specs = {kJob}}.decide().job));
}

TEST(Policies, AdaptiveTakesASmallerPieceWhereTheWholeIsTooLong) {
  const JobSpec job = fake_job(64, 1, {64, 32, 16, 8, 4, 2, 1});
  int before = 65;
  for (double rate : {0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0}) {
    const Decision decision = Scene{.policy = "adaptive", .slo = 0.125, .specs = {job}, .arrivals = {rate, 1.0, 1e9}}.decide();
    const int items = decision.job ? decision.items : 0;
    EXPECT_LE(items, before) << "at " << rate << " requests/s";
    before = items;
  }
  EXPECT_EQ(before, 0) << "where requests come faster than they can be served, nothing is left for a job";
}

TEST(Policies, AdaptiveSaysItsRiskAndItsBudget) {
  for (double budget : {0.001, 0.01, 0.2}) {
    for (double rate : {0.0, 1.0, 4.0, 16.0}) {
      const Decision decision =
          Scene{.policy = "adaptive", .specs = {kJob}, .arrivals = {rate, 1.0, 1e9}, .options = {.budget = budget}}.decide();
      EXPECT_EQ(decision.about_step.budget, budget);
      if (!decision.job) continue;
      ASSERT_TRUE(decision.about_step.risk);
      EXPECT_GE(*decision.about_step.risk, 0.0);
      EXPECT_LE(*decision.about_step.risk, budget);
    }
  }
}

TEST(Policies, TheSameStateGivesTheSameDecision) {
  for (const char* policy : {"inference-only", "greedy", "paper", "adaptive"}) {
    const Scene scene{.policy = policy, .slack = {0.3, 0.4}, .specs = {kJob}, .arrivals = {4.0, 2.0, 1e9}};
    const Decision first = scene.decide(), second = scene.decide();
    EXPECT_EQ(first.batch, second.batch);
    EXPECT_EQ(first.job, second.job);
    EXPECT_EQ(first.items, second.items);
    EXPECT_EQ(first.wake, second.wake);
    EXPECT_EQ(first.about_batch.bound, second.about_batch.bound);
  }
}

TEST(Policies, AreFoundByName) {
  for (const PolicyDriver* driver : serving_drivers()) {
    EXPECT_EQ(find_policy(driver->name).value(), driver);
    EXPECT_FALSE(driver->summary.empty());
  }
  const auto unknown = find_policy("generous");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::kInvalid);
  EXPECT_THAT(unknown.error().text(),
              testing::AllOf(testing::HasSubstr("generous"), testing::HasSubstr("inference-only"), testing::HasSubstr("adaptive")));
}

}  // namespace
}  // namespace polythrottle::serving
