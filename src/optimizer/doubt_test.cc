#include "optimizer/doubt.h"

#include <gtest/gtest.h>

#include "optimizer/random_machine.h"
#include "optimizer/space_prior.h"

namespace polythrottle {
namespace {

/// Which of the earlier studies are believed after `looks` settings of a machine; each is of that machine or of its mirror image.
std::set<int> believed(std::uint64_t seed, std::size_t looks, const std::vector<bool>& mirrored) {
  const Space space = clock_space(8, 4);
  RandomMachine machine(space, seed);
  const auto last = static_cast<CandidateId>(space.size() - 1);
  const auto study = [&](std::size_t settings, std::uint64_t step, bool upside_down) {
    SyntheticSearch search(space,
                           [&](const Config& config) { return machine(upside_down ? space.config(last - *space.find(config)) : config); });
    search.add(search.reference);
    for (std::uint64_t i = 1; search.history.size() < settings; ++i)
      search.add(space.config(static_cast<CandidateId>(step * i % space.size())));
    return search;
  };
  SyntheticSearch search = study(looks, 7, false);
  for (std::size_t s = 0; s < mirrored.size(); ++s) {
    search.search.earlier.push_back({"old", space.parameters(), search.reference, study(12, 5 + 2 * s, mirrored[s]).history});
  }
  const Problem problem = search.problem();
  SpacePrior prior(problem);
  std::vector<FieldObservation> observations, earlier;
  for (const auto& [name, output] : {std::pair(std::string(kLatencyMean), 0), std::pair(std::string(kEnergy), 1)}) {
    const ModelledMetric metric{name, modelled(name, {}, search.history, search.reference).value()};
    for (const auto& o : observations_of(metric, output, problem, search.history)) observations.push_back(o);
    for (const auto& o : prior.earlier_observations(name, output)) earlier.push_back(o);
  }
  return studies_that_help({&prior.of(std::string(kLatencyMean)), &prior.of(std::string(kEnergy))}, prior.knobs(), observations, earlier)
      .value();
}

TEST(StudiesThatHelp, AreThoseOfTheSameMachine) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    EXPECT_EQ(believed(seed, 1, {false}), std::set{1}) << seed;
    EXPECT_EQ(believed(seed, 8, {false}), std::set{1}) << seed;
    EXPECT_EQ(believed(seed, 8, {true}), std::set<int>{}) << seed;
  }
}

TEST(StudiesThatHelp, AreToldApart) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    EXPECT_EQ(believed(seed, 8, {false, true}), std::set{1}) << seed;
    EXPECT_EQ(believed(seed, 8, {true, false}), std::set{2}) << seed;
    EXPECT_EQ(believed(seed, 8, {false, false}), (std::set{1, 2})) << seed;
  }
}

TEST(StudiesThatHelp, AreNoneWhereThereAreNone) { EXPECT_TRUE(believed(0, 3, {}).empty()); }

}  // namespace
}  // namespace polythrottle
