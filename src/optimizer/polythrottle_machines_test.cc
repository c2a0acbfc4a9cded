// How the search does on machines whose truth is known: limits, objectives, outliers, earlier studies.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "optimizer/belief.h"
#include "optimizer/candidates.h"
#include "optimizer/random_machine.h"

namespace polythrottle {
namespace {

using Kind = Advice::Kind;

std::unique_ptr<Optimizer> fresh() { return make_optimizer("polythrottle").value(); }

/// 64 settings; the reference is both clocks at their highest, batch 1.
struct Bench {
  explicit Bench(std::uint64_t board_seed, RandomMachineOptions options = {}) : seed(board_seed), machine(space, board_seed, options) {}

  Constraint limit(std::string_view metric, double factor, Bound bound = Bound::kAtMost) const {
    return {std::string(metric), bound, factor * machine.truth(*space.find(reference)).at(std::string(metric)).value};
  }
  /// A limit that a setting in the middle meets with 3 % to spare.
  Constraint middle(std::string_view metric, Bound bound = Bound::kAtMost) const {
    const Config half{{"gpu", 0.625}, {"mem", 0.75}, {"batch", 1.0}};
    return {std::string(metric), bound,
            machine.truth(*space.find(half)).at(std::string(metric)).value * (bound == Bound::kAtMost ? 1.03 : 1.0 / 1.03)};
  }

  SyntheticSearch search(std::vector<Constraint> constraints, Objective objective = {}) {
    SyntheticSearch out(space, std::ref(machine), std::move(constraints), seed);
    out.reference = reference;
    out.objective = std::move(objective);
    return out;
  }

  bool truly_meets(const SyntheticSearch& search, const Config& config) const {
    return meets(search.problem().constraints, machine.truth(*space.find(config)));
  }

  /// How much worse a setting truly is than the best that truly meets the limits with 1 % to spare (beside their slack), relative. What
  /// meets them by less cannot be known to.
  double regret(const SyntheticSearch& search, const Config& config) const {
    std::vector<Constraint> limits = search.problem().constraints;
    for (Constraint& c : limits) c.limit *= c.bound == Bound::kAtMost ? 0.99 : 1.01;
    const double sign = search.objective.direction == Direction::kMinimize ? 1.0 : -1.0;
    const auto value = [&](CandidateId id) { return sign * machine.truth(id).at(search.objective.metric).value; };
    double best = std::numeric_limits<double>::infinity();
    for (CandidateId id = 0; id < space.size(); ++id) {
      if (meets(limits, machine.truth(id))) best = std::min(best, value(id));
    }
    return (value(*space.find(config)) - best) / std::abs(best);
  }

  Space space =
      Space::product({clock_knob("gpu", 8), clock_knob("mem", 4, Role::kMemoryClock), knob("batch", {1, 2}, Role::kBatch)}).value();
  Config reference{{"gpu", 1.0}, {"mem", 1.0}, {"batch", 1.0}};
  std::uint64_t seed;
  RandomMachine machine;
};

Config choice_of(Optimizer& optimizer, const SyntheticSearch& search) {
  return optimizer.recommend(search.problem(), search.history).value().config;
}

TEST(PolyThrottle, StrictMeasuresNothingThatIsNotProbablyWithinTheLimits) {
  int stopped = 0, explored = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Bench bench(seed);
    SyntheticSearch search = bench.search({bench.limit(kLatencyMean, 1.3), bench.limit(kPower, 1.0)});
    search.search.explore = Explore::kStrict;
    search.search.min_gain = seed % 2 == 0 ? 0.0 : 0.01;
    search.add(search.reference, Kind::kReference);
    const auto optimizer = fresh();
    Believer believer;
    while (search.history.size() < 12) {
      const Advice advice = search.ask(*optimizer);
      if (advice.kind == Kind::kStop) {
        ++stopped;
        break;
      }
      const Belief belief = believer(search.problem(), search.history).value();
      EXPECT_GE(belief.probability(*bench.space.find(advice.config)), 0.85) << to_string(advice.kind) << " " << advice.config.text();
      ++explored;
      search.add(advice.config, advice.kind);
    }
  }
  EXPECT_GT(stopped, 0);
  EXPECT_GT(explored, 20);
}

TEST(PolyThrottle, SafeBreaksLimitsLessOftenThanBoldAndEndsAsWell) {
  std::array<int, 2> violations{};
  std::array<double, 2> regret{};
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    for (const std::size_t bold : {0U, 1U}) {
      Bench bench(seed);
      SyntheticSearch search = bench.search({bench.limit(kLatencyMean, 1.3)});
      search.search.explore = bold == 1 ? Explore::kBold : Explore::kSafe;
      const auto optimizer = fresh();
      search.run(*optimizer, 30);
      for (const Trial& trial : search.history) violations[bold] += bench.truly_meets(search, trial.asked) ? 0 : 1;
      EXPECT_TRUE(bench.truly_meets(search, choice_of(*optimizer, search))) << seed;
      regret[bold] += bench.regret(search, choice_of(*optimizer, search)) / 12.0;
    }
  }
  EXPECT_LT(violations[0], violations[1]);
  EXPECT_LT(regret[0], 0.02);
  EXPECT_LT(regret[1], 0.02);
}

