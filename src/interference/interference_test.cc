// Both predictors, against a made-up device that takes turns.
#include "interference/interference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <random>

#include "base/sanitized.h"
#include "base/stats.h"

namespace {
thread_local long allocations = 0;
}

// Not inlined: the compiler would take `free` for the wrong partner of `new`.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace polythrottle::interference {
namespace {

constexpr WorkCost kInference{.macs = 2e9, .weights = 8e6, .activations = 4e7, .kernels = 200};
constexpr WorkCost kTraining{.macs = 6e9, .weights = 4e7, .activations = 1.2e8, .kernels = 700};

/// Times of a made-up device, in none of the predictors' terms exactly.
class World {
 public:
  explicit World(std::uint64_t seed, double noise = 0.02) : generator_(seed), noise_(noise) {}

  double drift = 1.0;
  double alone(const Speeds& s, double n) const {
    return drift * (0.002 / s.cpu + 0.001 / s.gpu + std::max(0.004 * n / s.gpu, 0.003 * n / s.mem) + 0.0006 * n / s.mem);
  }
  double beside(const Speeds& s, double n) const { return 2.15 * alone(s, n) + 0.001; }
  double step_alone(const Speeds& s, double n) const { return drift * (0.01 / s.cpu + 0.013 * n / s.gpu + 0.002 * n / s.mem); }

  double uniform() { return static_cast<double>(generator_() >> 11) * 0x1p-53; }
  double noise() { return std::exp(noise_ * std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(6.283185307179586 * uniform())); }
  BatchSample batch(const Speeds& speeds, int size, double share, int items = 32) {
    const double seconds = 1.0 / ((1.0 - share) / alone(speeds, size) + share / beside(speeds, size));
    BatchSample out{{.speeds = speeds, .batch = size, .step = {}}, Seconds(seconds * noise()), share};
    if (share > 0.0) out.at.step = Step{kTraining, items};
    return out;
  }
  StepSample step(const Speeds& speeds, int items, double share) {
    const double alone_seconds = step_alone(speeds, items);
    return {speeds, {kTraining, items}, Seconds(alone_seconds / ((1.0 - share) + share / 2.0) * noise()), share};
  }
  /// 22 batches and some steps.
  Samples calibration() {
    Samples out;
    const Speeds clocks[] = {{}, {.gpu = 0.7}, {.mem = 0.6}, {.gpu = 0.85, .cpu = 0.5}, {.gpu = 0.45}};
    for (int i = 0; i < 22; ++i) {
      const Speeds& at = clocks[i % 5];
      out.batches.push_back(batch(at, 1 << (i * 3 % 5), i % 4 == 3 ? 0.0 : i % 7 == 2 ? 0.5 : 1.0));
      if (i % 4 == 0) out.steps.push_back(step(at, i % 8 == 0 ? 64 : 16, i % 3 == 0 ? 0.3 : 1.0));
    }
    return out;
  }
  Speeds clocks() { return {0.45 + 0.55 * uniform(), 0.6 + 0.4 * uniform(), 0.5 + 0.5 * uniform()}; }

 private:
  std::mt19937_64 generator_;
  double noise_;
};

std::unique_ptr<Predictor> make(const char* name) { return find_predictor(name).value()->make(kInference); }
Situation beside(const Speeds& speeds, int batch, int items = 32) { return {speeds, batch, Step{kTraining, items}}; }
Situation alone(const Speeds& speeds, int batch) { return {speeds, batch, {}}; }
double off(const Prediction& said, double truth) { return std::abs(said.mean.count() / truth - 1.0); }

TEST(Prediction, BoundIsTheQuantileOfStudentsT) {
  const Prediction said{Seconds(2.0), 0.1};
  for (const double p : {0.001, 0.05, 0.3, 0.5, 0.8, 0.95, 0.99, 0.9999}) {
    const double expected = 2.0 * std::exp(0.1 * student_quantile(p, 4.0) / std::sqrt(2.0));
    EXPECT_NEAR(said.upper(p).count(), expected, 1e-6 * expected) << p;
  }
}

TEST(Predictors, AreFoundByName) {
  EXPECT_EQ(find_predictor("physical").value()->name, "physical");
  const auto missing = find_predictor("oracle");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kInvalid);
  EXPECT_NE(missing.error().hint.find("physical, published"), std::string::npos) << missing.error().hint;
}

