#include "serving/load_adaptive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <map>
#include <queue>
#include <random>
#include <tuple>

#include "serving/core.h"
#include "serving/job_boost.h"

namespace polythrottle::serving {
namespace {

using namespace std::chrono_literals;

constexpr double kFirst = 0.03, kEach = 0.01;  // s of a batch at the reference's clocks

/// Rows are told apart by the GPU's speed, and everything is in proportion to it.
class ByClock final : public interference::Predictor {
 public:
  Status fit(const interference::Samples&) override { return {}; }
  void learn(const interference::Samples&) override {}
  bool calibrated() const override { return true; }
  interference::Prediction batch(const interference::Situation& at) const override {
    return {Seconds((kFirst + kEach * at.batch) / at.speeds.gpu * (at.step ? 1.5 : 1.0)), 0.01};
  }
  interference::Prediction step(const interference::Speeds& speeds, const interference::Step& step, double) const override {
    return {Seconds(0.01 * step.items / speeds.gpu), 0.01};
  }
};

Row row_of(double speed, int batch, double idle, double busy) {
  Row row;
  row.config = {{"gpu_max_hz", speed * 1e9}, {"batch", static_cast<double>(batch)}};
  row.speeds.gpu = speed;
  row.max_batch = batch;
  row.idle = Watts(idle);
  row.busy = Watts(busy);
  return row;
}

/// The reference, and three slower ones that take batches: each with the curves of its clock.
std::vector<Row> rows() { return {row_of(1.0, 1, 10, 30), row_of(1.0, 16, 10, 31), row_of(0.7, 16, 9, 19), row_of(0.4, 16, 8.5, 12.5)}; }
std::vector<RowCost> costs(const std::vector<Row>& rows) {
  std::vector<RowCost> out;
  for (const Row& row : rows) {
    RowCost cost;
    cost.tail = 1.0;
    for (const int batch : {1, 16}) {
      if (batch > row.max_batch) break;
      const Seconds latency((kFirst + kEach * batch) / row.speeds.gpu);
      cost.batches.push_back(straight_curve(batch, latency, latency, *row.idle, *row.busy));
    }
    out.push_back(std::move(cost));
  }
  return out;
}

std::unique_ptr<LoadAdaptive> choice(LoadAdaptiveOptions options = {}, Seconds slo = 700ms) {
  options.costs = costs(rows());
  auto made = LoadAdaptive::make(std::move(options), slo);
  EXPECT_TRUE(made);
  return std::move(*made);
}

/// A state by hand.
struct Scene {
  std::vector<Row> all = rows();
  std::vector<Request> queue;
  std::vector<PendingJob> jobs;
  JobSpec spec;
  ByClock predictor;
  ServingState state;