TEST(PolyThrottle, ServesEveryObjectiveWithinEveryKindOfLimit) {
  const Objective energy, latency{std::string(kLatencyMean)}, power{std::string(kPower)};
  const Objective throughput{std::string(kThroughput), Direction::kMaximize};
  struct Case {
    const char* name;
    Objective objective;
    std::function<std::vector<Constraint>(const Bench&)> limits;
  };
  const std::vector<Case> cases{
      {"latency within power", latency, [](const Bench& b) { return std::vector{b.middle(kPower)}; }},
      {"power within latency", power, [](const Bench& b) { return std::vector{b.middle(kLatencyMean)}; }},
      {"throughput within power", throughput, [](const Bench& b) { return std::vector{b.middle(kPower)}; }},
      {"throughput within p99", throughput, [](const Bench& b) { return std::vector{b.middle(kLatencyP99)}; }},
      {"energy within temperature", energy, [](const Bench& b) { return std::vector{b.middle(kTemperature)}; }},
      {"energy within throughput", energy, [](const Bench& b) { return std::vector{b.middle(kThroughput, Bound::kAtLeast)}; }},
      {"energy within memory", energy, [](const Bench& b) { return std::vector{b.middle(kMemory)}; }},
      {"energy within p99 and mean", energy,
       [](const Bench& b) {
         return std::vector{b.limit(kLatencyP99, 1.5), b.middle(kLatencyMean)};
       }},
      {"energy within mean and p99", energy,
       [](const Bench& b) {
         return std::vector{b.limit(kLatencyMean, 1.5), b.middle(kLatencyP99)};
       }},
      {"energy within four", energy,
       [](const Bench& b) {
         return std::vector{b.middle(kLatencyMean), b.middle(kPower), b.middle(kTemperature), b.middle(kThroughput, Bound::kAtLeast)};
       }},
      {"energy without limits", energy, [](const Bench&) { return std::vector<Constraint>{}; }},
  };
  double all = 0.0;
  for (const Case& c : cases) {
    double regret = 0.0, trials = 0.0;
    int met = 0;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      Bench bench(seed);
      SyntheticSearch search = bench.search(c.limits(bench), c.objective);
      const auto optimizer = fresh();
      search.run(*optimizer, 30);
      const Config choice = choice_of(*optimizer, search);
      met += bench.truly_meets(search, choice) ? 1 : 0;
      regret += bench.regret(search, choice) / 3.0;
      trials += static_cast<double>(search.history.size()) / 3.0;
    }
    EXPECT_EQ(met, 3) << c.name;
    EXPECT_LT(regret, 0.15) << c.name;
    EXPECT_LT(trials, 20.0) << c.name;
    all += regret / static_cast<double>(cases.size());
  }
  EXPECT_LT(all, 0.025);
}

