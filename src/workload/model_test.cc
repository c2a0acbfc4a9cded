#include "workload/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "host/fake.h"

namespace polythrottle {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;

/// What the fake engines of one test have in common.
struct FakeDevice {
  std::function<void(std::int64_t batch)> work;  ///< lets the time of one batch pass
  std::atomic<int> opened{0}, alive{0}, runs{0};
  int refuse_open_from = 1'000'000;  ///< the n-th engine to be opened is refused
  int fail_run_from = 1'000'000;     ///< the n-th batch fails
  bool throws = false;
  std::vector<int> threads;                 ///< of each engine opened
  std::vector<std::int64_t> prepared, ran;  ///< sizes; only with one instance
};

class FakeEngine : public Engine {
 public:
  explicit FakeEngine(FakeDevice& device) : device_(device) { ++device_.alive; }
  ~FakeEngine() override { --device_.alive; }
  const ModelInfo& model() const override { return model_; }
  Status prepare(std::int64_t batch) override {
    batch_ = batch;
    if (device_.alive == 1) device_.prepared.push_back(batch);
    return {};
  }
  Status run() override {
    if (++device_.runs >= device_.fail_run_from) {
      if (device_.throws) throw std::runtime_error("a thrown word");
      return fail(Errc::kIo, "the engine broke");
    }
    if (device_.alive == 1) device_.ran.push_back(batch_);
    device_.work(batch_);
    return {};
  }

 private:
  FakeDevice& device_;
  ModelInfo model_;
  std::int64_t batch_ = 0;
};

EngineFactory factory(FakeDevice& device) {
  return [&device](int threads, std::uint64_t) -> Result<std::unique_ptr<Engine>> {
    if (++device.opened >= device.refuse_open_from) return fail(Errc::kUnsupported, "no more engines");
    device.threads.push_back(threads);
    return std::make_unique<FakeEngine>(device);
  };
}

Config setting(double batch, double threads, double instances) {
  return Config{{"batch", batch}, {"threads", threads}, {"instances", instances}};
}

Budget budget(double at_least, double at_most, std::size_t samples) {
  Budget made;
  made.at_least = Seconds(at_least);
  made.at_most = Seconds(at_most);
  made.samples = samples;
  return made;
}

/// One instance in virtual time: a batch of n takes fixed + n * each seconds.
class VirtualModel : public testing::Test {
 protected:
  void open(ModelOptions options, double fixed, double each, Config config = setting(1, 1, 1)) {
    device_.work = [this, fixed, each](std::int64_t batch) { clock_.advance(Seconds(fixed + each * static_cast<double>(batch))); };
    auto made = model_workload(clock_, factory(device_), std::move(options));
    ASSERT_TRUE(made.has_value()) << made.error().text();
    model_ = std::move(*made);
    const auto configured = model_->configure(config);
    ASSERT_TRUE(configured.has_value()) << configured.error().text();
  }
  Work run(const Budget& wanted) {
    auto work = model_->run(wanted, {});
    EXPECT_TRUE(work.has_value()) << work.error().text();
    return work ? *work : Work{};
  }