  Scene() {
    state.rows = all;
    state.slo = 700ms;
    state.predictor = &predictor;
  }
  ServingState& at(double now, double rate, std::size_t row, double dispersion = 1.0) {
    state.now = Time(now);
    state.arrivals = {rate, dispersion};
    state.row = row;
    state.queue = queue;
    state.jobs = jobs;
    return state;
  }
  void wait(std::size_t requests, double since, double deadline) {
    for (std::size_t i = 0; i < requests; ++i) queue.push_back({i, Time(since), Time(deadline)});
  }
  void submit(double work, std::optional<Time> deadline = {}) {  // s at the reference's clocks
    spec.items = 1;
    spec.steps = std::lround(work / 0.01);
    spec.deadline = deadline;
    jobs.push_back({1, &spec, 0, Time(0), false});
  }
};

TEST(LoadAdaptive, TakesTheCheapRowAfterADwellAndTheStrongerOneAtOnce) {
  Scene scene;
  auto rowc = choice();
  EXPECT_FALSE(rowc->choose(scene.at(0, 2, 0)));
  EXPECT_FALSE(rowc->choose(scene.at(2.0, 2, 0)));  // the first time after three SLOs
  const auto down = rowc->choose(scene.at(10.1, 2, 0));
  ASSERT_TRUE(down);
  EXPECT_EQ(down->row, 3u);
  EXPECT_EQ(down->about.cause, Cause::kRate);
  EXPECT_DOUBLE_EQ(*down->about.rate, 2.0);
  EXPECT_GT(down->about.saves->si(), 0.0);
  const auto up = rowc->choose(scene.at(10.2, 60, 3));
  ASSERT_TRUE(up);
  EXPECT_LT(up->row, 3u);
  EXPECT_FALSE(rowc->choose(scene.at(20.1, 2, up->row)));
  const auto again = rowc->choose(scene.at(20.3, 2, up->row));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->row, 3u);
  EXPECT_EQ(rowc->switches().down, 2u);
  EXPECT_EQ(rowc->switches().up, 1u);
}

TEST(LoadAdaptive, AnIdleServerAsksToBeWokenUntilItIsInTheRowToRestIn) {
  Scene scene;
  auto rowc = choice();
  std::size_t row = 1;
  double now = 0.0;
  EXPECT_FALSE(rowc->choose(scene.at(0, 30, row)));
  for (int wakes = 0; rowc->wake(); ++wakes) {
    ASSERT_LT(wakes, 50);
    ASSERT_GT(rowc->wake()->count(), now);
    now = rowc->wake()->count();
    if (const auto answer = rowc->choose(scene.at(now, 30.0 * std::exp(-now / 28.0), row))) row = answer->row;
    rowc->choose(scene.at(now, 30.0 * std::exp(-now / 28.0), row));  // it has taken effect
  }
  EXPECT_EQ(row, 3u);
}

TEST(LoadAdaptive, WhereNoRowRepaysTheChangeNobodyIsWoken) {
  Scene scene;
  auto rowc = choice({.actuation_energy = Joules(1e4)});
  EXPECT_FALSE(rowc->choose(scene.at(0, 2, 0)));
  EXPECT_FALSE(rowc->wake());
}

TEST(LoadAdaptive, AChangeMustRepayItself) {
  Scene scene;
  auto rowc = choice({.actuation_energy = Joules(1e4)});
  for (double t = 0; t < 100; t += 1) EXPECT_FALSE(rowc->choose(scene.at(t, 2, 0)));
}

TEST(LoadAdaptive, ARowTheMachineRefusesIsNotAskedForAtEveryRequest) {
  Scene scene;
  auto rowc = choice();
  rowc->choose(scene.at(0, 2, 0));
  int asked = 0;
  for (double t = 11; t < 71; t += 0.1) asked += rowc->choose(scene.at(t, 2, 0)) ? 1 : 0;
  EXPECT_GE(asked, 5);
  EXPECT_LE(asked, 7);
}

TEST(LoadAdaptive, AQueueThatCannotBeServedInTimeLeadsToAFasterRowAndThenToTheReference) {
  Scene scene;
  auto rowc = choice({.risk = {.excess = 0.0}});
  rowc->choose(scene.at(0, 2, 3));
  scene.wait(1, 0.5, 1.08);  // 100 ms at this row's speed, 80 left
  const auto back = rowc->choose(scene.at(1.0, 2, 3));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->row, 2u);
  EXPECT_EQ(back->about.cause, Cause::kSloAtRisk);
  const auto last = rowc->choose(scene.at(1.05, 2, 2));
  ASSERT_TRUE(last);
  EXPECT_EQ(last->row, 0u);
  EXPECT_NEAR(back->about.predicted->count(), 0.1, 1e-9);
  EXPECT_NEAR(back->about.slack->count(), 0.08, 1e-9);
}

TEST(LoadAdaptive, TheLastThatWaitsIsCountedToo) {
  Scene scene;
  auto rowc = choice();
  rowc->choose(scene.at(0, 2, 3));
  scene.wait(40, 1.0, 1.7);  // three batches of row 3: 475, 475 and 275 ms
  ASSERT_TRUE(rowc->choose(scene.at(1.0, 2, 3)));
}

