#include "trial/search_limits.h"

#include <gtest/gtest.h>

namespace polythrottle {
namespace {

template <class Parsed>
void expect_refused(const Parsed& parsed, const char* text) {
  ASSERT_FALSE(parsed) << text;
  EXPECT_EQ(parsed.error().code, Errc::kInvalid) << text;
  EXPECT_FALSE(parsed.error().hint.empty()) << text;
  EXPECT_EQ(parsed.error().text().find('\n'), std::string::npos) << text;
}

TEST(ParseMinGain, TakesPercentAndRatio) {
  EXPECT_DOUBLE_EQ(parse_min_gain("0.4%").value(), 0.004);
  EXPECT_DOUBLE_EQ(parse_min_gain("0.004").value(), 0.004);
  EXPECT_DOUBLE_EQ(parse_min_gain("40%").value(), 0.4);
  EXPECT_DOUBLE_EQ(parse_min_gain("0").value(), 0.0);
  EXPECT_DOUBLE_EQ(parse_min_gain("0%").value(), 0.0);
}

TEST(ParseMinGain, RefusesWhatCannotBeMeant) {
  for (const char* bad : {"", "%", "-0.4%", "-0", "nan", "nan%", "inf", "1e999", "0.4 %", "0.4%%", "0.4x", "100%", "1e300%", "half"}) {
    expect_refused(parse_min_gain(bad), bad);
  }
}

TEST(ParseMinGain, AsksBackWhereARatioLooksLikeAPercentage) {
  expect_refused(parse_min_gain("0.4"), "0.4");
  EXPECT_EQ(parse_min_gain("0.4").error().what, "'0.4' would be 40 %");
  expect_refused(parse_min_gain("1"), "1");
}

TEST(ParseEnergyError, IsWrittenAsAGainIs) {
  EXPECT_DOUBLE_EQ(parse_energy_error("1%").value(), 0.01);
  EXPECT_DOUBLE_EQ(parse_energy_error("0.02").value(), 0.02);
  EXPECT_DOUBLE_EQ(parse_energy_error("0").value(), 0.0);
  for (const char* bad : {"", "-1%", "1", "nan", "100%", "a little"}) expect_refused(parse_energy_error(bad), bad);
}

TEST(ParseHorizon, TakesACountOrATimeAtARate) {
  EXPECT_DOUBLE_EQ(parse_horizon("1e6").value(), 1e6);
  EXPECT_DOUBLE_EQ(parse_horizon("1d@8/s").value(), 691200.0);
  EXPECT_DOUBLE_EQ(parse_horizon("90s@0.5/s").value(), 45.0);
  EXPECT_DOUBLE_EQ(parse_horizon("2m@1/s").value(), 120.0);
  EXPECT_DOUBLE_EQ(parse_horizon("1.5h@10/s").value(), 54000.0);
  EXPECT_DOUBLE_EQ(parse_horizon("2w@1/s").value(), 1209600.0);
}

TEST(ParseHorizon, RefusesNonsenseWithWhatToWrite) {
  for (const char* bad :
       {"",        "@",      "1d",      "1d@",     "1d@8", "1d@8/m", "@8/s",     "1y@8/s",   "d@8/s", "1 d@8/s",        "1d@8/s ",
        "1d@@8/s", "-1",     "-1d@8/s", "1d@-8/s", "nan",  "inf",    "nand@1/s", "1d@inf/s", "1e999", "1e308w@1e308/s", "0",
        "0.5",     "0d@8/s", "1d@0/s",  "1e6x"}) {
    expect_refused(parse_horizon(bad), bad);
  }
}

}  // namespace
}  // namespace polythrottle