TEST(Intensity, IsWorkOverTraffic) {
  EXPECT_DOUBLE_EQ(intensity({.macs = 6.0, .weights = 2.0, .activations = 1.0}, 4.0), 4.0);
  EXPECT_DOUBLE_EQ(intensity({}, 4.0), 0.0);
}

class EveryPredictor : public testing::TestWithParam<const PredictorDriver*> {};
INSTANTIATE_TEST_SUITE_P(All, EveryPredictor, testing::ValuesIn(interference_drivers().begin(), interference_drivers().end()),
                         [](const auto& driver) { return std::string(driver.param->name); });

TEST_P(EveryPredictor, KnowsNothingBeforeItIsTold) {
  const auto predictor = GetParam()->make(kInference);
  EXPECT_FALSE(predictor->calibrated());
  EXPECT_EQ(predictor->batch(beside({}, 4)).mean.count(), 0.0);
  EXPECT_EQ(predictor->step({}, {kTraining, 8}, 0.0).mean.count(), 0.0);
  EXPECT_EQ(predictor->fit({}).error().code, Errc::kNotFound);
}

TEST_P(EveryPredictor, SpeaksOfBatchesAloneWithoutCoRuns) {
  World world(1);
  Samples samples;
  for (int batch = 1; batch <= 16; batch *= 2) samples.batches.push_back(world.batch({}, batch, 0.0));
  const auto predictor = GetParam()->make(kInference);
  EXPECT_EQ(predictor->fit(samples).error().code, Errc::kNotFound);
  EXPECT_FALSE(predictor->calibrated());
  EXPECT_LT(off(predictor->batch(alone({}, 6)), world.alone({}, 6)), 0.1);
  // A step beside is ignored until there are co-runs.
  EXPECT_EQ(predictor->batch(beside({}, 6)).mean, predictor->batch(alone({}, 6)).mean);
}

TEST_P(EveryPredictor, RefusesToFitWhatIsNoTime) {
  World world(2);
  for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    Samples batches = world.calibration(), steps = batches;
    batches.batches[3].latency = Seconds(bad);
    steps.steps[1].duration = Seconds(bad);
    const auto predictor = GetParam()->make(kInference);
    EXPECT_EQ(predictor->fit(batches).error().code, Errc::kInvalid) << bad;
    EXPECT_EQ(predictor->fit(steps).error().code, Errc::kInvalid) << bad;
  }
}

TEST_P(EveryPredictor, IgnoresWhatIsNoTimeWhileItLearns) {
  World world(3);
  const auto predictor = GetParam()->make(kInference);
  ASSERT_TRUE(predictor->fit(world.calibration()));
  const Prediction before = predictor->batch(beside({}, 4));
  Samples bad;
  for (const double seconds : {0.0, -1.0, std::nan("")}) {
    bad.batches.push_back({beside({}, 4), Seconds(seconds), 1.0});
    bad.steps.push_back({{}, {kTraining, 8}, Seconds(seconds), 1.0});
  }
  predictor->learn(bad);
  EXPECT_EQ(predictor->batch(beside({}, 4)).mean, before.mean);
  EXPECT_EQ(predictor->batch(beside({}, 4)).log_stddev, before.log_stddev);
}

TEST_P(EveryPredictor, ReadingAllocatesNothing) {
  World world(4);
  const auto predictor = GetParam()->make(kInference);
  ASSERT_TRUE(predictor->fit(world.calibration()));
  const Situation situations[] = {beside({.gpu = 0.6}, 3), alone({}, 5)};
  const long before = allocations;
  double sum = 0.0;
  for (const Situation& at : situations) sum += predictor->batch(at).upper(0.99).count();
  sum += predictor->step({.mem = 0.8}, {kTraining, 16}, 0.4).upper(0.5).count();
  EXPECT_EQ(allocations, before);
  EXPECT_GT(sum, 0.0);
}