TEST(LoadAdaptive, OneThatWillBeLateIsNoReasonToFlee) {
  Scene scene;
  auto rowc = choice();
  rowc->choose(scene.at(0, 2, 3));
  scene.wait(1, 0.5, 1.08);
  EXPECT_FALSE(rowc->choose(scene.at(1.0, 2, 3)));
}

TEST(LoadAdaptive, LateAnswersLeadToAFasterRowUnlessTheyAreFewEnough) {
  Scene scene;
  auto rowc = choice({.risk = {.excess = 0.0}});
  rowc->choose(scene.at(0, 2, 3));
  for (int i = 0; i < 200; ++i) rowc->answered(Time(1), -100ms);
  rowc->answered(Time(1), 5ms);
  EXPECT_FALSE(rowc->choose(scene.at(1, 2, 3)));
  rowc->answered(Time(1), std::nullopt);  // dropped
  const auto back = rowc->choose(scene.at(1, 2, 3));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->row, 2u);
  EXPECT_EQ(rowc->switches().risk, 1u);
}

TEST(LoadAdaptive, ARowThatPutTheSloAtRiskIsBarredTwiceAsLongEachTime) {
  Scene scene;
  auto rowc = choice({.risk = {.excess = 0.0}});
  rowc->choose(scene.at(0, 2, 3));
  double now = 1.0;
  for (const double bar : {60.0, 120.0, 240.0}) {
    rowc->answered(Time(now), std::nullopt);
    rowc->answered(Time(now), std::nullopt);
    const auto fled = rowc->choose(scene.at(now, 2, 3));
    ASSERT_TRUE(fled);
    const double since = now;
    std::size_t row = fled->row;
    while (row != 3 && now < 2000) {
      now += 0.5;
      if (const auto answer = rowc->choose(scene.at(now, 2, row))) row = answer->row;
    }
    EXPECT_NEAR(now - since, bar, 1.0);
    now += 1.0;
  }
}

TEST(LoadAdaptive, WhereTheReferenceIsTooSlowForTheRateTheStrongestRowIsTheRefuge) {
  Scene scene;
  auto rowc = choice({.risk = {.excess = 0.0}});
  rowc->choose(scene.at(0, 40, 2));  // the reference serves 25 a second
  rowc->answered(Time(1), std::nullopt);
  const auto back = rowc->choose(scene.at(1, 40, 2));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->row, 1u);
}

TEST(LoadAdaptive, AnAlarmIsForGoodAndBeforeEverythingElse) {
  for (const auto& [alarm, cause] : {std::pair{Alarm::kDrift, Cause::kDrift}, {Alarm::kHot, Cause::kHot}, {Alarm::kRival, Cause::kRival}}) {
    Scene scene;
    auto rowc = choice();
    rowc->choose(scene.at(0, 2, 3));
    scene.submit(100);
    rowc->alarm(Time(1), alarm);
    const auto back = rowc->choose(scene.at(1, 2, 3));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->row, 0u);
    EXPECT_EQ(back->about.cause, cause);
    for (double t = 2; t < 5000; t += 10) EXPECT_FALSE(rowc->choose(scene.at(t, 2, 0)));
    EXPECT_EQ(rowc->switches().alarm, 1u);
  }
}

TEST(LoadAdaptive, RandomRatesNeverMakeItFlap) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Scene scene;
    auto rowc = choice();
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> part(0.0, 1.0);
    std::size_t row = 0;
    std::deque<double> changes;
    std::size_t most = 0;
    for (double t = 0; t < 1200; t += 0.2) {
      const double rate = std::exp(part(random) * 6.0 - 1.0);  // 0.4 to 150 a second, from one moment to the next
      if (const auto answer = rowc->choose(scene.at(t, rate, row, 3.0 * part(random)))) {
        row = answer->row;
        changes.push_back(t);
      }
      while (!changes.empty() && changes.front() < t - 60.0) changes.pop_front();
      most = std::max(most, changes.size());
    }
    EXPECT_LE(most, 4u * 6u + 4u) << seed;
    EXPECT_GT(rowc->switches().total(), 0u);
  }
}

