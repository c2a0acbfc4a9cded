#include "server/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

#include "server/fake_backend.h"

namespace polythrottle::server {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;

class DispatcherTest : public testing::Test {
 protected:
  void start(std::shared_ptr<FakeBackend> backend, Seconds slo = Seconds(60), int largest = 4, std::size_t queue = 1000) {
    DispatcherOptions options;
    options.core.slo = slo;
    serving::Row row;
    row.max_batch = largest;
    options.core.rows = {row};
    options.core.queue_limit = queue;
    const auto policy = *serving::find_policy("inference-only");
    const auto predictor = *interference::find_predictor("physical");
    dispatcher_ =
        std::make_unique<Dispatcher>(*clock_, options, policy->make({.wait = false}), predictor->make({.macs = 1e6}), nullptr, backend);
  }

  std::future<InferResult> send(std::int64_t rows, float value, std::optional<Seconds> timeout = {}) {
    auto promise = std::make_shared<std::promise<InferResult>>();
    auto answered = promise->get_future();
    InferRequest request{std::to_string(value), {fake_input(rows, value)}, {}, timeout};
    // A second answer would throw here.
    dispatcher_->infer(std::move(request), rows, [promise](InferResult result) { promise->set_value(std::move(result)); });
    return answered;
  }

  std::unique_ptr<Clock> clock_ = real_clock();
  std::unique_ptr<Dispatcher> dispatcher_;
};

TEST_F(DispatcherTest, AnswersEachWithItsOwnRows) {
  auto backend = std::make_shared<FakeBackend>(true);
  start(backend);
  std::vector<std::future<InferResult>> answers;
  for (int i = 0; i < 20; ++i) answers.push_back(send(1 + i % 3, static_cast<float>(i)));
  backend->let_go();
  for (int i = 0; i < 20; ++i) {
    const auto answer = answers[static_cast<std::size_t>(i)].get();
    ASSERT_TRUE(answer) << answer.error().error.text();
    ASSERT_EQ(answer->outputs.size(), 1u);
    EXPECT_EQ(answer->outputs[0].shape, (std::vector<std::int64_t>{1 + i % 3, 2}));
    EXPECT_EQ(first_number(answer->outputs[0]), static_cast<float>(i) + 1.0f);
  }
  EXPECT_THAT(backend->sizes(), Each(Le(4u)));
  Snapshot snapshot;
  dispatcher_->describe(snapshot);
  EXPECT_EQ(snapshot.requests, 20u);
  EXPECT_EQ(snapshot.answered, 20u);
  EXPECT_EQ(snapshot.latency.total, 20u);
}

TEST_F(DispatcherTest, OneRequestMayBeLargerThanABatch) {
  start(std::make_shared<FakeBackend>(), Seconds(60), 2);
  const auto answer = send(7, 3.0f).get();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->outputs[0].shape, (std::vector<std::int64_t>{7, 2}));
  EXPECT_TRUE(check_bytes(answer->outputs[0]));
}

TEST_F(DispatcherTest, ABadRequestDoesNotCostTheOthersTheirAnswers) {
  auto backend = std::make_shared<FakeBackend>(true);
  backend->failing = [](std::span<const Slice> slices) -> Status {
    for (const auto& slice : slices) {
      if (first_number(slice.inputs[0]) == 13.0f) return fail(Errc::kInvalid, "unlucky");
    }
    return {};
  };
  start(backend);
  auto first = send(1, 1.0f), bad = send(1, 13.0f), other = send(1, 2.0f);
  backend->let_go();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(other.get());
  const auto refused = bad.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().refusal, Refusal::kInvalid);
  EXPECT_THAT(refused.error().error.text(), HasSubstr("unlucky"));
}

TEST_F(DispatcherTest, AnEngineThatThrowsIsAnInternalError) {
  auto backend = std::make_shared<FakeBackend>();
  backend->failing = [](std::span<const Slice>) -> Status { throw std::runtime_error("out of luck"); };
  start(backend);
  const auto answer = send(1, 1.0f).get();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().refusal, Refusal::kInternal);
  EXPECT_THAT(answer.error().error.text(), HasSubstr("out of luck"));
}

TEST_F(DispatcherTest, AFullQueueIsSaid) {
  auto backend = std::make_shared<FakeBackend>(true);
  start(backend, Seconds(60), 1, 2);
  std::vector<std::future<InferResult>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(send(1, 1.0f));
  // One runs, two wait, and two are told at once.
  const auto refused = answers.back().get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().refusal, Refusal::kDropped);
  EXPECT_THAT(refused.error().error.text(), HasSubstr("queue is full"));
  backend->let_go();
  EXPECT_TRUE(answers[0].get());
}

TEST_F(DispatcherTest, WhatWaitsPastItsDeadlineIsDropped) {
  auto backend = std::make_shared<FakeBackend>(true);
  start(backend, Seconds(60), 1);
  auto runs = send(1, 1.0f);
  const auto dropped = send(1, 2.0f, Seconds(0.01)).get();  // answered while the engine is still at the first
  ASSERT_FALSE(dropped);
  EXPECT_EQ(dropped.error().refusal, Refusal::kDropped);
  backend->let_go();
  EXPECT_TRUE(runs.get());
}