TEST_P(EveryPredictor, IsMonotone) {
  for (std::uint64_t seed = 0; seed < repetitions(60); ++seed) {
    World world(seed, 0.1);
    const auto predictor = GetParam()->make(kInference);
    ASSERT_TRUE(predictor->fit(world.calibration()));
    if (seed % 2 == 1) {
      for (int i = 0; i < 100; ++i) {
        Samples more;
        more.batches.push_back(world.batch(world.clocks(), 1 + i % 16, i % 3 == 0 ? 0.0 : world.uniform()));
        more.steps.push_back(world.step(world.clocks(), 1 + i % 64, world.uniform()));
        predictor->learn(more);
      }
    }
    for (int i = 0; i < 40; ++i) {
      const Speeds slow = world.clocks();
      const Speeds fast{slow.gpu * (1.0 + world.uniform()), slow.mem * (1.0 + world.uniform()), slow.cpu * (1.0 + world.uniform())};
      const int few = 1 + i % 16, many = few + i % 5;
      const double share = world.uniform();
      const auto below = [](const Prediction& a, const Prediction& b) { return a.mean.count() <= b.mean.count() * (1.0 + 1e-12); };
      for (const bool with : {false, true}) {
        const auto at = [&](const Speeds& speeds, int batch) {
          return predictor->batch(with ? beside(speeds, batch) : alone(speeds, batch));
        };
        EXPECT_TRUE(below(at(fast, few), at(slow, few))) << seed;
        EXPECT_TRUE(below(at(slow, few), at(slow, many))) << seed;
        EXPECT_GE(at(slow, few).upper(0.95), at(slow, few).mean);
        EXPECT_GT(at(slow, few).mean.count(), 0.0);
      }
      const auto step = [&](const Speeds& speeds, int items) { return predictor->step(speeds, {kTraining, items}, share); };
      EXPECT_TRUE(below(step(fast, few), step(slow, few))) << seed;
      EXPECT_TRUE(below(step(slow, few), step(slow, many))) << seed;
    }
  }
}

TEST(Published, RecoversItsOwnFormula) {
  // 1 + 0.5 batch + 0.1 x (items of fine-tuning in units of an item of inference): inside the model.
  Samples samples;
  const double unit = kTraining.macs / kInference.macs;
  for (const int batch : {1, 2, 4, 8}) {
    for (const int items : {0, 8, 32}) {
      BatchSample seen{alone({}, batch), Seconds(1.0 + 0.5 * batch + 0.1 * unit * items), 0.0};
      if (items > 0) seen.at.step = Step{kTraining, items}, seen.beside = 1.0;
      samples.batches.push_back(seen);
    }
  }
  const auto predictor = make("published");
  ASSERT_TRUE(predictor->fit(samples));
  EXPECT_LT(off(predictor->batch(beside({}, 6, 16)), 1.0 + 3.0 + 0.1 * unit * 16), 1e-6);
  EXPECT_EQ(predictor->batch(beside({.gpu = 0.5}, 6, 16)).mean, predictor->batch(beside({}, 6, 16)).mean) << "it knows no clocks";
}

TEST(Physical, ForetellsOtherBatchesAndClocks) {
  double sum = 0.0;
  int count = 0, covered = 0;
  for (std::uint64_t seed = 0; seed < repetitions(100); ++seed) {
    World world(seed, 0.035);
    const auto predictor = make("physical");
    ASSERT_TRUE(predictor->fit(world.calibration()));
    for (const int batch : {3, 6, 12}) {
      for (int i = 0; i < 4; ++i) {
        const Speeds clocks = world.clocks();
        const Prediction said = predictor->batch(i % 2 == 0 ? beside(clocks, batch) : alone(clocks, batch));
        const double seen = (i % 2 == 0 ? world.beside(clocks, batch) : world.alone(clocks, batch)) * world.noise();
        sum += off(said, seen);
        covered += Seconds(seen) <= said.upper(0.95) ? 1 : 0;
        ++count;
      }
    }
  }
  EXPECT_LT(sum / count, 0.06);
  EXPECT_GT(covered, 0.93 * count);
  EXPECT_LT(covered, 0.99 * count);
}