// Jobs.

TEST(JobBoost, APendingJobRaisesTheClocksWhereItThenEndsForLessEnergyAndTheyFallAgain) {
  // Row 3 at 0.4 of the speed draws 12.5 W busy; a base of 8.7 W: 3.8 W for 2.5 s per second of work. Row 2: (19 - 8.7)/0.7.
  Scene scene;
  scene.all[2].busy = Watts(12.9);  // now row 2 is much faster for hardly more
  auto rowc = choice({.boost = true});
  rowc->choose(scene.at(0, 1, 3));
  scene.submit(100);
  const auto up = rowc->choose(scene.at(11, 1, 3));
  ASSERT_TRUE(up);
  EXPECT_EQ(up->row, 2u);
  EXPECT_EQ(up->about.cause, Cause::kJobEnergy);
  EXPECT_LT(*up->about.predicted, *up->about.bound);
  EXPECT_GT(up->about.saves->si(), 0.0);
  EXPECT_FALSE(rowc->choose(scene.at(12, 1, 2)));
  scene.jobs.clear();
  const auto down = rowc->choose(scene.at(13, 1, 2));
  ASSERT_TRUE(down);
  EXPECT_EQ(down->row, 3u);
}

TEST(JobBoost, CostIsWorkOverTheTimeInferenceLeavesTimesWhatItDrawsMore) {
  Scene scene;
  scene.submit(10);
  const auto table = LoadTable::make(costs(scene.all), 700ms);
  ASSERT_TRUE(table);
  const ServingState& state = scene.at(0, 5, 0);
  const auto cost = job_cost(state, *table, 0, 3);
  ASSERT_TRUE(cost);
  EXPECT_NEAR(cost->finish.count(), 10.0 / (1.0 - 5 * 0.04), 1e-6);
  EXPECT_NEAR(cost->energy.si(), cost->finish.count() * (30.0 - table->power(3, 5).si()), 1e-6);
}

TEST(JobBoost, AJobWithADeadlineGetsTheClocksThatMeetItAndElseTheFastest) {
  for (const auto& [deadline, speed] : {std::pair{40.0, 0.4}, {18.0, 0.7}, {13.0, 1.0}, {5.0, 1.0}}) {
    Scene scene;
    scene.all[2].busy = Watts(20);  // never for energy
    scene.all[1].busy = Watts(70);
    scene.all[0].busy = Watts(80);
    scene.submit(10, Time(deadline));
    const auto table = LoadTable::make(costs(rows()), 700ms);
    const auto boost = job_boost(scene.at(0, 0.1, 3), *table, 3, 1.1, Joules(0), 0.01);
    EXPECT_DOUBLE_EQ(scene.all[boost ? boost->row : 3].speeds.gpu, speed) << deadline;
  }
}

TEST(JobBoost, AJobThatFallsBehindIsHelpedAtOnceWhereAnythingHelps) {
  // 10 s of work due at 18 s: the row of 0.7 does it in 14.3 s. At 4 s that is too slow if nothing has been done, and at 9 s any is.
  for (const auto& [now, done, speed] : {std::tuple{4.0, 280L, 0.7}, {4.0, 0L, 1.0}, {9.0, 0L, 0.7}}) {
    Scene scene;
    scene.all[2].busy = Watts(20);  // never for energy
    scene.all[1].busy = Watts(70);
    scene.all[0].busy = Watts(80);
    scene.submit(10, Time(18));
    const auto c = choice();
    const auto first = c->choose(scene.at(0, 0.1, 3));
    ASSERT_TRUE(first && first->row == 2);
    scene.jobs[0].items_done = done;
    const auto then = c->choose(scene.at(now, 0.1, 2));
    EXPECT_DOUBLE_EQ(scene.all[then ? then->row : 2].speeds.gpu, speed) << now << " s, " << done << " items done";
  }
}

