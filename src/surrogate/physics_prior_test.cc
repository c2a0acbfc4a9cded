#include "surrogate/physics_prior.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

Parameter knob(std::string name, std::vector<double> levels, Role role = Role::kOther) {
  return {std::move(name), "", role, std::vector<Value>(levels.begin(), levels.end()), ""};
}

Parameter labels(std::string name, std::vector<std::string> names, Role role = Role::kCategory) {
  return {std::move(name), "", role, std::vector<Value>(names.begin(), names.end()), ""};
}

/// A space, its settings as factors and where it starts.
struct Board {
  explicit Board(std::vector<Parameter> parameters, const Config& start = {})
      : space(Space::product(std::move(parameters)).value()), knobs(space, start) {}
  CandidateId row(const Config& config) const { return space.find(config).value(); }

  Space space;
  RelativeKnobs knobs;
};

/// Levels 1 / count .. 1.
std::vector<double> fractions(int count) {
  std::vector<double> levels;
  for (int i = 1; i <= count; ++i) levels.push_back(static_cast<double>(i) / count);
  return levels;
}

Board clocks_and_batch() {
  return Board({knob("gpu", fractions(5), Role::kComputeClock), knob("mem", fractions(4), Role::kMemoryClock),
                knob("cpu", fractions(3), Role::kHostClock), knob("batch", {1, 2, 4, 8, 16}, Role::kBatch)},
               {{"gpu", 1.0}, {"mem", 1.0}, {"cpu", 1.0}, {"batch", 1.0}});
}

bool same(const FieldPrior& a, const FieldPrior& b) { return a.mean == b.mean && a.basis == b.basis; }
bool same(const PhysicsPrior& a, const PhysicsPrior& b) { return same(a.latency, b.latency) && same(a.energy, b.energy); }

VectorXd deviation(const FieldPrior& prior) { return prior.basis.cast<double>().rowwise().norm(); }

void expect_finite(const PhysicsPrior& prior) {
  for (const FieldPrior* field : {&prior.latency, &prior.energy}) {
    EXPECT_TRUE(field->mean.allFinite());
    EXPECT_TRUE(field->basis.allFinite());
  }
}

/// Means over many seeds, as the machines of one are a sample.
PhysicsPrior mean_over_seeds(const RelativeKnobs& knobs, std::uint64_t seeds) {
  PhysicsPrior sum;
  sum.latency.mean = sum.energy.mean = Eigen::VectorXf::Zero(knobs.rows());
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const PhysicsPrior one = physics_prior(knobs, {.seed = seed});
    sum.latency.mean += one.latency.mean / static_cast<float>(seeds);
    sum.energy.mean += one.energy.mean / static_cast<float>(seeds);
  }
  return sum;
}

TEST(PhysicsPrior, DependsOnTheSeedAndNothingElse) {
  const Board board = clocks_and_batch();
  const PhysicsPrior one = physics_prior(board.knobs, {.seed = 3});
  EXPECT_TRUE(same(one, physics_prior(board.knobs, {.seed = 3})));
  EXPECT_FALSE(same(one.latency, physics_prior(board.knobs, {.seed = 4}).latency));
  EXPECT_FALSE(same(one.energy, physics_prior(board.knobs, {.seed = 4}).energy));
}

TEST(PhysicsPrior, DoesNotDependOnTheThreads) {
  const Board board({knob("gpu", fractions(13), Role::kComputeClock), knob("mem", fractions(8), Role::kMemoryClock),
                     knob("batch", {1, 2, 4, 8, 16, 32, 64, 128, 256}, Role::kBatch)});
  const PhysicsPrior one = physics_prior(board.knobs, {.members = 40, .threads = 1});
  for (unsigned threads : {0U, 2U, 3U, 7U}) {
    EXPECT_TRUE(same(one, physics_prior(board.knobs, {.members = 40, .threads = threads}))) << threads;
  }
}

