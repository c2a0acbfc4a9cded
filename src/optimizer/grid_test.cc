#include <gtest/gtest.h>

#include "optimizer/optimizer.h"
#include "optimizer/synthetic_search.h"

namespace polythrottle {
namespace {

TEST(Grid, GoesThroughTheListInOrder) {
  SyntheticSearch search(clock_space(3, 2));
  const auto grid = make_optimizer("grid").value();
  for (CandidateId id = 0; id < 6; ++id) {
    const Advice advice = search.ask(*grid);
    EXPECT_EQ(search.space().find(advice.config), id);
    EXPECT_EQ(advice.reason, "grid point " + std::to_string(id + 1) + " of 6");
    search.add(advice.config);
  }
}

TEST(Grid, FillsTheHoleThatAVoidTrialLeft) {
  SyntheticSearch search(clock_space(3, 1));
  search.add(search.space().config(0), Advice::Kind::kTry, ended(TrialState::kVoid));
  search.add(search.space().config(1));
  EXPECT_EQ(search.ask(*make_optimizer("grid").value()).config, search.space().config(0));
}

}  // namespace
}  // namespace polythrottle