  FakeClock clock_;
  FakeDevice device_;
  std::unique_ptr<Workload> model_;
};

double longest(const Work& work) {
  double longest = 0.0;
  for (const auto& completion : work.completions) longest = std::max(longest, completion.latency.count());
  return longest;
}

ModelOptions open_loop(Result<Arrivals> arrivals, double delay = 0.0) {
  ModelOptions options;
  options.arrivals = std::move(arrivals.value());
  options.batch_delay = Seconds(delay);
  return options;
}

TEST(ModelWorkload, HasThreeKnobs) {
  EXPECT_THAT(parallelism_levels(1), ElementsAre(1));
  EXPECT_THAT(parallelism_levels(4), ElementsAre(1, 2, 4));
  EXPECT_THAT(parallelism_levels(6), ElementsAre(1, 2, 4, 6));
  FakeClock clock;
  FakeDevice device;
  ModelOptions options;
  options.cpus = 6;
  const auto model = model_workload(clock, factory(device), options).value();
  ASSERT_EQ(model->parameters().size(), 3u);
  EXPECT_EQ(model->parameters()[0].name, "batch");
  EXPECT_EQ(model->parameters()[0].role, Role::kBatch);
  EXPECT_THAT(model->parameters()[0].levels, ElementsAre(Value(1.0), Value(2.0), Value(4.0), Value(8.0), Value(16.0)));
  EXPECT_EQ(model->parameters()[1].name, "threads");
  EXPECT_EQ(model->parameters()[1].role, Role::kParallelism);
  EXPECT_EQ(model->parameters()[1].levels.size(), 4u);
  EXPECT_EQ(model->parameters()[2].name, "instances");
  EXPECT_EQ(device.opened, 0);  // nothing runs before it is configured
  EXPECT_EQ(model->run({}, {}).error().code, Errc::kInvalid);
  EXPECT_EQ(model->warm_up({}).error().code, Errc::kInvalid);
}

TEST(ModelWorkload, RefusesLevelsThatAreNone) {
  FakeClock clock;
  FakeDevice device;
  for (const auto& batches : {std::vector<int>{}, {0, 1}, {2, 1}, {1, 1}}) {
    ModelOptions options;
    options.batches = batches;
    EXPECT_EQ(model_workload(clock, factory(device), options).error().code, Errc::kInvalid);
  }
  ModelOptions options;
  options.batch_delay = Seconds(-1);
  EXPECT_EQ(model_workload(clock, factory(device), options).error().code, Errc::kInvalid);
}

TEST_F(VirtualModel, OpensEnginesOnlyWhenThreadsOrInstancesChange) {
  ModelOptions options;
  options.cpus = 4;
  open(options, 0.01, 0.0, setting(1, 2, 2));
  EXPECT_EQ(device_.opened, 2);
  ASSERT_TRUE(model_->configure(setting(8, 2, 2)).has_value());
  EXPECT_EQ(device_.opened, 2);
  ASSERT_TRUE(model_->configure(setting(8, 4, 1)).has_value());
  EXPECT_EQ(device_.opened, 3);
  EXPECT_EQ(device_.alive, 1);
  EXPECT_THAT(device_.threads, ElementsAre(2, 2, 4));
  EXPECT_EQ(model_->configure(setting(3, 1, 1)).error().code, Errc::kOutOfRange);
  EXPECT_EQ(model_->configure(Config{{"batch", std::string("8")}}).error().code, Errc::kOutOfRange);
  EXPECT_EQ(model_->run({}, {}).error().code, Errc::kInvalid);              // a refused setting is not run with another
  ASSERT_TRUE(model_->configure(Config{{"gpu_max_hz", 1e9}}).has_value());  // names of others, and absent ones
  EXPECT_EQ(device_.threads.back(), 1);
}

TEST_F(VirtualModel, ARefusedEngineIsTheSettingsError) {
  ModelOptions options;
  options.cpus = 4;
  device_.refuse_open_from = 3;
  open(options, 0.01, 0.0, setting(1, 1, 1));
  EXPECT_EQ(model_->configure(setting(1, 1, 4)).error().code, Errc::kUnsupported);
  EXPECT_EQ(device_.alive, 0);
}

TEST_F(VirtualModel, ClosedLoopRunsUntilTimeAndSamplesAreThere) {
  open({}, 0.01, 0.01, setting(4, 1, 1));  // 50 ms a batch
  Work work = run(budget(1.02, 20, 5));
  EXPECT_EQ(work.completions.size(), 21u);
  EXPECT_EQ(work.inferences, 84u);
  EXPECT_NEAR((work.ended - work.began).count(), 1.05, 1e-9);
  for (const auto& completion : work.completions) EXPECT_NEAR(completion.latency.count(), 0.05, 1e-9);
  EXPECT_FALSE(work.cut_short);
  EXPECT_THAT(work.notes, IsEmpty());

  work = run(budget(0.02, 20, 30));  // samples take longer than the time
  EXPECT_EQ(work.completions.size(), 30u);
  work = run(budget(0.02, 0.49, 30));  // and never longer than that
  EXPECT_EQ(work.completions.size(), 10u);
}

TEST_F(VirtualModel, NothingBeforeRunIsCounted) {
  open({}, 0.01, 0.0);
  ASSERT_TRUE(model_->warm_up({}).has_value());
  EXPECT_THAT(device_.runs.load(), AllOf(Gt(15), Le(25)));  // 0.2 s
  const auto before = clock_.now();
  const Work work = run(budget(0.1, 1, 5));
  EXPECT_EQ(work.began, before);
  EXPECT_EQ(work.completions.size(), 10u);
}

TEST_F(VirtualModel, WarmUpWaitsForSteadyLatencyAndSaysWhenThereIsNone) {
  open({}, 0.1, 0.0);
  int n = 0;
  device_.work = [&](std::int64_t) { clock_.advance(Seconds(0.02 + 0.1 * std::exp(-0.2 * n++))); };
  ASSERT_TRUE(model_->warm_up({}).has_value());
  EXPECT_THAT(n, AllOf(Gt(20), Le(60)));
  EXPECT_THAT(run(budget(0.1, 1, 1)).notes, IsEmpty());

  device_.work = [&](std::int64_t) { clock_.advance(Seconds(0.01 * std::pow(1.05, n++ % 100))); };
  const auto before = clock_.now();
  ASSERT_TRUE(model_->warm_up({}).has_value());
  EXPECT_THAT((clock_.now() - before).count(), AllOf(Gt(4.99), Le(6.4)));
  EXPECT_THAT(run(budget(0.1, 1, 1)).notes, Contains(HasSubstr("not steady")));
}

TEST_F(VirtualModel, EndsEarlyOnceTheLimitIsCertainlyBroken) {
  open({}, 0.05, 0.0);
  Budget wanted = budget(1, 20, 30);
  wanted.limit = Seconds(0.04);
  for (const double quantile : {0.0, 0.95, 0.99}) {
    wanted.quantile = quantile;
    const Work work = run(wanted);
    EXPECT_TRUE(work.cut_short) << quantile;
    EXPECT_EQ(work.completions.size(), 10u);
  }
  wanted.limit = Seconds(0.0499);  // within the tolerance
  const Work work = run(wanted);
  EXPECT_FALSE(work.cut_short);
  EXPECT_EQ(work.completions.size(), 30u);
}

TEST_F(VirtualModel, GoesOnUntilSomebodyHasSeenEnough) {
  for (const bool open_loop_too : {false, true}) {
    open(open_loop_too ? open_loop(Arrivals::uniform(100)) : ModelOptions{}, 0.010, 0);
    Budget wanted = budget(1, 20, 30);
    std::size_t asked = 0;
    const auto began = clock_.now();
    wanted.enough = [&](const Work& so_far) {
      ++asked;
      EXPECT_GE((clock_.now() - began).count(), 1.0 - 1e-9);  // never before the shortest run
      EXPECT_EQ(so_far.inferences, so_far.completions.size());
      return so_far.inferences >= 250;
    };
    const Work work = run(wanted);
    EXPECT_NEAR(static_cast<double>(work.inferences), 250.0, 2.0);
    EXPECT_GT(asked, 100U);
    wanted.enough = [](const Work&) { return false; };
    const auto from = clock_.now();
    EXPECT_NEAR((run(wanted).ended - from).count(), 20.0, 0.1);
  }
}

TEST_F(VirtualModel, NobodyWaitsForMoreOnceTheLimitIsBrokenByAWholeSample) {
  open({}, 0.010, 0);
  Budget wanted = budget(0.095, 20, 5);  // over with the tenth batch
  wanted.limit = Seconds(0.005);
  wanted.enough = [](const Work&) { return false; };
  const Work work = run(wanted);
  EXPECT_FALSE(work.cut_short);
  EXPECT_EQ(work.completions.size(), 10U);  // as many as the verdict takes
}

TEST_F(VirtualModel, AFixedBatchIsOneLevelAndANote) {
  ModelOptions options;
  options.fixed_batch = 4;
  open(options, 0.01, 0.0, Config{});
  EXPECT_THAT(model_->parameters()[0].levels, ElementsAre(Value(4.0)));
  const Work work = run(budget(0.1, 1, 1));
  EXPECT_EQ(work.inferences, 4 * work.completions.size());
  EXPECT_THAT(work.notes, Contains("the model's batch is fixed to 4"));
}

TEST_F(VirtualModel, AnEnginesErrorEndsTheRun) {
  open({}, 0.01, 0.0);
  device_.fail_run_from = 5;
  EXPECT_EQ(model_->run(budget(1, 2, 30), {}).error().what, "the engine broke");
  EXPECT_EQ(model_->warm_up({}).error().what, "the engine broke");
  device_.throws = true;
  EXPECT_THAT(model_->run(budget(1, 2, 30), {}).error().what, HasSubstr("a thrown word"));
}

TEST_F(VirtualModel, StopsBetweenBatches) {
  open({}, 0.01, 0.0);
  std::stop_source stop;
  device_.work = [&](std::int64_t) {
    clock_.advance(Seconds(0.01));
    if (device_.runs == 7) stop.request_stop();
  };
  const auto work = model_->run(budget(1, 2, 30), stop.get_token());
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->completions.size(), 7u);
  EXPECT_TRUE(model_->warm_up(stop.get_token()).has_value());
  EXPECT_EQ(device_.runs, 8);
}