TEST_F(DispatcherTest, StoppingAnswersEverything) {
  auto backend = std::make_shared<FakeBackend>(true);
  start(backend, Seconds(60), 1);
  std::vector<std::future<InferResult>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(send(1, 1.0f));
  std::jthread stopper([&] { dispatcher_->stop(Seconds(60)); });
  backend->let_go();
  stopper.join();
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  const auto late = send(1, 1.0f).get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().refusal, Refusal::kNotReady);
}

TEST_F(DispatcherTest, ManyThreadsMaySendAtOnce) {
  start(std::make_shared<FakeBackend>());
  std::vector<std::jthread> threads;
  std::atomic<int> answered = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const auto answer = send(1, static_cast<float>(t)).get();
        if (answer && first_number(answer->outputs[0]) == static_cast<float>(t) + 1.0f) ++answered;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(answered, 1600);
}

TEST_F(DispatcherTest, LaterBatchesRunOnTheNewModel) {
  auto old = std::make_shared<FakeBackend>(true), next = std::make_shared<FakeBackend>();
  start(old, Seconds(60), 1);
  auto first = send(1, 1.0f), second = send(1, 2.0f);
  while (dispatcher_->backend() == old) dispatcher_->swap(next);
  old->let_go();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
  EXPECT_LE(old->sizes().size(), 1u);
}

TEST_F(DispatcherTest, AJobRunsItsStepsWhileNothingIsServed) {
  DispatcherOptions options;
  options.core.slo = Seconds(60);
  options.core.rows.resize(1);
  const auto policy = *serving::find_policy("greedy");
  const auto predictor = *interference::find_predictor("physical");
  dispatcher_ = std::make_unique<Dispatcher>(*clock_, options, policy->make({}), predictor->make({.macs = 1e6}), nullptr,
                                             std::make_shared<FakeBackend>());
  std::promise<void> all;
  int items = 0;
  serving::JobSpec job{.name = "job", .cost = {.macs = 1e6}, .items = 4, .steps = 3, .pieces = {4}, .deadline = {}};
  const auto id = dispatcher_->submit(job, [&](int count, StepDone done) {
    items += count;
    if (items == 12) all.set_value();
    done(true);
  });
  ASSERT_TRUE(id);
  all.get_future().wait();
  while (dispatcher_->items_left(*id)) std::this_thread::yield();
}

/// Time passes only where the test lets it, and may be read on any thread.
class SteppedClock : public Clock {
 public:
  TimePoint now() const override { return TimePoint(Seconds(now_.load())); }
  double wall_seconds() const override { return 1.7e9 + now_.load(); }
  Seconds process_cpu() const override { return Seconds(0); }
  void sleep_until(TimePoint) override {}
  std::unique_ptr<Ticker> every(Seconds, std::function<void()>) override { return nullptr; }
  void advance(double seconds) { now_.store(now_.load() + seconds); }

 private:
  std::atomic<double> now_ = 0.0;
};

/// A row of which 100 ms a batch were measured; what the guard says after each of `batches`, that take `seconds`.
std::vector<std::string> alarms(double seconds, bool program, double rest = 0.0) {
  SteppedClock clock;
  auto backend = std::make_shared<FakeBackend>();
  backend->failing = [&](std::span<const Slice>) -> Status {
    clock.advance(seconds);
    return {};
  };
  std::vector<std::string> heard;
  DispatcherOptions options;
  options.core.slo = Seconds(10);
  options.core.rows.resize(1);
  options.costs = {{.batches = {serving::straight_curve(1, Seconds(0.1), Seconds(0.1), Watts(1), Watts(2))}}};
  options.stale = [&](const serving::DriftGuard::Stale& stale) { heard.push_back(stale.reason); };
  const auto predictor = *interference::find_predictor("physical");
  Dispatcher dispatcher(clock, options, (*serving::find_policy("inference-only"))->make({.wait = false}), predictor->make({.macs = 1e6}),
                        nullptr, backend);
  if (program) dispatcher.program_beside(true);
  for (int i = 0; i < 300; ++i) {
    std::promise<void> answered;
    dispatcher.infer({"", {fake_input(1, 1.0f)}, {}, {}}, 1, [&](const InferResult&) { answered.set_value(); });
    answered.get_future().wait();
    clock.advance(rest);
  }
  dispatcher.stop(Seconds(1));
  return heard;
}

TEST(DispatcherDrift, BatchesOutOfTheirBandAreSaidOnce) {
  EXPECT_THAT(alarms(0.2, false), ElementsAre(HasSubstr("latency left the band")));
  EXPECT_THAT(alarms(0.05, false), ElementsAre(HasSubstr("latency left the band")));
}

TEST(DispatcherDrift, BatchesThatWereNotMeasuredSoSayNothing) {
  EXPECT_THAT(alarms(0.1, false), IsEmpty());
  EXPECT_THAT(alarms(0.2, true), IsEmpty());        // somebody shares the machine
  EXPECT_THAT(alarms(0.2, false, 5.0), IsEmpty());  // each after a rest
}

}  // namespace
}  // namespace polythrottle::server
