#include "job/step_message.h"

#include <gtest/gtest.h>

namespace polythrottle::job {
namespace {

template <class T>
T parsed(std::string_view line) {
  auto message = parse_step_message(line);
  EXPECT_TRUE(message) << line << ": " << message.error().text();
  EXPECT_TRUE(message && std::holds_alternative<T>(*message)) << line;
  return message && std::holds_alternative<T>(*message) ? std::get<T>(*message) : T{};
}

TEST(StepMessage, SaysWhatAStepIs) {
  const auto hello = parsed<StepHello>(
      R"({"protocol":1,"items":32,"pieces":[32,16,8],"steps":100,"macs":1e9,"weights":1e6,"activations":2e6,"kernels":90,"new":[]})");
  EXPECT_EQ(hello.items, 32);
  EXPECT_EQ(hello.pieces, (std::vector<int>{32, 16, 8}));
  EXPECT_EQ(hello.steps, 100);
  ASSERT_TRUE(hello.cost);
  EXPECT_EQ(hello.cost->macs, 1e9);
  EXPECT_EQ(hello.cost->kernels, 90);
  const auto least = parsed<StepHello>(R"({"protocol":1,"items":7})");
  EXPECT_EQ(least.pieces, (std::vector<int>{7}));
  EXPECT_FALSE(least.steps);
  EXPECT_FALSE(least.cost);
}

TEST(StepMessage, WantsAndHasDone) {
  EXPECT_EQ(parsed<StepWant>(R"( {"want": 32} )").items, 32);
  EXPECT_EQ(parsed<StepDone>(R"({"done":16,"seconds":0.12})").items, 16);
  parsed<StepEnd>(R"({"end":true})");
}

TEST(StepMessage, IsRefusedWithWhatIsWrong) {
  const std::pair<std::string, const char*> wrong[] = {
      {"", "JSON object"},
      {"Epoch 1/3", "JSON object"},
      {"[1]", "JSON object"},
      {"{}", "none of"},
      {R"({"want":0})", "whole number"},
      {R"({"want":1.5})", "whole number"},
      {R"({"want":"1"})", "whole number"},
      {R"({"done":18446744073709551615})", "whole number"},
      {R"({"done":-9223372036854775808})", "whole number"},
      {R"({"protocol":1})", "\"items\" is missing"},
      {R"({"protocol":"1","items":1})", "\"protocol\""},
      {R"({"protocol":1,"items":32,"pieces":[]})", "\"pieces\""},
      {R"({"protocol":1,"items":32,"pieces":[16,8]})", "\"pieces\""},
      {R"({"protocol":1,"items":32,"pieces":[32,12]})", "\"pieces\""},
      {R"({"protocol":1,"items":12,"pieces":[12,6,4]})", "\"pieces\""},
      {R"({"protocol":1,"items":32,"pieces":[32,32]})", "\"pieces\""},
      {R"({"protocol":1,"items":32,"pieces":[32,0]})", "\"pieces\""},
      {R"({"protocol":1,"items":32,"steps":0})", "\"steps\""},
      {R"({"protocol":1,"items":32,"macs":1})", "all or none"},
      {R"({"protocol":1,"items":32,"macs":-1,"weights":1,"activations":1,"kernels":1})", "\"macs\""},
      {std::string(kLongestStepLine + 1, ' '), "at most"},
  };
  for (const auto& [line, words] : wrong) {
    const auto message = parse_step_message(line);
    ASSERT_FALSE(message) << line;
    EXPECT_EQ(message.error().code, Errc::kCorrupt) << line;
    EXPECT_NE(message.error().what.find(words), std::string::npos) << message.error().text();
  }
}

TEST(StepMessage, OfAnotherVersionIsUnsupported) {
  const auto message = parse_step_message(R"({"protocol":2,"items":"a lot"})");
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, Errc::kUnsupported);
}

TEST(StepMessage, QuotesGarbageOnOnePrintableLine) {
  const auto message = parse_step_message("\x1b[31m\r" + std::string(200, 'x'));
  ASSERT_FALSE(message);
  for (const char c : message.error().what) EXPECT_GE(c, ' ');
  EXPECT_LT(message.error().what.size(), 200u);
}

TEST(StepMessage, ToTheJobIsOneLine) {
  EXPECT_EQ(step_permit(16), "{\"run\":16}\n");
  EXPECT_EQ(step_refusal("a\n\xff"), "{\"error\":\"a\\n\xef\xbf\xbd\"}\n");
}

}  // namespace
}  // namespace polythrottle::job