TEST_F(VirtualModel, OpenLoopCountsFromTheArrival) {
  open(open_loop(Arrivals::uniform(10)), 0.03, 0.0);
  const Work work = run(budget(2.0, 20, 10));
  EXPECT_NEAR(static_cast<double>(work.inferences), 21, 1);
  for (const auto& completion : work.completions) EXPECT_NEAR(completion.latency.count(), 0.03, 1e-6);
  EXPECT_NEAR((work.ended - work.began).count(), 2.0, 0.11);  // idle time between requests is in the window
  EXPECT_FALSE(work.saturated);
  EXPECT_THAT(work.notes, IsEmpty());
}

TEST_F(VirtualModel, OpenLoopGoesOnUntilTheSamplesAreThere) {
  open(open_loop(Arrivals::uniform(10)), 0.03, 0.0);
  EXPECT_EQ(run(budget(1.0, 20, 50)).completions.size(), 50u);
  const Work work = run(budget(1.0, 3.05, 50));
  EXPECT_EQ(work.completions.size(), 31u);
  EXPECT_NEAR((work.ended - work.began).count(), 3.05, 0.01);
}

TEST_F(VirtualModel, AFullBatchDoesNotWait) {
  // Four requests every 0.4 s come together: batches of four, no delay although one is allowed.
  open(open_loop(Arrivals::recorded({0, 0, 0, 0, 0.4, 0.4, 0.4, 0.4}, 10), 0.2), 0.0, 0.01, setting(4, 1, 1));
  device_.ran.clear();
  const Work work = run(budget(2.0, 20, 4));
  for (const auto size : device_.ran) EXPECT_EQ(size, 4);
  EXPECT_NEAR(longest(work), 0.04, 1e-6);
}

