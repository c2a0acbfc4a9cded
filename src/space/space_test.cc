#include "space/space.h"

#include <gtest/gtest.h>

namespace polythrottle {
namespace {

Parameter numbers(std::string name, std::vector<double> levels) {
  Parameter p{.name = std::move(name), .levels = {}};
  for (double v : levels) p.levels.emplace_back(v);
  return p;
}

TEST(Config, ComparesWithoutRegardToOrder) {
  EXPECT_EQ((Config{{"a", 1.0}, {"b", std::string("x")}}), (Config{{"b", std::string("x")}, {"a", 1.0}}));
  EXPECT_FALSE((Config{{"a", 1.0}}) == (Config{{"a", 2.0}}));
  EXPECT_FALSE((Config{{"a", 1.0}}) == (Config{{"a", 1.0}, {"b", 1.0}}));
  EXPECT_EQ((Config{{"gpu_max_hz", 1300500000.0}, {"ratio", 0.75}}).text(), "gpu_max_hz=1300500000 ratio=0.75");
}

TEST(Space, ProductRunsThroughEveryCombinationFirstParameterSlowest) {
  const auto space = Space::product({numbers("a", {1, 2}), numbers("b", {10, 20, 30})}).value();
  ASSERT_EQ(space.size(), 6U);
  EXPECT_EQ(space.config(0).text(), "a=1 b=10");
  EXPECT_EQ(space.config(5).text(), "a=2 b=30");
  for (CandidateId id = 0; id < 6; ++id) EXPECT_EQ(space.find(space.config(id)), id);
  EXPECT_FALSE(space.find(Config{{"a", 1.0}, {"b", 11.0}}));
  EXPECT_FALSE(space.find(Config{{"a", 1.0}}));
}

TEST(Space, CouplingLeavesOutWhatIsNotAllowed) {
  std::vector<double> levels;
  for (int i = 0; i < 13; ++i) levels.push_back(100.0 + i);
  const auto space = Space::product({numbers("min", levels), numbers("max", levels)}, [](const Config& c) {
                       return *c.number("min") <= *c.number("max");
                     }).value();
  EXPECT_EQ(space.size(), 91U);  // the paper's 13 GPU levels: 13 * 14 / 2 pairs
}

TEST(Space, ThinsAboveTheLimitAndKeepsEndsAndReference) {
  std::vector<double> levels;
  for (int i = 0; i < 400; ++i) levels.push_back(i);
  const Config keep{{"a", 201.0}, {"b", 77.0}};
  const auto space = Space::product({numbers("a", levels), numbers("b", levels)}, {}, keep).value();
  EXPECT_LE(space.size(), kMaxCandidates);
  EXPECT_FALSE(space.thinned().empty());
  EXPECT_TRUE(space.find(keep));
  EXPECT_TRUE(space.find(Config{{"a", 0.0}, {"b", 399.0}}));
}

TEST(Space, CountsOnlyWhatIsAllowedAgainstTheLimit) {
  std::vector<double> levels;
  for (int i = 0; i < 400; ++i) levels.push_back(i);
  const auto space = Space::product({numbers("min", levels), numbers("max", levels)}, [](const Config& c) {
                       return *c.number("min") <= *c.number("max");
                     }).value();
  EXPECT_EQ(space.size(), 400U * 401U / 2);  // of 160,000
  EXPECT_TRUE(space.thinned().empty());
}

TEST(Space, ListIsKeptInOrderAndRefusesRepeatsAndStrangers) {
  const std::vector<Parameter> p{numbers("a", {1, 2}), numbers("b", {1, 2})};
  const std::vector<Config> rows{{{"a", 2.0}, {"b", 1.0}}, {{"a", 1.0}, {"b", 1.0}}};
  EXPECT_EQ(Space::list(p, rows).value().config(0).text(), "a=2 b=1");
  EXPECT_EQ(Space::list(p, std::vector<Config>{rows[0], rows[0]}).error().code, Errc::kInvalid);
  EXPECT_EQ(Space::list(p, std::vector<Config>{{{"a", 3.0}, {"b", 1.0}}}).error().code, Errc::kInvalid);
  EXPECT_EQ(Space::list(p, std::vector<Config>{{{"a", 1.0}}}).error().code, Errc::kInvalid);
  EXPECT_EQ(Space::list(p, {}).error().code, Errc::kOutOfRange);
}

TEST(Space, RefusesParametersThatMakeNoSense) {
  EXPECT_EQ(Space::product({numbers("a", {})}).error().code, Errc::kInvalid);
  EXPECT_EQ(Space::product({numbers("a", {1, 1})}).error().code, Errc::kInvalid);
  EXPECT_EQ(Space::product({numbers("a", {1}), numbers("a", {2})}).error().code, Errc::kInvalid);
  EXPECT_EQ(Space::product({numbers("a", {1})}, [](const Config&) { return false; }).error().code, Errc::kOutOfRange);
}

TEST(Encode, MapsLevelsIntoTheUnitCubeByIndexValueAndLogarithm) {
  const auto space = Space::product({numbers("batch", {1, 2, 16})}).value();
  EXPECT_EQ(encode(space, Encoding::kIndex), (std::vector<double>{0.0, 0.5, 1.0}));
  EXPECT_NEAR(encode(space, Encoding::kValue)[1], 1.0 / 15.0, 1e-12);
  EXPECT_NEAR(encode(space, Encoding::kLog)[1], 0.25, 1e-12);
}

TEST(Encode, GivesOneColumnPerLabelOfACategory) {
  Parameter precision{.name = "precision", .role = Role::kCategory, .levels = {std::string("fp16"), std::string("fp32")}};
  const auto space = Space::product({precision, numbers("one", {7})}).value();
  EXPECT_EQ(encoded_dimension(space), 3U);
  EXPECT_EQ(encode(space, Encoding::kIndex), (std::vector<double>{1, 0, 0, 0, 1, 0}));
}

}  // namespace
}  // namespace polythrottle