TEST(PhysicsPrior, IsZeroAtTheReferenceToTheLastBit) {
  const Config start{{"gpu", 0.6}, {"mem", 0.5}, {"batch", 4.0}, {"precision", "fp16"}, {"cap", 15.0}};
  const Board board(
      {knob("gpu", fractions(5), Role::kComputeClock), knob("mem", fractions(4), Role::kMemoryClock),
       knob("batch", {1, 4, 16}, Role::kBatch), labels("precision", {"fp32", "fp16"}), knob("cap", {10, 15}, Role::kPowerCap)},
      start);
  const PhysicsPrior prior = physics_prior(board.knobs, {});
  const CandidateId row = board.row(start);
  for (const FieldPrior* field : {&prior.latency, &prior.energy}) {
    EXPECT_EQ(field->mean(row), 0.0F);
    EXPECT_EQ(field->basis.row(row).squaredNorm(), 0.0F);
  }
}

TEST(PhysicsPrior, SaysNothingForCertainAnywhereElse) {
  const Board board = clocks_and_batch();
  const PhysicsPrior prior = physics_prior(board.knobs, {});
  for (CandidateId id = 0; id < board.space.size(); ++id) {
    if (id == board.row({{"gpu", 1.0}, {"mem", 1.0}, {"cpu", 1.0}, {"batch", 1.0}})) continue;
    EXPECT_GT(deviation(prior.latency)(id), 0.005) << board.space.config(id).text();
    EXPECT_GT(deviation(prior.energy)(id), 0.005) << board.space.config(id).text();
  }
}

TEST(PhysicsPrior, ExpectsLatencyToFallWithEachClock) {
  const Board board = clocks_and_batch();
  const PhysicsPrior prior = mean_over_seeds(board.knobs, 8);
  for (const Parameter& clock : board.space.parameters()) {
    if (clock.role == Role::kBatch) continue;
    for (CandidateId id = 0; id < board.space.size(); ++id) {
      const Config config = board.space.config(id);
      for (std::size_t level = 0; level + 1 < clock.levels.size(); ++level) {
        if (config.get(clock.name) != clock.levels[level]) continue;
        Config higher = config;
        higher.set(clock.name, clock.levels[level + 1]);
        EXPECT_GT(prior.latency.mean(id), prior.latency.mean(board.row(higher))) << config.text() << " and " << higher.text();
      }
    }
  }
}

TEST(PhysicsPrior, ExpectsALargerBatchToTakeLongerAndToCostLessForEachInference) {
  const Board board = clocks_and_batch();
  const PhysicsPrior prior = mean_over_seeds(board.knobs, 8);
  for (CandidateId id = 0; id < board.space.size(); ++id) {
    const Config config = board.space.config(id);
    Config twice = config;
    twice.set("batch", 2.0 * *config.number("batch"));
    const auto larger = board.space.find(twice);
    if (!larger) continue;
    EXPECT_LT(prior.latency.mean(id), prior.latency.mean(*larger)) << config.text();
    EXPECT_LT(prior.latency.mean(*larger), prior.latency.mean(id) + std::log(2.0)) << config.text();
    EXPECT_GT(prior.energy.mean(id), prior.energy.mean(*larger)) << config.text();
  }
}

TEST(PhysicsPrior, ExpectsALowerPowerCapToBeSlower) {
  const Board board({knob("cap", {5, 10, 15, 20, 30}, Role::kPowerCap)});
  const PhysicsPrior prior = mean_over_seeds(board.knobs, 8);
  for (Index row = 0; row + 1 < board.knobs.rows(); ++row) EXPECT_GE(prior.latency.mean(row), prior.latency.mean(row + 1));
  EXPECT_GT(prior.latency.mean(0), 0.2F);
}