TEST_F(VirtualModel, APartialBatchStartsAfterTheDelay) {
  // A request every 0.1 s, batches of up to 8, a delay of 0.25 s: three at a time (0, 0.1, 0.2 start at 0.25).
  open(open_loop(Arrivals::uniform(10), 0.25), 0.01, 0.0, setting(8, 1, 1));
  device_.ran.clear();
  const Work work = run(budget(3.0, 20, 4));
  EXPECT_THAT(device_.ran, testing::Each(3));
  EXPECT_NEAR(longest(work), 0.26, 1e-6);
  EXPECT_NEAR(work.completions[1].latency.count(), 0.16, 1e-6);
  EXPECT_NEAR(work.completions[2].latency.count(), 0.06, 1e-6);
}

TEST_F(VirtualModel, AFixedBatchRunsWholeForFewerRequests) {
  auto options = open_loop(Arrivals::uniform(10));
  options.fixed_batch = 4;
  open(options, 0.01, 0.0, Config{});
  device_.ran.clear();
  const Work work = run(budget(1.0, 20, 4));
  EXPECT_THAT(device_.ran, testing::Each(4));
  EXPECT_EQ(work.inferences, work.completions.size());  // answered requests, not padding
}

TEST_F(VirtualModel, ADelayOfTheDeviceIsInTheLatencyOfThoseWhoCameMeanwhile) {
  open(open_loop(Arrivals::uniform(100)), 0.0, 0.0);
  bool stalled = false;
  device_.work = [&](std::int64_t) { clock_.advance(Seconds(!std::exchange(stalled, true) ? 0.5 : 0.001)); };
  const Work work = run(budget(2.0, 20, 30));
  EXPECT_NEAR(longest(work), 0.5, 1e-6);
  // The request of 0.25 s is the 26th to be answered, after 25 others that took 1 ms each.
  EXPECT_NEAR(work.completions[25].latency.count(), 0.5 + 25 * 0.001 - 0.25, 1e-6);
  EXPECT_FALSE(work.saturated);
  EXPECT_EQ(work.inferences, 201u);
}

