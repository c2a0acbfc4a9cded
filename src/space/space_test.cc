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

/// The same candidates under the same ids, and nothing else is found.
void expect_round_trip(const Space& space, const std::string& ranges) {
  EXPECT_EQ(space.ranges(), ranges);
  const auto again = Space::from_ranges(space.parameters(), space.ranges());
  ASSERT_TRUE(again) << again.error().text();
  ASSERT_EQ(again->size(), space.size());
  for (CandidateId id = 0; id < space.size(); ++id) {
    EXPECT_EQ(again->config(id), space.config(id));
    EXPECT_EQ(again->find(space.config(id)), id);
  }
}

TEST(SpaceRanges, ReadBackToTheSameCandidatesUnderTheSameIds) {
  expect_round_trip(Space::product({numbers("a", {1, 2}), numbers("b", {10, 20, 30})}).value(), "all");
  expect_round_trip(Space::product({numbers("min", {1, 2, 3}), numbers("max", {1, 2, 3})},
                                   [](const Config& c) { return *c.number("min") <= *c.number("max"); })
                        .value(),
                    "0-2,4-5,8");
  const std::vector<Parameter> p{numbers("a", {1, 2}), numbers("b", {1, 2, 4})};
  const std::vector<Config> rows{
      {{"a", 2.0}, {"b", 2.0}}, {{"a", 1.0}, {"b", 1.0}}, {{"a", 1.0}, {"b", 2.0}}, {{"b", 4.0}, {"a", 2.0}}, {{"a", 2.0}, {"b", 1.0}}};
  expect_round_trip(Space::list(p, rows).value(), "4,0-1,5,3");
  expect_round_trip(Space::product({}).value(), "all");
}

TEST(SpaceRanges, ACompleteListInAnotherOrderKeepsItsOrder) {
  const std::vector<Config> rows{{{"a", 2.0}}, {{"a", 1.0}}};
  expect_round_trip(Space::list({numbers("a", {1, 2})}, rows).value(), "1,0");
}

TEST(SpaceRanges, AreEmptyWhereTheProductCannotBeNumbered) {
  std::vector<Parameter> many;
  Config row;
  for (int i = 0; i < 64; ++i) {
    many.push_back(numbers("k" + std::to_string(i), {1, 2}));
    row.set("k" + std::to_string(i), 2.0);
  }
  const auto space = Space::list(many, std::vector<Config>{row}).value();
  EXPECT_EQ(space.find(row), CandidateId{0});
  EXPECT_EQ(space.ranges(), "");
  EXPECT_EQ(Space::from_ranges(many, "0").error().code, Errc::kCorrupt);
}

TEST(SpaceRanges, NonsenseIsCorruptAndNeverLarge) {
  const std::vector<Parameter> p{numbers("a", {1, 2}), numbers("b", {1, 2, 4})};
  for (const char* bad : {"",
                          ",",
                          "0,",
                          "6",
                          "0-6",
                          "5-0",
                          "-1",
                          "0-",
                          "-",
                          "+1",
                          " 1",
                          "1 ",
                          "0x1",
                          "1.0",
                          "0-1-2",
                          "ALL",
                          "0,0",
                          "0-3,2",
                          "18446744073709551615",
                          "0-18446744073709551615",
                          "99999999999999999999999"}) {
    const auto space = Space::from_ranges(p, bad);
    ASSERT_FALSE(space) << bad;
    EXPECT_EQ(space.error().code, Errc::kCorrupt) << bad;
    EXPECT_EQ(space.error().text().find('\n'), std::string::npos);
  }
  std::vector<double> levels;
  for (int i = 0; i < 60000; ++i) levels.push_back(i);
  const std::vector<Parameter> large{numbers("a", levels), numbers("b", levels)};
  EXPECT_EQ(Space::from_ranges(large, "all").error().code, Errc::kCorrupt);
  EXPECT_EQ(Space::from_ranges(large, "0-100000").error().code, Errc::kCorrupt);
  EXPECT_EQ(Space::from_ranges(large, "0-99998,99999,100000").error().code, Errc::kCorrupt);
  EXPECT_EQ(Space::from_ranges(large, "3599900001-3599999999,0").value().size(), kMaxCandidates);
  EXPECT_EQ(Space::from_ranges({numbers("a", {1, 1})}, "0").error().code, Errc::kCorrupt);
  EXPECT_EQ(Space::from_ranges(std::vector<Parameter>(kMaxParameters + 1), "0").error().code, Errc::kCorrupt);
}

TEST(Space, FindsEveryRowOfALargeListInAnyOrder) {
  std::vector<double> levels;
  for (int i = 0; i < 400; ++i) levels.push_back(i);
  std::vector<Config> rows;
  for (int i = 0; i < 20000; ++i) {
    const int mixed = i * 7919 % 20000;  // a permutation: 7919 is prime to 20000
    rows.push_back({{"a", static_cast<double>(mixed / 100)}, {"b", static_cast<double>(mixed % 100)}});
  }
  const auto space = Space::list({numbers("a", levels), numbers("b", levels)}, rows).value();
  const Space copy = space;
  for (CandidateId id = 0; id < rows.size(); ++id) ASSERT_EQ(copy.find(rows[id]), id);
  EXPECT_FALSE(copy.find(Config{{"a", 399.0}, {"b", 399.0}}));
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