TEST(PolyThrottle, AnOutlierIsLookedAtOnceMoreAndThenBelieved) {
  int seen = 0, verified = 0, chosen = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Bench bench(seed);
    const Constraint limit = bench.limit(kLatencyMean, 1.3);
    const SyntheticSearch judge = bench.search({{limit.metric, limit.bound, limit.limit / 1.02}});
    CandidateId best = 0;
    for (CandidateId id = 0; id < bench.space.size(); ++id) {
      if (bench.regret(judge, bench.space.config(id)) == 0.0 && bench.truly_meets(judge, bench.space.config(id))) best = id;
    }
    int looks = 0;
    SyntheticSearch search(
        bench.space,
        [&](const Config& config) {
          Outcome outcome = bench.machine(config);
          const bool disturbed = bench.space.find(config) == best && looks++ == 0;
          if (disturbed) outcome.metrics.at(std::string(kLatencyMean)).value *= 1.3;
          return outcome;
        },
        {limit}, seed);
    search.reference = bench.reference;
    search.search.min_gain = 0.001;
    const auto optimizer = fresh();
    const std::vector<Advice> advices = search.run(*optimizer, 40);
    ASSERT_EQ(advices.back().kind, Kind::kStop);
    const auto again = std::count_if(advices.begin(), advices.end(),
                                     [&](const Advice& a) { return a.kind == Kind::kVerify && bench.space.find(a.config) == best; });
    EXPECT_LE(again, 1) << seed;
    seen += looks > 0 ? 1 : 0, verified += again == 1 ? 1 : 0;
    if (again == 1 && bench.space.find(choice_of(*optimizer, search)) == best) ++chosen;
  }
  EXPECT_GE(seen, 8);
  EXPECT_GE(2 * verified, seen);
  EXPECT_GE(chosen + 1, verified);
}

/// A finished study of 15 settings.
EarlierStudy earlier_study(const Bench& bench, const SyntheticSearch::Machine& machine) {
  SyntheticSearch old(bench.space, machine);
  old.add(bench.reference, Kind::kReference);
  for (const CandidateId id : seeded_permutation(bench.space.size(), bench.seed)) {
    if (old.history.size() < 15) old.add(bench.space.config(id));
  }
  return {"old", bench.space.parameters(), bench.reference, old.history};
}

/// Every knob the other way round.
Config mirrored(const Space& space, const Config& config) {
  Config out;
  const auto levels = space.levels(*space.find(config));
  for (std::size_t k = 0; k < levels.size(); ++k) {
    const Parameter& p = space.parameters()[k];
    out.set(p.name, p.levels[p.levels.size() - 1 - levels[k]]);
  }
  return out;
}

TEST(PolyThrottle, ARightEarlierStudyHelpsAndAWrongOneCostsLittle) {
  enum { kNone, kRight, kWrong, kKinds };
  std::array<double, kKinds> trials{}, regret{};
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (const std::size_t kind : {kNone, kRight, kWrong}) {
      Bench bench(seed), other(seed, {.noise = 0.01});
      SyntheticSearch search = bench.search({bench.limit(kLatencyMean, 1.3)});
      if (kind == kRight) search.search.earlier = {earlier_study(bench, std::ref(other.machine))};
      if (kind == kWrong) {
        search.search.earlier = {earlier_study(bench, [&](const Config& c) { return other.machine(mirrored(bench.space, c)); })};
      }
      const auto optimizer = fresh();
      search.run(*optimizer, 30);
      // Trials until something was measured that is as good as the best, nearly.
      const auto good = std::find_if(search.history.begin(), search.history.end(), [&](const Trial& t) {
        return bench.truly_meets(search, t.asked) && bench.regret(search, t.asked) < 0.02;
      });
      trials[kind] += static_cast<double>(good - search.history.begin() + 1) / 10.0;
      regret[kind] += bench.regret(search, choice_of(*optimizer, search)) / 10.0;
    }
  }
  EXPECT_LE(trials[kRight], trials[kNone]);
  EXPECT_LE(trials[kWrong], trials[kNone] + 2.0);
  EXPECT_LT(regret[kRight], 0.02);
  EXPECT_LT(regret[kWrong], 0.02);
}

}  // namespace
}  // namespace polythrottle
