// What holds for every space and machine, tried on many that are drawn at random.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "optimizer/candidates.h"
#include "optimizer/random_machine.h"

namespace polythrottle {
namespace {

constexpr std::uint64_t kShards = 15, kPerShard = 10;
/// Searches without a budget measure everything where nothing can meet the limits.
constexpr std::size_t kMostTrials = 40;

struct World {
  Space space;
  Config reference;
  Objective objective;
  std::vector<Constraint> constraints;
  SearchOptions search;
  RandomMachineOptions machine;
  bool refuses = false;  ///< the first knob at its first level
  bool stops = false;    ///< trials that break a limit on latency by half
};

std::size_t pick(NormalStream& random, std::size_t count) { return static_cast<std::size_t>(random.unit() * static_cast<double>(count)); }

Parameter random_knob(const std::string& name, NormalStream& random) {
  static constexpr std::array kRoles{Role::kComputeClock, Role::kMemoryClock, Role::kHostClock, Role::kClockFloor, Role::kPowerCap,
                                     Role::kBatch,        Role::kParallelism, Role::kCategory,  Role::kOther};
  const Role role = kRoles[pick(random, kRoles.size())];
  const std::size_t count = 1 + pick(random, 6);
  Parameter p{name, random.unit() < 0.5 ? "Hz" : "", role, {}, ""};
  double value = role == Role::kBatch || role == Role::kParallelism ? 1.0 : random.log_uniform(0.1, 1e9);
  for (std::size_t i = 0; i < count; ++i) {
    const bool label = role == Role::kCategory || (role == Role::kOther && name == "knob1");
    p.levels.push_back(label ? Value("level" + std::to_string(i)) : Value(value));
    value = role == Role::kBatch || role == Role::kParallelism ? 2.0 * value : value * random.uniform(1.05, 2.0);
  }
  return p;
}

/// 2 to 300 candidates: a product, a product with holes, or a list in any order.
Space random_space(NormalStream& random) {
  while (true) {
    std::vector<Parameter> knobs;
    const std::size_t count = 1 + pick(random, 5);
    for (std::size_t k = 0; k < count; ++k) knobs.push_back(random_knob("knob" + std::to_string(k), random));
    const double holes = random.unit() < 0.5 ? 0.0 : random.uniform(0.0, 0.6);
    const auto space = Space::product(knobs, [&](const Config&) { return random.unit() >= holes; });
    if (!space || space->size() < 2 || space->size() > 300) continue;
    if (random.unit() < 0.7) return *space;
    std::vector<Config> rows;
    for (const CandidateId id : seeded_permutation(space->size(), 7)) rows.push_back(space->config(id));
    return Space::list(knobs, rows).value();
  }
}

World random_world(std::uint64_t seed) {
  NormalStream random(seed * 7919 + 13);
  World world{.space = random_space(random)};
  world.reference = world.space.config(static_cast<CandidateId>(pick(random, world.space.size())));
  world.machine = {.roughness = random.uniform(0.0, 0.05), .noise = random.log_uniform(1e-4, 0.02), .states_error = random.unit() < 0.8};
  world.refuses = random.unit() < 0.25;
  world.stops = random.unit() < 0.25;
  world.search.explore = std::array{Explore::kSafe, Explore::kStrict, Explore::kBold}[pick(random, 3)];
  static constexpr std::array kObjectives{kEnergy, kEnergy, kPower, kLatencyMean, kThroughput};
  world.objective.metric = kObjectives[pick(random, kObjectives.size())];
  if (world.objective.metric == kThroughput) world.objective.direction = Direction::kMaximize;
  const RandomMachine machine(world.space, seed, world.machine);
  static constexpr std::array kLimited{kLatencyMean, kLatencyP99, kPower, kThroughput, kTemperature};
  for (std::size_t left = pick(random, 4); left > 0; --left) {
    const std::string metric(kLimited[pick(random, kLimited.size())]);
    // Relative to some setting, and now and then out of reach of all.
    const double value = machine.truth(static_cast<CandidateId>(pick(random, world.space.size()))).at(metric).value;
    const bool least = metric == kThroughput;
    const double factor = random.unit() < 0.1 ? (least ? 1000.0 : 0.001) : random.uniform(0.8, 1.2);
    world.constraints.push_back({metric, least ? Bound::kAtLeast : Bound::kAtMost, factor * value});
  }
  return world;
}

/// What somebody measured on a board with other knobs, some of them of the same names and roles.
EarlierStudy random_study(std::uint64_t seed) {
  const World world = random_world(seed);
  RandomMachine machine(world.space, seed, world.machine);
  SyntheticSearch old(world.space, std::ref(machine));
  old.add(world.reference, Advice::Kind::kReference);
  for (const CandidateId id : seeded_permutation(world.space.size(), seed)) {
    if (old.history.size() < 8) old.add(world.space.config(id));
  }
  return {"study " + std::to_string(seed), world.space.parameters(), world.reference, old.history};
}

bool refused(const World& world, const Config& config) {
  const Parameter& first = world.space.parameters().front();
  return world.refuses && !(config == world.reference) && config.get(first.name) == first.levels.front();
}

Outcome outcome_of(const World& world, RandomMachine& machine, const Config& config) {
  if (refused(world, config)) return ended(TrialState::kRefused);
  Outcome outcome = machine(config);
  const auto too_slow = [&](const Constraint& c) { return c.metric == kLatencyMean && excess(c, outcome.metrics).value() > 1.5; };
  if (world.stops && std::any_of(world.constraints.begin(), world.constraints.end(), too_slow)) {
    outcome.state = TrialState::kAborted;
    std::erase_if(outcome.metrics, [](const auto& metric) { return metric.first != kLatencyMean; });
  }
  return outcome;
}

/// By how much the setting that is nearest to meeting all limits misses them; at most 1: something meets them.
double least_excess(const World& world, const RandomMachine& machine) {
  double least = std::numeric_limits<double>::infinity();
  for (CandidateId id = 0; id < world.space.size(); ++id) {
    double worst = 0.0;
    for (const Constraint& c : world.constraints) worst = std::max(worst, excess(c, machine.truth(id)).value());
    least = std::min(least, worst);
  }
  return least;
}

class PolyThrottleProperties : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(PolyThrottleProperties, HoldInEveryWorld) {
  for (std::uint64_t seed = GetParam() * kPerShard; seed < (GetParam() + 1) * kPerShard; ++seed) {
    SCOPED_TRACE("world " + std::to_string(seed));
    World world = random_world(seed);
    for (std::uint64_t other = 0; other < seed % 3; ++other) world.search.earlier.push_back(random_study(1'000'000 + 2 * seed + other));
    RandomMachine machine(world.space, seed, world.machine);
    const auto answers = [&](const Config& config) { return outcome_of(world, machine, config); };
    const Problem problem{world.space, world.objective, world.constraints, world.reference, seed, world.search};
    SyntheticSearch search(world.space, answers);
    const auto optimizer = make_optimizer("polythrottle").value();
    std::set<CandidateId> tried, measured;
    for (bool stopped = false; !stopped && search.history.size() < kMostTrials;) {
      const auto advice = optimizer->ask(problem, search.history);
      ASSERT_TRUE(advice) << advice.error().text();
      EXPECT_FALSE(advice->reason.empty());
      if (advice->expected_gain) {
        EXPECT_GE(*advice->expected_gain, 0.0);
      }
      stopped = advice->kind == Advice::Kind::kStop;
      if (stopped) continue;
      const auto id = world.space.find(advice->config);
      ASSERT_TRUE(id) << advice->config.text();
      if (advice->kind == Advice::Kind::kTry) {
        EXPECT_TRUE(tried.insert(*id).second) << "again: " << advice->config.text();
      } else {
        EXPECT_EQ(advice->kind, Advice::Kind::kVerify);
        EXPECT_TRUE(tried.contains(*id)) << "not measured: " << advice->config.text();
      }
      search.add(advice->config, advice->kind);
      if (search.history.back().state == TrialState::kCompleted) measured.insert(*id);
    }
    const auto best = optimizer->recommend(problem, search.history);
    ASSERT_EQ(best.has_value(), !measured.empty());
    if (!best) continue;
    ASSERT_TRUE(world.space.find(best->config));
    EXPECT_TRUE(measured.contains(*world.space.find(best->config)));
    EXPECT_EQ(best->known_to_meet, best->probability_met >= kConfidence);
    const double missed = least_excess(world, machine);
    EXPECT_FALSE(best->known_to_meet && missed > 1.1) << "by " << missed << ", P " << best->probability_met;
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, PolyThrottleProperties, ::testing::Range<std::uint64_t>(0, kShards));

}  // namespace
}  // namespace polythrottle
