#include "host/simulation/physics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace polythrottle::simulation {
namespace {

const Board& board(std::string_view name) { return *find_board(name).value(); }
const Network& network(std::string_view name) { return *find_network(name).value(); }

TEST(Boards, LevelsAreThoseOfTheTables) {
  const Board& tx2 = board("jetson-tx2");
  EXPECT_EQ(tx2.gpu_levels.size(), 13U);
  EXPECT_EQ(tx2.mem_levels.size(), 11U);
  EXPECT_EQ(tx2.cpu_levels.size(), 12U);
  EXPECT_EQ(tx2.gpu_levels[7], Hertz(854.25e6));
  EXPECT_EQ(tx2.mem_levels[7], Hertz(1062.4e6));
  EXPECT_EQ(tx2.cpu_levels.front(), Hertz(345.6e6));
  EXPECT_EQ(tx2.cpu_levels.back(), Hertz(2035.2e6));
  const Board& orin = board("jetson-orin");
  EXPECT_EQ(orin.gpu_levels.size(), 13U);
  EXPECT_EQ(orin.mem_levels.size(), 4U);
  EXPECT_EQ(orin.cpu_levels.size(), 29U);
  EXPECT_EQ(orin.mem_levels[2], Hertz(2133e6));
  EXPECT_EQ(orin.cpu_levels[1] - orin.cpu_levels[0], Hertz(76.8e6));
  EXPECT_EQ(orin.cpu_levels.back(), Hertz(2201.6e6));
  for (const Board& each : boards()) {
    EXPECT_EQ(each.gpu_levels.front(), Hertz(114.75e6));
    EXPECT_EQ(each.gpu_levels.back(), Hertz(1300.5e6));
  }
}

TEST(Boards, NoMoreThanThirtyFittedNumbersEachWithBoundsAndSource) {
  EXPECT_LE(scalar_table().size(), 30U);
  for (const Board& each : boards()) {
    ASSERT_EQ(each.bounds.size(), scalar_table().size());
    for (const Bounds& bounds : each.bounds) {
      EXPECT_LT(bounds.low, bounds.high);
      EXPECT_FALSE(bounds.source.empty());
    }
  }
}

TEST(Boards, AnUnknownNameIsAnsweredWithTheList) {
  const auto found = find_board("jetson-nano");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().hint, "known: jetson-tx2, jetson-orin");
}

TEST(Boards, ASlowerOneTakesLongerAtTheSamePower) {
  for (const Board& board : boards()) {
    const Board* slow = find_board(board.name + "@1.5x").value();
    EXPECT_EQ(slow->name, board.name + "@1.5x");
    EXPECT_EQ(find_board(board.name + "@1.5x").value(), slow);
    const Network& network = *find_network("efficientnet-b4").value();
    Setting setting = board.default_setting();
    setting.gpu_min = setting.gpu_max = board.gpu_levels[5];
    for (const int batch : {1, 8}) {
      const Steady a = steady_state(inference_plan(board, network, Precision::kFp16, batch), setting);
      const Steady b = steady_state(inference_plan(*slow, network, Precision::kFp16, batch), setting);
      EXPECT_NEAR(b.latency / a.latency, 1.5, 1e-9);
      EXPECT_NEAR(b.power.total() / a.power.total(), 1.0, 1e-9);
    }
  }
  for (const char* name :
       {"jetson-orin@", "jetson-orin@1.5", "jetson-orin@x", "jetson-orin@0.5x", "jetson-orin@nanx", "jetson-orin@1.5xx", "nano@2x"}) {
    EXPECT_FALSE(find_board(name)) << name;
  }
}

TEST(Boards, BrokenDataIsRefused) {
  EXPECT_EQ(parse_board("{").error().code, Errc::kCorrupt);
  EXPECT_EQ(parse_board(R"({"name":"x"})").error().code, Errc::kCorrupt);
  EXPECT_EQ(parse_board(R"({"name":"x","title":"y","gpu_levels_mhz":[2,1]})").error().what, "board data: gpu_levels_mhz is not increasing");
}

/// Every board, network, precision and some batch sizes.
template <class Fn>
void each_plan(Fn fn) {
  for (const Board& on : boards()) {
    for (const Network& of : networks()) {
      for (const Precision precision : {Precision::kFp16, Precision::kFp32}) {
        for (const int batch : {1, 4, 16}) {
          SCOPED_TRACE(on.name + " " + of.name + " " + to_string(precision) + " batch " + std::to_string(batch));
          fn(on, inference_plan(on, of, precision, batch));
        }
      }
    }
  }
}

