#include "engine/simulated.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace polythrottle {
namespace {

using simulation::Precision;
using ::testing::HasSubstr;

std::unique_ptr<simulation::Machine> orin() { return std::move(*simulation::Machine::make("jetson-orin", {.noise = false})); }

TEST(SimulatedEngine, SaysWhatItRuns) {
  const auto machine = orin();
  const auto engine = open_simulated(*machine, {.network = "efficientnet-b4"});
  ASSERT_TRUE(engine) << engine.error().text();
  const ModelInfo& model = (*engine)->model();
  EXPECT_EQ(model.path, "efficientnet-b4");
  EXPECT_EQ(model.runtime, "simulated jetson-orin, fp16");
  EXPECT_FALSE(model.fixed_batch);
}

TEST(SimulatedEngine, AnUnknownNetworkIsBadInputWithTheList) {
  const auto machine = orin();
  const auto network = open_simulated(*machine, {.network = "resnet-50"});
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().code, Errc::kNotFound);
  EXPECT_THAT(network.error().text(), HasSubstr("bert-base"));
}

TEST(SimulatedEngine, ABatchTakesTheMachinesTimeAndNoneOfOurs) {
  const auto machine = orin();
  const auto engine = std::move(*open_simulated(*machine, {.network = "efficientnet-b7"}));
  Clock& clock = machine->host().clock;
  const auto wall = std::chrono::steady_clock::now();
  const auto timed = [&](std::int64_t batch) {
    EXPECT_TRUE(engine->prepare(batch));
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(engine->run());
    const auto before = clock.now();
    EXPECT_TRUE(engine->run());
    return (clock.now() - before).count();
  };
  const double one = timed(1), eight = timed(8);
  EXPECT_GT(one, 1e-3);
  EXPECT_GT(eight, 2.0 * one);
  EXPECT_LT(eight, 9.0 * one);
  EXPECT_LT(std::chrono::steady_clock::now() - wall, std::chrono::seconds(1));
}

TEST(SimulatedEngine, RefusesABatchBelowOne) {
  const auto machine = orin();
  const auto engine = std::move(*open_simulated(*machine, {.network = "bert-base", .precision = Precision::kFp32}));
  EXPECT_EQ(engine->prepare(0).error().code, Errc::kOutOfRange);
  EXPECT_EQ(engine->prepare(1LL << 40).error().code, Errc::kOutOfRange);
  EXPECT_THAT(engine->prepare(65536).error().text(), HasSubstr("too little memory"));
  EXPECT_TRUE(engine->run());  // the batch is still 1
}

TEST(SimulatedEngine, SeveralMayRunOnThreadsOfTheirOwn) {
  const auto machine = orin();
  std::vector<std::unique_ptr<Engine>> engines;
  for (int i = 0; i < 3; ++i) engines.push_back(std::move(*open_simulated(*machine, {.network = "efficientnet-b0"})));
  {
    std::vector<std::jthread> threads;
    for (auto& engine : engines) {
      threads.emplace_back([&engine] {
        for (int i = 0; i < 30; ++i) EXPECT_TRUE(engine->run());
      });
    }
  }
  EXPECT_GT(machine->host().clock.now().time_since_epoch().count(), 30 * 1e-3);
}

}  // namespace
}  // namespace polythrottle
