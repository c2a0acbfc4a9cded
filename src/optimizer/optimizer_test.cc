#include "optimizer/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace polythrottle {
namespace {

TEST(MakeOptimizer, KnowsEveryDriver) {
  EXPECT_GE(optimizer_drivers().size(), 3U);
  for (const OptimizerDriver* driver : optimizer_drivers()) {
    EXPECT_TRUE(make_optimizer(driver->name)) << driver->name;
    EXPECT_FALSE(driver->summary.empty());
  }
}

TEST(MakeOptimizer, ListsTheNamesWhenItKnowsNone) {
  const auto result = make_optimizer("magic");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kInvalid);
  EXPECT_EQ(result.error().what, "unknown optimizer 'magic'");
  for (const OptimizerDriver* driver : optimizer_drivers())
    EXPECT_THAT(result.error().hint, ::testing::HasSubstr(std::string(driver->name)));
}

TEST(OptimizerDrivers, OnlyTheGridIsExhaustive) {
  for (const OptimizerDriver* driver : optimizer_drivers()) EXPECT_EQ(driver->exhaustive, driver->name == "grid") << driver->name;
}

}  // namespace
}  // namespace polythrottle