TEST(JobBoost, ARowWhereAWholeStepFitsIsTakenAndWhereItFitsNowhereNone) {
  for (const auto& [items, boosted] : {std::pair{20, false}, {40, true}, {80, false}}) {
    Scene scene;
    scene.spec.items = items;  // 10 ms each at the reference's clocks
    scene.spec.pieces = {items};
    scene.spec.steps = 100;
    scene.jobs.push_back({1, &scene.spec, 0, Time(0), false});
    const auto table = LoadTable::make(costs(rows()), 700ms);
    const auto boost = job_boost(scene.at(0, 0.5, 3), *table, 3, 1.1, Joules(0), 0.01);
    EXPECT_EQ(boost.has_value(), boosted) << items;  // 500 ms and 100 in row 3; 1000 and 100 there, 571 and 57 in row 2; 800 in any
    if (boost) {
      EXPECT_NE(boost->row, 3u);
    }
  }
}

TEST(LoadAdaptive, LateAnswersOneAfterTheOtherNeverSendItToAndFro) {
  Scene scene;
  auto rowc = choice({.home = 2, .risk = {.excess = 0.0, .home_excess = 0.0}});
  std::size_t row = 2;
  int changes = 0;
  for (double t = 0; t < 60; t += 0.2) {
    rowc->answered(Time(t), std::nullopt);
    if (const auto answer = rowc->choose(scene.at(t, 24, row))) row = answer->row, ++changes;
  }
  EXPECT_LE(changes, 8);
  EXPECT_EQ(row, 1u);
}

TEST(JobBoost, APausedJobAndAShortOneChangeNothing) {
  Scene scene;
  scene.all[2].busy = Watts(12.9);
  const auto table = LoadTable::make(costs(rows()), 700ms);
  scene.submit(100);
  ASSERT_TRUE(job_boost(scene.at(0, 1, 3), *table, 3, 1.1, Joules(5), 0.01));
  scene.jobs[0].paused = true;
  EXPECT_FALSE(job_boost(scene.at(0, 1, 3), *table, 3, 1.1, Joules(5), 0.01));
  scene.jobs.clear();
  scene.submit(0.1);
  EXPECT_FALSE(job_boost(scene.at(0, 1, 3), *table, 3, 1.1, Joules(5), 0.01));
}

// The core with it, on a device that is what the table says.

struct Served {
  double joules = 0.0;
  std::size_t requests = 0, missed = 0, changes = 0;
  double energy() const { return joules / static_cast<double>(requests); }
  double missed_share() const { return static_cast<double>(missed) / static_cast<double>(requests); }
};

