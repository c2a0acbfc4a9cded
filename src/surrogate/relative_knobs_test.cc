#include "surrogate/relative_knobs.h"

#include <gtest/gtest.h>

#include <cmath>

namespace polythrottle {
namespace {

Parameter knob(std::string name, std::vector<double> levels, Role role, std::string unit = "") {
  return {std::move(name), std::move(unit), role, std::vector<Value>(levels.begin(), levels.end()), ""};
}

Parameter labels(std::string name, std::vector<std::string> names, Role role = Role::kCategory) {
  return {std::move(name), "", role, std::vector<Value>(names.begin(), names.end()), ""};
}

Space product(std::vector<Parameter> parameters) { return Space::product(std::move(parameters)).value(); }

Config last_of(const Space& space) { return space.config(static_cast<CandidateId>(space.size() - 1)); }

/// The only knob's logarithm at each candidate.
std::vector<float> logs_of(const Parameter& parameter, const std::vector<Parameter>& others = {}) {
  std::vector<Parameter> all{parameter};
  all.insert(all.end(), others.begin(), others.end());
  const Space space = product(all);
  const RelativeKnobs knobs(space, last_of(space));
  std::vector<float> out;
  for (Eigen::Index row = 0; row < knobs.rows(); ++row) {
    if (out.empty() || out.back() != knobs.logs(row)[0]) out.push_back(knobs.logs(row)[0]);
  }
  return out;
}

std::vector<float> log_ratios(std::vector<double> values, double anchor) {
  std::vector<float> out;
  for (double v : values) out.push_back(static_cast<float>(std::log(v / anchor)));
  return out;
}

TEST(RelativeKnobs, ValuesAreFactorsOfTheEndThatDoesNotLimit) {
  for (Role role : {Role::kComputeClock, Role::kMemoryClock, Role::kHostClock, Role::kPowerCap, Role::kOther}) {
    EXPECT_EQ(logs_of(knob("k", {2, 5, 8}, role)), log_ratios({2, 5, 8}, 8)) << to_string(role);
  }
  for (Role role : {Role::kBatch, Role::kParallelism}) {
    EXPECT_EQ(logs_of(knob("k", {2, 5, 8}, role)), log_ratios({2, 5, 8}, 2)) << to_string(role);
  }
}

TEST(RelativeKnobs, AFloorIsAFactorOfTheClockThatItHoldsUp) {
  const Parameter floor = knob("floor", {100, 400}, Role::kClockFloor, "MHz");
  EXPECT_EQ(logs_of(floor, {knob("gpu", {200, 800}, Role::kComputeClock, "MHz")}), log_ratios({100, 400}, 800));
  EXPECT_EQ(logs_of(floor, {knob("gpu", {2e8, 8e8}, Role::kComputeClock, "Hz")}), log_ratios({100, 400}, 400));
  EXPECT_EQ(logs_of(floor), log_ratios({100, 400}, 400));
}

TEST(RelativeKnobs, UnitsCancel) {
  const std::vector<double> clocks{306, 612, 1020, 1300}, caps{7, 15, 30};
  std::vector<double> hertz, milliwatts;
  for (double v : clocks) hertz.push_back(1e6 * v);
  for (double v : caps) milliwatts.push_back(1e3 * v);
  const Space one = product({knob("gpu", clocks, Role::kComputeClock, "MHz"), knob("floor", clocks, Role::kClockFloor, "MHz"),
                             knob("cap", caps, Role::kPowerCap, "W")});
  const Space two = product({knob("gpu", hertz, Role::kComputeClock, "Hz"), knob("floor", hertz, Role::kClockFloor, "Hz"),
                             knob("cap", milliwatts, Role::kPowerCap, "mW")});
  const RelativeKnobs a(one, last_of(one)), b(two, last_of(two));
  EXPECT_EQ(a.coordinates(), b.coordinates());
  for (Eigen::Index row = 0; row < a.rows(); ++row) {
    EXPECT_TRUE(std::equal(a.logs(row).begin(), a.logs(row).end(), b.logs(row).begin()));
  }
}

TEST(RelativeKnobs, ACoordinateIsTheMeanOfIndexAndValue) {
  const Space space = product({knob("gpu", {100, 200, 500}, Role::kComputeClock), knob("batch", {1, 2, 16}, Role::kBatch)});
  const RelativeKnobs knobs(space, last_of(space));
  const auto at = [&](double gpu, double batch) { return knobs.coordinates().row(*space.find({{"gpu", gpu}, {"batch", batch}})).eval(); };
  EXPECT_EQ(at(100, 1), Eigen::RowVector2f(0.0F, 0.0F));
  EXPECT_EQ(at(500, 16), Eigen::RowVector2f(1.0F, 1.0F));
  EXPECT_NEAR(at(200, 2)(0), 0.5 * (0.5 + 0.25), 1e-6);
  EXPECT_NEAR(at(200, 2)(1), 0.5 * (0.5 + 0.25), 1e-6);  // a batch by its logarithm: 2 is a quarter of the way to 16
}

TEST(RelativeKnobs, CoordinatesStayBetweenZeroAndOne) {
  const Space space = product({knob("gpu", {1e8, 1.1e8, 5e9}, Role::kComputeClock), knob("batch", {1, 8192}, Role::kBatch),
                               knob("offset", {-20, 0, 35}, Role::kOther), labels("mode", {"low", "high"}, Role::kOther),
                               labels("precision", {"fp32", "fp16", "int8"}), knob("threads", {4}, Role::kParallelism)});
  RelativeKnobs knobs(space, last_of(space));
  const std::vector<Parameter> wider{knob("gpu", {1e6, 9e9}, Role::kComputeClock), knob("batch", {1, 99999}, Role::kBatch)};
  for (double gpu : {1e6, 9e9}) {
    for (double batch : {1.0, 99999.0}) {
      EXPECT_TRUE(knobs.add(wider, {{"gpu", 9e9}, {"batch", 1.0}}, {{"gpu", gpu}, {"batch", batch}}));
    }
  }
  EXPECT_TRUE(knobs.coordinates().allFinite());
  EXPECT_EQ(knobs.coordinates().minCoeff(), 0.0F);
  EXPECT_EQ(knobs.coordinates().maxCoeff(), 1.0F);
  EXPECT_EQ(knobs.coordinates().cols(), 4 + 3);  // a single level has none
}

TEST(RelativeKnobs, LabelsAreEquallyFarFromEachOther) {
  const Space space = product({labels("precision", {"fp32", "fp16", "int8"})});
  const RelativeKnobs knobs(space, last_of(space));
  ASSERT_EQ(knobs.coordinates().cols(), 3);
  for (Eigen::Index row = 0; row < 3; ++row) {
    EXPECT_EQ(knobs.logs(row)[0], static_cast<float>(row));
    for (Eigen::Index column = 0; column < 3; ++column) EXPECT_EQ(knobs.coordinates()(row, column), row == column ? 0.6F : 0.0F);
  }
}

TEST(RelativeKnobs, AReferenceNeedNotBeACandidate) {
  const Space space = product(
      {knob("gpu", {100, 200, 400}, Role::kComputeClock), knob("mem", {1, 2}, Role::kMemoryClock), labels("precision", {"fp32", "fp16"})});
  const auto reference = [&](const Config& config) {
    const RelativeKnobs knobs(space, config);
    return std::vector<float>(knobs.reference_logs().begin(), knobs.reference_logs().end());
  };
  EXPECT_EQ(reference({{"gpu", 300.0}, {"mem", 1.0}, {"precision", "fp32"}}),
            (std::vector<float>{std::log(0.75F), static_cast<float>(std::log(0.5)), 0.0F}));
  EXPECT_EQ(reference({}), (std::vector<float>{0.0F, 0.0F, 1.0F}));
  EXPECT_EQ(reference({{"gpu", -1.0}, {"mem", "fast"}, {"precision", "int4"}}), reference({}));
}

class RelativeKnobsAdd : public ::testing::Test {
 protected:
  RelativeKnobs knobs() const { return {space, reference}; }