TEST_F(VirtualModel, ADeviceThatCannotKeepUpIsSaturated) {
  open(open_loop(Arrivals::uniform(110)), 0.01, 0.0);  // answers 100 a second
  const Work work = run(budget(5.0, 20, 30));
  EXPECT_TRUE(work.saturated);
  EXPECT_NEAR(static_cast<double>(work.inferences), 500, 2);
  EXPECT_NEAR((work.ended - work.began).count(), 5.0, 0.02);
  EXPECT_NEAR(static_cast<double>(work.completions.size()), 550, 3);  // those still waiting too
  EXPECT_EQ(work.completions.back().inferences, 0u);
  EXPECT_NEAR(longest(work), 0.46, 0.03);
  EXPECT_THAT(work.notes, Contains(HasSubstr("cannot keep up with 110")));
}

TEST_F(VirtualModel, AHopelessQueueEndsTheWindowAtOnce) {
  open(open_loop(Arrivals::uniform(1e6)), 0.01, 0.0);
  const Work work = run(budget(5.0, 20, 30));
  EXPECT_TRUE(work.saturated);
  EXPECT_LT((work.ended - work.began).count(), 0.1);
  EXPECT_GT(work.completions.size(), 10'000u);
}

TEST_F(VirtualModel, ABurstAtTheEndIsNoSaturation) {
  std::vector<double> times = {0, 0.5, 0.9, 1.3, 1.6};
  times.insert(times.end(), 30, 1.99);
  times.push_back(100);
  open(open_loop(Arrivals::recorded(times)), 0.02, 0.0);
  const Work work = run(budget(2.0, 20, 5));
  EXPECT_FALSE(work.saturated);
  EXPECT_EQ(work.inferences, 35u);  // answered after the window's time, still inside the window
  EXPECT_NEAR((work.ended - work.began).count(), 1.99 + 30 * 0.02, 0.03);
}

TEST_F(VirtualModel, OpenLoopEndsEarlyTooButNotBeforeTheShortestWindow) {
  open(open_loop(Arrivals::uniform(10)), 0.05, 0.0);
  Budget wanted = budget(3.0, 200, 1000);
  wanted.limit = Seconds(0.04);
  wanted.quantile = 0.99;
  const Work work = run(wanted);
  EXPECT_TRUE(work.cut_short);
  EXPECT_NEAR((work.ended - work.began).count(), 3.05, 0.1);
}

TEST_F(VirtualModel, EveryRunSeesTheSameRequests) {
  open(open_loop(Arrivals::poisson(20, 5)), 0.02, 0.0);
  const Work a = run(budget(3, 20, 10)), b = run(budget(3, 20, 10));
  ASSERT_EQ(a.completions.size(), b.completions.size());
  for (std::size_t i = 0; i < a.completions.size(); ++i) {
    EXPECT_NEAR(a.completions[i].latency.count(), b.completions[i].latency.count(), 1e-6);
  }
}

TEST_F(VirtualModel, WarmUpForOpenLoopMeetsEverySize) {
  open(open_loop(Arrivals::uniform(20)), 0.01, 0.0, setting(4, 1, 1));
  ASSERT_TRUE(model_->warm_up({}).has_value());
  EXPECT_THAT(device_.ran, AllOf(Contains(1), Contains(2), Contains(3), Contains(4)));
}

TEST_F(VirtualModel, OpenLoopStopsWhileItWaits) {
  open(open_loop(Arrivals::uniform(0.001)), 0.01, 0.0);
  std::stop_source stop;
  const auto ticker = clock_.every(Seconds(5), [&] { stop.request_stop(); });
  const auto work = model_->run(budget(1000, 2000, 30), stop.get_token());
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->completions.size(), 1u);
  EXPECT_LT(clock_.now().time_since_epoch().count(), 5.2);
}