TEST(SteadyState, AHigherClockIsNeverSlower) {
  each_plan([](const Board& on, const Plan& plan) {
    const auto sweep = [&](const std::vector<Hertz>& levels, Hertz Setting::*knob) {
      Setting setting = on.default_setting();
      Seconds last(1e9);
      for (const Hertz level : levels) {
        setting.*knob = level;
        const Seconds latency = steady_state(plan, setting).latency;
        EXPECT_LE(latency.count(), last.count() * (1.0 + 1e-6)) << level.si();
        last = latency;
      }
    };
    sweep(on.gpu_levels, &Setting::gpu_max);
    sweep(on.gpu_levels, &Setting::gpu_min);
    sweep(on.mem_levels, &Setting::mem);
    sweep(on.cpu_levels, &Setting::cpu);
  });
}

TEST(SteadyState, HalfPrecisionIsNeverSlower) {
  for (const Board& on : boards()) {
    for (const Network& of : networks()) {
      for (const int batch : {1, 2, 4, 8, 16}) {
        const Plan half = inference_plan(on, of, Precision::kFp16, batch);
        const Plan single = inference_plan(on, of, Precision::kFp32, batch);
        for (const Hertz gpu : on.gpu_levels) {
          for (const Hertz mem : on.mem_levels) {
            Setting setting = on.default_setting();
            setting.gpu_max = gpu;
            setting.mem = mem;
            EXPECT_LE(steady_state(half, setting).latency, steady_state(single, setting).latency);
          }
        }
      }
    }
  }
}

TEST(SteadyState, PowerIsPositiveAndWithinTheRating) {
  each_plan([](const Board& on, const Plan& plan) {
    const double rated = on.name == "jetson-tx2" ? 15.0 : 60.0;  // arXiv 2310.19991, appendix A
    Setting lowest = on.default_setting();
    lowest.gpu_max = on.gpu_levels.front();
    lowest.mem = on.mem_levels.front();
    lowest.cpu = on.cpu_levels.front();
    for (const Setting& setting : {on.default_setting(), lowest}) {
      const Steady steady = steady_state(plan, setting);
      for (const Watts rail : {steady.power.gpu, steady.power.cpu, steady.power.memory, steady.power.other}) EXPECT_GT(rail.si(), 0.0);
      EXPECT_LT(steady.power.total().si(), rated);
      EXPECT_GT(steady.energy.si(), 0.0);
      EXPECT_GT(steady.gpu_busy, 0.0);
      EXPECT_LE(steady.gpu_busy, 1.0);
      EXPECT_NEAR(steady.energy.si(), (steady.power.total() * steady.period / plan.batch).si(), 1e-12);
      EXPECT_NEAR(steady.temperature.si(), equilibrium(on, steady.power.total()).si(), 1e-6);
    }
  });
}

// The machine walks the kernels one after the other; summed up they are the closed form.
TEST(SteadyState, IsTheSumOfItsKernels) {
  each_plan([](const Board& on, const Plan& plan) {
    Setting setting = on.default_setting();
    setting.gpu_max = on.gpu_levels[6];
    setting.cpu = on.cpu_levels[4];
    const Load load{Seconds(0.005), Celsius(50)};
    const Steady steady = steady_state(plan, setting, load);
    const Clocks clocks{steady.gpu, setting.mem, setting.cpu};
    Seconds span{0};
    Joules energy;
    for (const Kernel& kernel : plan.kernels) {
      const KernelTime time = KernelTiming(on, clocks).of(kernel);
      Activity activity;
      activity.gpu_busy = time.busy / time.wall;
      (plan.precision == Precision::kFp16 ? activity.gpu_compute : activity.gpu_compute_single) = time.compute / time.wall;
      activity.traffic = time.bytes / time.wall.count();
      activity.cpu_cores = time.launch / time.wall;
      span += time.wall;
      energy += rail_power(on, clocks, activity, *load.temperature).total() * time.wall;
    }
    const Seconds request = request_time(plan, setting.cpu);
    Activity one_core;
    one_core.cpu_cores = 1.0;
    energy += rail_power(on, clocks, one_core, *load.temperature).total() * request;
    const Seconds rest = steady.period - span - request;
    energy += rail_power(on, clocks, {}, *load.temperature).total() * rest;
    const Watts core = rail_power(on, clocks, one_core, *load.temperature).total() - rail_power(on, clocks, {}, *load.temperature).total();
    energy += core * (preprocess_time(plan, setting.cpu) * plan.preprocess_workers);
    EXPECT_NEAR(energy.si() / plan.batch, steady.energy.si(), 1e-6 * steady.energy.si());
    EXPECT_NEAR(std::max(span + request + load.idle_gap, preprocess_time(plan, setting.cpu)).count(), steady.period.count(),
                1e-6 * steady.period.count());
    // The governor rests: stepping it at this load leaves the clock where it is.
    const Hertz next = governor_next(on, setting, steady.gpu, span / steady.period, Seconds(0.05));
    EXPECT_NEAR(next.si(), steady.gpu.si(), 1e-5 * steady.gpu.si());
  });
}

