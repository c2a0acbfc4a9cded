// Does the stated 95 % error of a window hold the true energy in 95 % of windows? Over machines whose true energy is known; too wide is a
// failure too.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ostream>
#include <string>

#include "base/stats.h"
#include "e2e/energy_windows.h"

namespace polythrottle::coverage {

void PrintTo(const MeterRow& row, std::ostream* out) { *out << row.name; }

namespace {

/// Of each of seven lengths: more than 1,000 for each meter. polythrottle-bench coverage counts more.
constexpr std::size_t kWindows = 150;
constexpr double kLeast = 0.93, kMost = 0.97;
/// A count of this few windows may miss the bounds by chance: once in a thousand.
constexpr double kByChance = 1e-3;

class EnergyCoverage : public ::testing::TestWithParam<MeterRow> {};

TEST_P(EnergyCoverage, TheStatedErrorHoldsTheTruthIn95PerCentOfWindows) {
  const MeterRow& row = GetParam();
  ASSERT_TRUE(row.make(0)) << "no such meter: " << row.name;
  const auto counts = count_windows(row, kWindows, 1);
  ASSERT_TRUE(counts) << counts.error().text();
  Count all;
  for (std::size_t i = 0; i < counts->size(); ++i) {
    Count sum;
    for (const auto& [load, count] : (*counts)[i]) sum += count;
    EXPECT_GT(binomial_cdf(sum.inside, sum.windows, kLeast), kByChance) << lengths()[i].text() << ": too narrow, " << sum.share();
    EXPECT_GT(binomial_cdf(sum.windows - sum.inside, sum.windows, 1.0 - kMost), kByChance)
        << lengths()[i].text() << ": too wide, " << sum.share();
    all += sum;
  }
  EXPECT_GE(all.windows, 1000u);
  EXPECT_GE(all.share(), kLeast);
  EXPECT_LE(all.share(), kMost);
  if (HasFailure()) std::puts(table(row.name, *counts).c_str());
}

INSTANTIATE_TEST_SUITE_P(Meters, EnergyCoverage, ::testing::ValuesIn(meter_rows()), [](const auto& instance) {
  std::string name = instance.param.name.substr(0, instance.param.name.find(','));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace polythrottle::coverage