/// Several instances in real time: what ThreadSanitizer looks at.
class ParallelModel : public testing::Test {
 protected:
  std::unique_ptr<Workload> open(ModelOptions options, double seconds, Config config) {
    options.cpus = 4;
    device_.work = [seconds](std::int64_t) { std::this_thread::sleep_for(Seconds(seconds)); };
    auto model = model_workload(*clock_, factory(device_), std::move(options)).value();
    EXPECT_TRUE(model->configure(config).has_value());
    return model;
  }
  std::unique_ptr<Clock> clock_ = real_clock();
  FakeDevice device_;
};

TEST_F(ParallelModel, InstancesWorkAtTheSameTime) {
  const auto model = open({}, 0.002, setting(2, 1, 4));
  ASSERT_TRUE(model->warm_up({}).has_value());
  const int before = device_.runs;
  const auto work = model->run(budget(0.05, 2, 40), {});
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->completions.size(), static_cast<std::size_t>(device_.runs - before));
  EXPECT_EQ(work->inferences, 2 * work->completions.size());
  double busy = 0.0;
  for (std::size_t i = 0; i < work->completions.size(); ++i) {
    busy += work->completions[i].latency.count();
    EXPECT_GE(work->completions[i].at, work->completions[i > 0 ? i - 1 : 0].at);
  }
  EXPECT_EQ(work->ended, work->completions.back().at);
  EXPECT_GT(busy / (work->ended - work->began).count(), 2.5);  // about four are busy
}

TEST_F(ParallelModel, InstancesShareTheRequests) {
  const auto model = open(open_loop(Arrivals::uniform(500)), 0.004, setting(1, 1, 4));  // one instance alone answers 250 a second
  ASSERT_TRUE(model->warm_up({}).has_value());
  const auto work = model->run(budget(0.3, 3, 100), {});
  ASSERT_TRUE(work.has_value());
  EXPECT_FALSE(work->saturated);
  EXPECT_GE(work->inferences, 100u);
  for (const auto& completion : work->completions) EXPECT_GE(completion.latency.count(), 0.004);
}

TEST_F(ParallelModel, OneBrokenInstanceEndsAll) {
  const auto model = open({}, 0.001, setting(1, 1, 4));
  device_.fail_run_from = 20;
  EXPECT_EQ(model->run(budget(5, 20, 100000), {}).error().what, "the engine broke");
  EXPECT_LT(device_.runs, 40);
}

TEST_F(ParallelModel, StopsFromAnotherThread) {
  for (const bool open_loop_too : {false, true}) {
    const auto model = open(open_loop_too ? open_loop(Arrivals::uniform(100)) : ModelOptions{}, 0.001, setting(1, 1, 2));
    std::stop_source stop;
    const std::jthread stopper([&] {
      std::this_thread::sleep_for(Seconds(0.05));
      stop.request_stop();
    });
    const auto work = model->run(budget(60, 60, 1), stop.get_token());
    ASSERT_TRUE(work.has_value());
    EXPECT_LT((work->ended - work->began).count(), 10.0);
  }
}

TEST(ModelWorkload, RunsARealModel) {
  if (const auto runtime = onnx_runtime(); !runtime) GTEST_SKIP() << runtime.error().text();
  const std::string path = POLYTHROTTLE_BINARY_DIR "/tests/models/mlp.onnx";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no test models (they need protobuf-compiler and libonnx-dev)";
  const auto clock = real_clock();
  const auto engines = [&](int threads, std::uint64_t seed) {
    EngineOptions options;
    options.threads = threads;
    options.seed = seed;
    return open_onnx(path, options);
  };
  for (const bool open_loop_too : {false, true}) {
    auto model = model_workload(*clock, engines, open_loop_too ? open_loop(Arrivals::poisson(300, 1), 0.005) : ModelOptions{}).value();
    ASSERT_TRUE(model->configure(setting(8, 1, 1)).has_value());
    ASSERT_TRUE(model->warm_up({}).has_value());
    const auto work = model->run(budget(0.2, 5, 50), {});
    ASSERT_TRUE(work.has_value()) << work.error().text();
    EXPECT_GE(work->completions.size(), 50u);
    EXPECT_GT(work->inferences, 0u);
    EXPECT_FALSE(work->saturated);
  }
}

}  // namespace
}  // namespace polythrottle
