#include "host/simulation/execution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace polythrottle::simulation {
namespace {

using ::testing::HasSubstr;

struct Bench {
  explicit Bench(std::string_view name) : board(**find_board(name)) {
    const Setting setting = board.default_setting();
    clocks = {setting.gpu_max, setting.mem, setting.cpu};
  }
  std::shared_ptr<const Plan> inference(std::string_view network, int batch) const {
    return std::make_shared<const Plan>(inference_plan(board, **find_network(network), Precision::kFp16, batch));
  }
  std::shared_ptr<const Plan> step(std::string_view network, int batch, int layers = kAllLayers) const {
    return std::make_shared<const Plan>(training_plan(board, **find_network(network), Precision::kFp16, batch, {1000, layers}));
  }

  const Board& board;
  Clocks clocks;
};

struct Life {
  std::map<WorkId, double> ended;
  double now = 0.0;
  double joules = 0.0;
  double gpu_busy = 0.0;
  double core_seconds = 0.0;
};

/// Until everything has ended, or `until`, in steps of at most `at_most`.
void live(Execution& execution, const Bench& bench, double at_most, Life& life, double until = 1e9) {
  while (execution.busy() && life.now < until) {
    const auto passed =
        execution.pass(bench.clocks, bench.board.constants.cpu_cores, Seconds(std::min(at_most, until - life.now)), Seconds(life.now));
    const double time = passed.step.count();
    life.now += time;
    life.joules += rail_power(bench.board, bench.clocks, passed.activity, Celsius(50)).total().si() * time;
    life.gpu_busy += passed.activity.gpu_busy * time;
    life.core_seconds += passed.activity.cpu_cores * time;
    for (const auto& done : execution.take_completions()) life.ended[done.id] = done.finished.count();
  }
}

// A turn on the GPU is one step; in steps shorter than a kernel it is a walk from kernel to kernel. Both are the same.
TEST(Execution, ATurnAtATimeIsTheWalkFromKernelToKernel) {
  for (const char* board : {"jetson-tx2", "jetson-orin"}) {
    const Bench bench(board);
    const auto whole = [&](double at_most) {
      Execution execution;
      Life life;
      const auto batch = bench.inference("efficientnet-b0", 4);
      execution.start(bench.step("efficientnet-b4", 8), 1.02, Seconds(0));
      for (int i = 0; i < 8; ++i) {
        execution.start(batch, 0.97, Seconds(life.now));
        live(execution, bench, at_most, life, life.now + 0.031);
      }
      live(execution, bench, at_most, life);
      return life;
    };
    const Life turns = whole(1e9), kernels = whole(20e-6);
    ASSERT_EQ(turns.ended.size(), 9U);
    for (const auto& [id, at] : turns.ended) EXPECT_NEAR(at, kernels.ended.at(id), 1e-8) << board << " " << id;
    EXPECT_NEAR(turns.joules, kernels.joules, 1e-6 * turns.joules) << board;
    EXPECT_NEAR(turns.gpu_busy, kernels.gpu_busy, 1e-6 * turns.gpu_busy) << board;
    EXPECT_NEAR(turns.core_seconds, kernels.core_seconds, 1e-6 * turns.core_seconds) << board;
  }
}

TEST(Execution, TheBoundaryIsTheNextStep) {
  const Bench bench("jetson-orin");
  Execution execution;
  execution.start(bench.step("efficientnet-b0", 8), 1.0, Seconds(0));
  execution.start(bench.inference("efficientnet-b0", 4), 1.0, Seconds(0));
  Seconds now(0);
  while (execution.busy()) {
    const double expected = execution.boundary(bench.clocks, 12.0).count();
    const Seconds step = execution.pass(bench.clocks, 12.0, Seconds(1e9), now).step;
    // Launches that queued up shorten a turn that ends with its last kernel.
    EXPECT_LE(step.count(), expected + 1e-9);
    EXPECT_GE(step.count(), 0.5 * expected);
    now += step;
  }
}

TEST(Execution, AnotherBatchSizeOfAProcessNeedsNoSwitch) {
  const Bench bench("jetson-orin");
  const auto one = bench.inference("efficientnet-b0", 1), two = bench.inference("efficientnet-b0", 2);
  const auto other = bench.inference("efficientnet-b4", 1);
  const auto span = [&](const std::shared_ptr<const Plan>& first, const std::shared_ptr<const Plan>& second) {
    Execution execution;
    Life life;
    execution.start(first, 1.0, Seconds(0));
    live(execution, bench, 1e9, life);
    const double from = life.now;
    execution.start(second, 1.0, Seconds(from));
    live(execution, bench, 1e9, life);
    return life.now - from;
  };
  EXPECT_NEAR(span(one, two), span(two, two), 1e-12);
  EXPECT_NEAR(span(one, other), span(other, other) + Sharing{}.switching.count(), 1e-12);
}

TEST(Execution, DataArePreparedForWhateverBatchComesNext) {
  Bench bench("jetson-orin");
  bench.clocks.cpu = bench.board.cpu_levels.front();  // preparing 32 images lasts longer than a batch of one
  const auto large = bench.inference("efficientnet-b0", 32), small = bench.inference("efficientnet-b0", 1);
  Execution execution;
  Life life;
  execution.start(small, 1.0, Seconds(0));
  live(execution, bench, 1e9, life);
  double work = life.core_seconds;
  for (int i = 0; i < 10; ++i) {
    execution.start(i % 2 == 0 ? large : small, 1.0, Seconds(life.now));
    live(execution, bench, 1e9, life);
  }
  work = life.core_seconds - work;
  // What the CPU did is preparing as many items as were served, serving, and launching; the last batch's loader is still at it.
  double expected = 0.0;
  for (const auto& plan : {large, small}) {
    const Totals sum = totals(*plan, bench.clocks);
    expected += 5.0 * (plan->preprocess_cycles / bench.clocks.cpu.si() + request_time(*plan, bench.clocks.cpu).count() + sum.launches);
  }
  EXPECT_NEAR(work, expected, 0.1 * expected);
}

TEST(Execution, WhoWaitsLaunchesNoMoreThanItHas) {
  const Bench bench("jetson-tx2");
  const auto batch = bench.inference("bert-base", 1), step = bench.step("bert-base", 8);
  Execution execution;
  Life life;
  execution.start(step, 1.0, Seconds(0));
  double expected = request_time(*step, bench.clocks.cpu).count() + totals(*step, bench.clocks).launches;
  for (int i = 0; i < 5; ++i) {
    execution.start(batch, 1.0, Seconds(life.now));
    live(execution, bench, 1e9, life, life.now + 0.2);
    expected += request_time(*batch, bench.clocks.cpu).count() + totals(*batch, bench.clocks).launches;
  }
  live(execution, bench, 1e9, life);
  EXPECT_NEAR(life.core_seconds, expected, 0.02 * expected);
}

TEST(Execution, FasterTurnsCostMoreSwitches) {
  const Bench bench("jetson-orin");
  const auto latency = [&](const Sharing& sharing) {
    Execution execution(sharing);
    Life life;
    execution.start(bench.step("efficientnet-b0", 64), 1.0, Seconds(0));
    const WorkId batch = execution.start(bench.inference("efficientnet-b0", 16), 1.0, Seconds(0));
    live(execution, bench, 1e9, life);
    return std::pair(life.ended.at(batch), life.now);
  };
  const auto usual = latency({}), often = latency({.slice = Seconds(0.5e-3)}), free = latency({.switching = Seconds(0)});
  EXPECT_GT(often.second, usual.second);
  EXPECT_LT(free.first, usual.first);
}

TEST(Execution, SharingOutOfItsRangesIsRefused) {
  EXPECT_TRUE(check({}));
  EXPECT_THAT(check({.slice = Seconds(0)}).error().text(), HasSubstr("slice"));
  EXPECT_FALSE(check({.switching = Seconds(-1)}));
  EXPECT_FALSE(check({.launch_ahead = Seconds(-1)}));
  EXPECT_FALSE(check({.copy_share = 1.5}));
}

}  // namespace
}  // namespace polythrottle::simulation