/// n machines are those of n - 1 and one more, whose curve follows from the two means; so the covariance must grow as Welford (1962) says.
TEST(PhysicsPrior, BasisHoldsTheSampleCovarianceOfTheMachines) {
  const Board board(
      {knob("gpu", fractions(3), Role::kComputeClock), knob("mem", fractions(2), Role::kMemoryClock), knob("batch", {1, 8}, Role::kBatch)});
  struct Moments {
    VectorXd mean;
    MatrixXd scatter;  // (n - 1) x sample covariance
  };
  const auto moments = [&](int members) {
    const PhysicsPrior prior = physics_prior(board.knobs, {.members = members, .components = 1000, .log_linear = 0.0});
    const Index rows = board.knobs.rows();
    VectorXd mean(2 * rows);
    mean << prior.latency.mean.cast<double>(), prior.energy.mean.cast<double>();
    MatrixXd basis(2 * rows, prior.latency.basis.cols());
    basis << prior.latency.basis.cast<double>(), prior.energy.basis.cast<double>();
    return Moments{mean, static_cast<double>(members - 1) * basis * basis.transpose()};
  };
  Moments before = moments(2);
  for (int n = 3; n <= 12; ++n) {
    const Moments after = moments(n);
    const VectorXd newest = n * after.mean - (n - 1) * before.mean;
    const MatrixXd grown = before.scatter + (newest - before.mean) * (newest - after.mean).transpose();
    EXPECT_LT((after.scatter - grown).cwiseAbs().maxCoeff(), 1e-4) << n;
    EXPECT_GT((newest - before.mean).cwiseAbs().maxCoeff(), 0.01) << n;
    before = after;
  }
}

TEST(PhysicsPrior, AFewDirectionsHoldNearlyEverything) {
  const Board board = clocks_and_batch();
  const PhysicsPrior all = physics_prior(board.knobs, {.components = 1000}), few = physics_prior(board.knobs, {});
  EXPECT_EQ(few.latency.basis.cols(), PhysicsOptions{}.components);
  EXPECT_EQ(few.latency.mean, all.latency.mean);
  for (const auto& [kept, complete] : {std::pair(&few.latency, &all.latency), std::pair(&few.energy, &all.energy)}) {
    const VectorXd share = kept->basis.cast<double>().rowwise().squaredNorm(),
                   whole = complete->basis.cast<double>().rowwise().squaredNorm();
    EXPECT_LE((share - whole).maxCoeff(), 1e-4);
    EXPECT_GT(share.sum(), 0.99 * whole.sum());
  }
}

TEST(PhysicsPrior, AKnobOfUnknownEffectMayDoAnything) {
  const Board board({knob("tile", {1, 2, 4})});
  const PhysicsPrior prior = physics_prior(board.knobs, {});
  for (const FieldPrior* field : {&prior.latency, &prior.energy}) {
    EXPECT_TRUE(field->mean.isZero(0.0F));
    EXPECT_GT(deviation(*field)(1), 0.02);
    EXPECT_GT(deviation(*field)(0), deviation(*field)(1));
  }
  const PhysicsPrior without = physics_prior(board.knobs, {.log_linear = 0.0});
  EXPECT_TRUE(without.latency.basis.isZero(0.0F));
}

TEST(PhysicsPrior, LabelsAreExchangeable) {
  const Board board({labels("precision", {"fp32", "fp16", "int8", "int4"})}, {{"precision", "fp16"}});
  VectorXd mean = VectorXd::Zero(4), variance = VectorXd::Zero(4);
  constexpr int kSeeds = 12;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const PhysicsPrior prior = physics_prior(board.knobs, {.seed = seed});
    mean += prior.latency.mean.cast<double>() / kSeeds;
    variance += deviation(prior.latency).cwiseAbs2() / kSeeds;
  }
  EXPECT_EQ(variance(1), 0.0);
  for (Index label : {0, 2, 3}) {
    EXPECT_NEAR(mean(label), 0.0, 0.1 * std::sqrt(variance(0)));  // 12 x 160 draws: four standard deviations
    EXPECT_NEAR(variance(label), variance(0), 0.13 * variance(0));
  }
}