TEST(Physical, UsesBatchesThatWereBesideForAPartOfTheirTime) {
  World world(5, 0.001);
  Samples samples;
  for (int i = 0; i < 24; ++i) samples.batches.push_back(world.batch({}, 1 + i % 8, 0.3 + 0.4 * (i % 3) / 2.0));
  for (int i = 0; i < 8; ++i) samples.batches.push_back(world.batch({}, 1 + i, 0.0));
  const auto predictor = make("physical");
  ASSERT_TRUE(predictor->fit(samples));
  for (const int batch : {1, 3, 8}) {
    EXPECT_LT(off(predictor->batch(alone({}, batch)), world.alone({}, batch)), 0.05) << batch;
    EXPECT_LT(off(predictor->batch(beside({}, batch)), world.beside({}, batch)), 0.12) << batch;
  }
}

TEST(Physical, ForetellsStepsBesideBatchesForAPart) {
  World world(6);
  Samples samples = world.calibration();
  const auto predictor = make("physical");
  ASSERT_TRUE(predictor->fit(samples));
  for (int i = 0; i < 60; ++i) {
    Samples more;
    more.steps.push_back(world.step(world.clocks(), 4 << (i % 5), world.uniform()));
    predictor->learn(more);
  }
  for (const double share : {0.0, 0.4, 1.0}) {
    const double truth = world.step_alone({}, 24) / ((1.0 - share) + share / 2.0);
    EXPECT_LT(off(predictor->step({}, {kTraining, 24}, share), truth), 0.1) << share;
  }
}

TEST(Physical, FollowsAWorldThatChangesEverywhere) {
  World world(7);
  const auto predictor = make("physical");
  ASSERT_TRUE(predictor->fit(world.calibration()));
  world.drift = 1.4;
  for (int i = 0; i < 60; ++i) {
    Samples more;
    more.batches.push_back(world.batch({}, 1 + i % 4, i % 2 == 0 ? 1.0 : 0.0));
    predictor->learn(more);
  }
  EXPECT_LT(off(predictor->batch(beside({}, 4)), world.beside({}, 4)), 0.07);
  // Also where nothing was seen since.
  EXPECT_LT(off(predictor->batch(beside({.gpu = 0.6}, 8)), world.beside({.gpu = 0.6}, 8)), 0.12);
}

TEST(Physical, DoesNotForgetWhatItDoesNotSee) {
  World world(8);
  const auto predictor = make("physical");
  ASSERT_TRUE(predictor->fit(world.calibration()));
  Samples more;
  for (int i = 0; i < 5000; ++i) more.batches.push_back(world.batch({}, 2, 0.0));
  predictor->learn(more);
  EXPECT_LT(off(predictor->batch(alone({}, 2)), world.alone({}, 2)), 0.02);
  EXPECT_LT(off(predictor->batch(beside({.gpu = 0.6}, 6)), world.beside({.gpu = 0.6}, 6)), 0.12);
}

TEST(Physical, LearnsHowMuchTheWorldScatters) {
  World calm(9, 0.01), wild(9, 0.15);
  const auto predictor = make("physical");
  ASSERT_TRUE(predictor->fit(calm.calibration()));
  const double before = predictor->batch(beside({}, 4)).log_stddev;
  int covered = 0;
  for (int i = 0; i < 1500; ++i) {
    Samples more;
    more.batches.push_back(wild.batch({}, 4, 1.0));
    if (i >= 500) covered += more.batches[0].latency <= predictor->batch(beside({}, 4)).upper(0.95) ? 1 : 0;
    predictor->learn(more);
  }
  EXPECT_GT(predictor->batch(beside({}, 4)).log_stddev, 2.0 * before);
  EXPECT_GT(covered, 910);
  EXPECT_LT(covered, 990);
}

}  // namespace
}  // namespace polythrottle::interference