  /// Logarithms of the setting of another space once it is added; empty if it was refused.
  std::vector<float> added(const std::vector<Parameter>& parameters, const Config& its_reference, const Config& config) const {
    RelativeKnobs all = knobs();
    const Eigen::Index before = all.rows();
    if (!all.add(parameters, its_reference, config)) {
      EXPECT_EQ(all.rows(), before);
      return {};
    }
    EXPECT_EQ(all.rows(), before + 1);
    EXPECT_EQ(all.coordinates().topRows(before), knobs().coordinates());
    return {all.logs(before).begin(), all.logs(before).end()};
  }

  static float ln(double x) { return static_cast<float>(std::log(x)); }

  const Space space = product({knob("gpu", {100, 200, 400}, Role::kComputeClock), knob("batch", {1, 2, 4}, Role::kBatch),
                               labels("precision", {"fp32", "fp16"}), knob("window", {1, 2}, Role::kOther)});
  const Config reference{{"gpu", 400.0}, {"batch", 2.0}, {"precision", "fp16"}, {"window", 2.0}};
};

TEST_F(RelativeKnobsAdd, ItsOwnSettingsBecomeTheSameRows) {
  RelativeKnobs all = knobs();
  const auto count = static_cast<CandidateId>(space.size());
  for (CandidateId id = 0; id < count; ++id) {
    ASSERT_TRUE(all.add(space.parameters(), reference, space.config(id)));
    EXPECT_EQ(all.coordinates().row(count + id), all.coordinates().row(id));
    EXPECT_TRUE(std::equal(all.logs(id).begin(), all.logs(id).end(), all.logs(count + id).begin()));
  }
}

TEST_F(RelativeKnobsAdd, AKnobIsRelativeToItsOwnRange) {
  const std::vector<Parameter> bigger{knob("gpu", {500, 1000, 2000}, Role::kComputeClock), knob("batch", {4, 16}, Role::kBatch)};
  EXPECT_EQ(added(bigger, {{"gpu", 2000.0}, {"batch", 4.0}}, {{"gpu", 500.0}, {"batch", 16.0}}),
            (std::vector<float>{ln(0.25), ln(4), 1.0F, 0.0F}));
}

TEST_F(RelativeKnobsAdd, KnobsAreMatchedByNameElseByRole) {
  const std::vector<Parameter> renamed{knob("core_clock", {1, 2}, Role::kComputeClock), labels("type", {"fp32", "fp16"})};
  EXPECT_EQ(added(renamed, {{"core_clock", 2.0}, {"type", "fp16"}}, {{"core_clock", 1.0}, {"type", "fp32"}}),
            (std::vector<float>{ln(0.5), ln(2), 0.0F, 0.0F}));
  // Both could be meant by role; the name decides.
  const std::vector<Parameter> two{knob("dla", {1, 2}, Role::kComputeClock), knob("gpu", {1, 4}, Role::kComputeClock)};
  EXPECT_EQ(added(two, {{"dla", 2.0}, {"gpu", 4.0}}, {{"dla", 2.0}, {"gpu", 1.0}}), (std::vector<float>{ln(0.25), ln(2), 1.0F, 0.0F}));
}

TEST_F(RelativeKnobsAdd, RefusesAKnobOffItsReferenceThatIsNotHere) {
  const std::vector<Parameter> with_host{knob("gpu", {1, 2}, Role::kComputeClock), knob("cpu", {1, 2}, Role::kHostClock)};
  EXPECT_FALSE(added(with_host, {{"gpu", 2.0}, {"cpu", 2.0}}, {{"gpu", 1.0}, {"cpu", 2.0}}).empty());
  EXPECT_TRUE(added(with_host, {{"gpu", 2.0}, {"cpu", 2.0}}, {{"gpu", 1.0}, {"cpu", 1.0}}).empty());
  // Two of a role, and neither has the name: which is meant?
  const std::vector<Parameter> two{knob("a", {1, 2}, Role::kComputeClock), knob("b", {1, 2}, Role::kComputeClock)};
  EXPECT_TRUE(added(two, {{"a", 2.0}, {"b", 2.0}}, {{"a", 1.0}, {"b", 2.0}}).empty());
  EXPECT_TRUE(added(two, {{"a", 2.0}, {"b", 2.0}}, {{"a", 2.0}, {"b", 1.0}}).empty());
  // Roles that say nothing match nothing.
  EXPECT_TRUE(added({knob("tile", {1, 2}, Role::kOther)}, {{"tile", 2.0}}, {{"tile", 1.0}}).empty());
  EXPECT_TRUE(added({knob("gpu", {0, 2}, Role::kComputeClock)}, {{"gpu", 2.0}}, {{"gpu", 0.0}}).empty());  // has no logarithm
}

TEST_F(RelativeKnobsAdd, RefusesALabelThatIsUnknownHere) {
  const std::vector<Parameter> more{labels("precision", {"fp16", "fp32", "int8"})};
  EXPECT_EQ(added(more, {{"precision", "fp16"}}, {{"precision", "fp32"}}), (std::vector<float>{0.0F, ln(2), 0.0F, 0.0F}));
  EXPECT_TRUE(added(more, {{"precision", "fp16"}}, {{"precision", "int8"}}).empty());
}

TEST_F(RelativeKnobsAdd, KnobsThatItDoesNotHaveAreAtTheReference) {
  EXPECT_EQ(added({}, {}, {}), (std::vector<float>{0.0F, ln(2), 1.0F, 0.0F}));
}

TEST_F(RelativeKnobsAdd, BetweenLevelsCoordinatesAreInterpolatedAndBeyondThemHeld) {
  const std::vector<Parameter> finer{knob("gpu", {50, 100, 141.4213562373095, 200, 400, 800}, Role::kComputeClock)};
  const auto coordinate = [&](double relative) {
    RelativeKnobs all = knobs();
    EXPECT_TRUE(all.add(finer, {{"gpu", 800.0}}, {{"gpu", 800.0 * relative}}));
    return all.coordinates()(all.rows() - 1, 0);
  };
  const float low = coordinate(0.25), middle = coordinate(0.5);
  EXPECT_EQ(low, 0.0F);
  EXPECT_NEAR(middle, 0.5 * (0.5 + 1.0 / 3.0), 1e-6);
  EXPECT_NEAR(coordinate(std::sqrt(0.125)), 0.5 * (low + middle), 1e-6);  // half-way in the logarithm
  EXPECT_EQ(coordinate(1.0 / 16.0), 0.0F);
  EXPECT_EQ(coordinate(1.0), 1.0F);
}

TEST_F(RelativeKnobsAdd, ItsReferenceMayBeOffItsTable) {
  const std::vector<Parameter> two{knob("gpu", {1, 4}, Role::kComputeClock), knob("cpu", {1, 2}, Role::kHostClock)};
  const Config off_table{{"gpu", 3.0}, {"cpu", 1.5}};
  EXPECT_EQ(added(two, off_table, off_table), (std::vector<float>{ln(0.75), ln(2), 1.0F, 0.0F}));
  EXPECT_TRUE(added(two, off_table, {{"gpu", 3.0}, {"cpu", 2.0}}).empty());
}

}  // namespace
}  // namespace polythrottle