TEST(SteadyState, WarmerBoardsDrawMore) {
  const Plan plan = inference_plan(board("jetson-orin"), network("efficientnet-b4"), Precision::kFp16, 1);
  const Setting setting = plan.board->default_setting();
  const Steady cool = steady_state(plan, setting, {Seconds(0), Celsius(30)});
  const Steady warm = steady_state(plan, setting, {Seconds(0), Celsius(80)});
  EXPECT_GT(warm.power.gpu, cool.power.gpu);
  EXPECT_EQ(warm.latency, cool.latency);
}

TEST(Governor, StaysBetweenItsLimitsAndFollowsTheLoad) {
  const Board& on = board("jetson-orin");
  Setting setting = on.default_setting();
  EXPECT_EQ(governor_target(on, setting, 0.0), setting.gpu_min);
  EXPECT_EQ(governor_target(on, setting, 1.0), setting.gpu_max);
  EXPECT_LT(governor_target(on, setting, 0.4), governor_target(on, setting, 0.6));
  Hertz clock = setting.gpu_min;
  for (int step = 0; step < 100; ++step) clock = governor_next(on, setting, clock, 1.0, Seconds(0.02));
  EXPECT_NEAR(clock / setting.gpu_max, 1.0, 1e-6);
  setting.gpu_max = on.gpu_levels[5];
  EXPECT_LE(governor_next(on, setting, clock, 1.0, Seconds(0.001)), setting.gpu_max);
}

TEST(Kernels, LessBandwidthIsSlower) {
  const Plan plan = inference_plan(board("jetson-tx2"), network("bert-base"), Precision::kFp32, 1);
  const Setting at = plan.board->default_setting();
  for (const Kernel& kernel : plan.kernels) {
    const KernelTime whole = KernelTiming(*plan.board, {at.gpu_max, at.mem, at.cpu}).of(kernel);
    const KernelTime half = KernelTiming(*plan.board, {at.gpu_max, at.mem, at.cpu}, 0.5).of(kernel);
    EXPECT_GE(half.wall, whole.wall);
    EXPECT_LE(whole.compute, whole.busy);
    EXPECT_LE(whole.busy, whole.wall);
  }
}

TEST(Training, ArithmeticIsThreeTimesInference) {
  for (const Board& on : boards()) {
    for (const Network& of : networks()) {
      const int classes = static_cast<int>(of.layers.back().columns);
      const auto arithmetic = [](const Plan& plan) {
        return std::accumulate(plan.kernels.begin(), plan.kernels.end(), 0.0,
                               [](double sum, const Kernel& kernel) { return sum + kernel.compute_cycles; });
      };
      const Plan step = training_plan(on, of, Precision::kFp32, 8, {.output_dimension = classes});
      const double ratio = arithmetic(step) / arithmetic(inference_plan(on, of, Precision::kFp32, 8));
      EXPECT_GT(ratio, 2.9) << of.name;
      EXPECT_LE(ratio, 3.0 + 1e-9) << of.name;
      EXPECT_GT(arithmetic(training_plan(on, of, Precision::kFp32, 8, {.output_dimension = 10 * classes})), arithmetic(step)) << of.name;
    }
  }
}

TEST(Plans, GroupsAreTheKernels) {
  each_plan([](const Board&, const Plan& plan) {
    double count = 0.0;
    double traffic = 0.0;
    for (const Plan::Group& group : plan.groups) {
      count += group.count;
      traffic += group.count * group.kernel.traffic_bytes;
    }
    const double expected = std::accumulate(plan.kernels.begin(), plan.kernels.end(), 0.0,
                                            [](double sum, const Kernel& kernel) { return sum + kernel.traffic_bytes; });
    EXPECT_EQ(count, static_cast<double>(plan.kernels.size()));
    EXPECT_NEAR(traffic, expected, 1e-9 * expected);
  });
}

}  // namespace
}  // namespace polythrottle::simulation