TEST(PhysicsPrior, KnowsEveryRole) {
  for (Role role : {Role::kComputeClock, Role::kMemoryClock, Role::kHostClock, Role::kClockFloor, Role::kPowerCap, Role::kBatch,
                    Role::kParallelism, Role::kCategory, Role::kOther}) {
    const Parameter one = role == Role::kCategory ? labels("k", {"a", "b", "c"}) : knob("k", {1, 2, 3}, role);
    for (const auto& start : {one.levels.front(), one.levels.back()}) {
      const Board board({one}, {{"k", start}});
      const PhysicsPrior prior = physics_prior(board.knobs, {.members = 40});
      expect_finite(prior);
      const auto far = static_cast<Index>(start == one.levels.front() ? 2 : 0);
      EXPECT_GT(deviation(prior.latency)(far) + deviation(prior.energy)(far), 0.01) << to_string(role);
    }
  }
}

TEST(PhysicsPrior, StaysFiniteAtExtremes) {
  const Board extreme({knob("gpu", {0.02, 0.5, 1}, Role::kComputeClock), knob("mem", {0.02, 1}, Role::kMemoryClock),
                       knob("cpu", {0.02, 1}, Role::kHostClock), knob("floor", {0.001, 1}, Role::kClockFloor),
                       knob("cap", {0.01, 1}, Role::kPowerCap), knob("batch", {1, 8192}, Role::kBatch),
                       knob("threads", {1, 1024}, Role::kParallelism)});
  expect_finite(physics_prior(extreme.knobs, {}));
  const Board odd({knob("gpu", {0, 1}, Role::kComputeClock), knob("batch", {-1, 0, 4}, Role::kBatch),
                   knob("threads", {0, 2}, Role::kParallelism), labels("mode", {"low", "middle", "high"}, Role::kOther),
                   knob("offset", {-5, 5}), knob("numbers", {3, 7}, Role::kCategory), labels("only", {"one"})});
  expect_finite(physics_prior(odd.knobs, {}));
  const Board single({knob("gpu", {7}, Role::kComputeClock)}), nothing(std::vector<Parameter>{});
  for (const Board* board : {&single, &nothing}) {
    const PhysicsPrior prior = physics_prior(board->knobs, {});
    ASSERT_EQ(prior.latency.mean.size(), 1);
    EXPECT_EQ(prior.latency.mean(0), 0.0F);
    expect_finite(prior);
  }
}

TEST(PhysicsPrior, TakesRowsOfAnotherSpace) {
  Board board = clocks_and_batch();
  const PhysicsPrior before = physics_prior(board.knobs, {});
  ASSERT_TRUE(board.knobs.add(board.space.parameters(), {{"gpu", 1.0}}, {{"gpu", 0.5}, {"mem", 1.0}, {"cpu", 1.0}, {"batch", 1.0}}));
  const PhysicsPrior after = physics_prior(board.knobs, {});
  const Index count = before.latency.mean.size();
  ASSERT_EQ(after.latency.mean.size(), count + 1);
  EXPECT_EQ(after.latency.mean.head(count), before.latency.mean);
  const auto at = [&](double gpu) { return after.latency.mean(board.row({{"gpu", gpu}, {"mem", 1.0}, {"cpu", 1.0}, {"batch", 1.0}})); };
  EXPECT_LT(after.latency.mean(count), at(0.4));
  EXPECT_GT(after.latency.mean(count), at(0.6));
}

TEST(LogBatch, IsRelativeToTheReference) {
  const Board board({knob("batch", {1, 2, 8}, Role::kBatch), knob("gpu", {1, 2}, Role::kComputeClock)}, {{"batch", 2.0}, {"gpu", 2.0}});
  const Eigen::VectorXf log = log_batch(board.knobs);
  for (double gpu : {1.0, 2.0}) {
    EXPECT_NEAR(log(board.row({{"batch", 1.0}, {"gpu", gpu}})), -std::log(2.0), 1e-6);
    EXPECT_EQ(log(board.row({{"batch", 2.0}, {"gpu", gpu}})), 0.0F);
    EXPECT_NEAR(log(board.row({{"batch", 8.0}, {"gpu", gpu}})), std::log(4.0), 1e-6);
  }
  EXPECT_TRUE(log_batch(Board({knob("gpu", {1, 2}, Role::kComputeClock)}).knobs).isZero(0.0F));
}

}  // namespace
}  // namespace polythrottle