/// `load`: requests a second. Batches take what the row's clock says, give or take 2 %; a change of rows takes 100 ms.
Served serve(double load, bool even, std::size_t start, std::unique_ptr<RowChoice> choice, std::uint64_t seed, double seconds = 900.0) {
  const auto all = rows();
  CoreOptions options;
  options.slo = 700ms;
  options.rows = all;
  options.row = start;
  Core core(options, (*find_policy("inference-only"))->make({}), std::make_unique<ByClock>(), std::move(choice));
  struct Event {
    double at;
    int kind;  // 0 arrival, 1 batch, 2 applied, 3 tick
    std::uint64_t id;
    bool operator>(const Event& other) const { return at > other.at; }
  };
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
  std::mt19937_64 random(seed), traffic(seed);  // the same requests whatever the rows do
  std::exponential_distribution<double> gap(load);
  std::normal_distribution<double> scatter(1.0, 0.02);
  std::map<RequestId, double> deadline;
  std::map<BatchId, std::vector<RequestId>> running;
  Served run;
  double now = 0.0, tick = INFINITY;
  std::uint64_t last = 0;
  bool busy = false;
  const auto act = [&](const std::vector<Action>& actions) {
    for (const Action& action : actions) {
      if (const auto* batch = std::get_if<RunBatch>(&action)) {
        const double latency = (kFirst + kEach * static_cast<double>(batch->requests.size())) / all[core.row()].speeds.gpu;
        running[batch->id] = batch->requests;
        events.push({now + latency * scatter(random), 1, batch->id});
        busy = true;
      } else if (const auto* drop = std::get_if<Drop>(&action)) {
        ++run.missed;
        deadline.erase(drop->request);
      } else if (const auto* apply = std::get_if<Apply>(&action)) {
        events.push({now + 0.1, 2, apply->row});
        ++run.changes;
      } else if (const auto* wake = std::get_if<WakeAt>(&action)) {
        tick = wake->when.count();
      }
    }
  };
  events.push({0.0, 0, 0});
  // To the last answer: an idle server may ask to be woken for as long as its row may change, which nobody is to pay for here.
  while (!events.empty() || !deadline.empty()) {
    const bool ticks = events.empty() || tick < events.top().at;
    const Event event = ticks ? Event{tick, 3, 0} : events.top();
    tick = INFINITY;  // an event replaces the wake-up
    if (!ticks) events.pop();
    const Row& row = all[core.row()];
    run.joules += (busy ? *row.busy : *row.idle).si() * (event.at - now);
    now = event.at;
    if (event.kind == 0) {
      const RequestId id = ++last;
      ++run.requests;
      deadline[id] = now + 0.7;
      const double next = now + (even ? 1.0 / load : gap(traffic));
      if (next < seconds) events.push({next, 0, 0});
      act(core.on_arrival(Time(now), id));
    } else if (event.kind == 1) {
      busy = false;
      for (const RequestId id : running[event.id]) {
        if (now > deadline[id]) ++run.missed;
        deadline.erase(id);
      }
      act(core.on_batch_done(Time(now), event.id));
    } else if (event.kind == 2) {
      act(core.on_applied(Time(now), event.id, true));
    } else {
      act(core.on_tick(Time(now)));
    }
  }
  EXPECT_TRUE(deadline.empty());
  return run;
}

TEST(LoadAdaptive, SavesAgainstBothStaticRowsAndBreaksTheSloNoMoreOften) {
  // Static tuned: row 2, the best back to back at the largest batch that answers within the SLO.
  for (const bool even : {true, false}) {
    for (const double share : {0.05, 0.2, 0.4, 0.6, 0.8, 0.9}) {
      const double load = share / (kFirst + kEach);
      const Served reference = serve(load, even, 0, nullptr, 5), tuned = serve(load, even, 2, nullptr, 5);
      const Served adaptive = serve(load, even, 0, choice(), 5);
      EXPECT_EQ(adaptive.requests, reference.requests);
      EXPECT_LT(adaptive.energy(), reference.energy()) << share;
      EXPECT_LE(adaptive.energy(), tuned.energy() * 1.01) << share << " " << even;
      EXPECT_LE(adaptive.missed_share(), reference.missed_share() + 0.002) << share << " " << even;
      EXPECT_LE(adaptive.changes, 20u) << share;
    }
  }
}

TEST(LoadTable, ItsPowerIsWhatTheServerThenDraws) {
  const auto all = rows();
  const auto table = LoadTable::make(costs(all), 700ms);
  ASSERT_TRUE(table);
  for (std::size_t row = 0; row < all.size(); ++row) {
    for (const double rate : {0.5, 2.0, 6.0, 12.0, 20.0}) {
      if (!table->serves(row, rate, 1.0)) continue;
      const Served run = serve(rate, false, row, nullptr, 9);
      EXPECT_NEAR(run.joules / 900.0 / table->power(row, rate).si(), 1.0, 0.04) << row << " at " << rate;
      EXPECT_LE(run.missed_share(), 0.01);
    }
  }
}

}  // namespace
}  // namespace polythrottle::serving
