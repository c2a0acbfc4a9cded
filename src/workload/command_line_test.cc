#include "workload/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> words(const std::string& text, const Config& config = {}) {
  const auto line = CommandLine::parse(text);
  if (!line) return {"error: " + line.error().text()};
  const auto out = line->words(config);
  return out ? *out : std::vector<std::string>{"error: " + out.error().text()};
}

TEST(CommandLine, SplitsAtBlanks) { EXPECT_THAT(words("  run \t net.plan\n -v "), ElementsAre("run", "net.plan", "-v")); }

TEST(CommandLine, QuotesAsAShellDoes) {
  EXPECT_THAT(words(R"(sh -c 'a "b" $c; d' "e 'f' \" \\ \n" g\ h '' i"j"'k')"),
              ElementsAre("sh", "-c", "a \"b\" $c; d", "e 'f' \" \\ \\n", "g h", "", "ijk"));
}

TEST(CommandLine, RefusesWhatOnlyAShellUnderstands) {
  for (const char* text : {"a | b", "a && b", "a; b", "a > b", "a < b", "a $b", "a `b`", "(a)"}) {
    const auto line = CommandLine::parse(text);
    ASSERT_FALSE(line.has_value()) << text;
    EXPECT_EQ(line.error().code, Errc::kInvalid);
    EXPECT_THAT(line.error().text(), HasSubstr("sh -c")) << text;
  }
}

TEST(CommandLine, RefusesWhatHasNoEnd) {
  EXPECT_THAT(words(""), ElementsAre(HasSubstr("is empty")));
  EXPECT_THAT(words(" \t"), ElementsAre(HasSubstr("is empty")));
  EXPECT_THAT(words("a 'b"), ElementsAre(HasSubstr("quote ' is not closed")));
  EXPECT_THAT(words("a \"b\\\""), ElementsAre(HasSubstr("quote \" is not closed")));
  EXPECT_THAT(words("a \\"), ElementsAre(HasSubstr("backslash")));
  EXPECT_THAT(words(std::string("a\0b", 3)), ElementsAre(HasSubstr("NUL")));
}

TEST(CommandLine, PutsLevelsWhereTheirNamesStand) {
  const Config config{{"batch", 4.0}, {"size", 0.5}, {"clock_hz", 1300500000.0}, {"precision", std::string("fp16 'fast'")}};
  EXPECT_THAT(words("run --shape=in:{batch}x3 '{batch}{size}' {clock_hz} --{precision}", config),
              ElementsAre("run", "--shape=in:4x3", "40.5", "1300500000", "--fp16 'fast'"));
  EXPECT_THAT(words("run {depth}", config), ElementsAre(HasSubstr("{depth} has no level")));
}

TEST(CommandLine, KeepsOtherBraces) {
  EXPECT_THAT(words(R"(a {} '{"b":{"c":1}}' {{d}} {1x} { } {{d} {e-f} {{{g}}})", {{"d", 1.0}, {"g", 7.0}}),
              ElementsAre("a", "{}", R"({"b":{"c":1}})", "{d}", "{1x}", "{", "}", "{1", "{e-f}", "{{g}}"));
}

TEST(CommandLine, NamesItsKnobsAndItsProgram) {
  const auto line = CommandLine::parse("run-{mode} {batch} x{mode}{{no}}").value();
  EXPECT_THAT(line.names(), ElementsAre("mode", "batch"));
  EXPECT_EQ(line.program(), "");
  EXPECT_EQ(CommandLine::parse("'my run' {batch}").value().program(), "my run");
  EXPECT_THAT(CommandLine::parse("run").value().names(), IsEmpty());
}

}  // namespace
}  // namespace polythrottle
