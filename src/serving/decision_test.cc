#include "serving/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <regex>
#include <set>

namespace polythrottle::serving {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::array kActs{Act::kBatch, Act::kWaitForMore, Act::kDrop, Act::kStep, Act::kHoldStep, Act::kRow};
constexpr std::array kCauses{Cause::kFull,    Cause::kDeadline,    Cause::kWorthNoWait, Cause::kShrunk,        Cause::kRoomForMore,
                             Cause::kExpired, Cause::kHopeless,    Cause::kQueueFull,   Cause::kDraining,      Cause::kSlack,
                             Cause::kGreedy,  Cause::kRisk,        Cause::kAfterBatch,  Cause::kNotCalibrated, Cause::kNeverBeside,
                             Cause::kPaused,  Cause::kBetweenRows, Cause::kRate,        Cause::kLoadRose,      Cause::kJobEnergy,     Cause::kSloAtRisk,
                             Cause::kDrift,   Cause::kHot,         Cause::kRival};

/// With every number there is.
DecisionRecord told(Act act, Cause cause) {
  DecisionRecord record{.number = 4711, .at = Time(12.345), .act = act, .cause = cause, .size = 4, .subject = 17, .queued = 4};
  record.predicted = Seconds(0.171);
  record.bound = Seconds(0.187);
  record.slack = Seconds(0.212);
  if (cause == Cause::kExpired) record.slack = Seconds(-0.012);
  record.risk = cause == Cause::kRisk ? 0.023 : 0.002;
  record.budget = 0.01;
  record.until = Time(12.402);
  record.beside = true;
  record.actual = Seconds(0.169);
  return record;
}

/// With none but those that are always there.
DecisionRecord bare(Act act, Cause cause) {
  return {.number = 4711, .at = Time(0), .act = act, .cause = cause, .size = 1, .subject = act == Act::kRow ? 0u : 17u, .queued = 1};
}

struct Sentence {
  Act act;
  Cause cause;
  const char* told;
  const char* bare;
};

TEST(Decision, ReadsAsOneSentenceForEachActAndCause) {
  const Sentence sentences[] = {
      {Act::kBatch, Cause::kFull,
       "12.345 s: ran 4 requests beside fine-tuning, because this configuration takes no more at once (expected 171 ms, planned for 187 "
       "ms); it took 169 ms.",
       "0.000 s: ran 1 request, because this configuration takes no more at once."},
      {Act::kBatch, Cause::kDeadline,
       "12.345 s: ran 4 requests beside fine-tuning, because the earliest deadline (in 212 ms) allows no longer wait (expected 171 ms, "
       "planned for 187 ms); it took 169 ms.",
       "0.000 s: ran 1 request, because the earliest deadline allows no longer wait."},
      {Act::kBatch, Cause::kWorthNoWait,
       "12.345 s: ran 4 requests beside fine-tuning, because waiting would gain nothing (expected 171 ms, planned for 187 ms); it took 169 "
       "ms.",
       "0.000 s: ran 1 request, because waiting would gain nothing."},
      {Act::kBatch, Cause::kShrunk,
       "12.345 s: ran 4 requests beside fine-tuning, because a larger one would miss the earliest deadline (in 212 ms) (expected 171 ms, "
       "planned for 187 ms); it took 169 ms.",
       "0.000 s: ran 1 request, because a larger one would miss the earliest deadline."},
      {Act::kWaitForMore, Cause::kRoomForMore,
       "12.345 s: let 4 requests wait for a larger batch, because the earliest deadline (in 212 ms) leaves time to wait (expected 171 ms, "
       "planned for 187 ms); looks again by 12.402 s.",
       "0.000 s: let 1 request wait for a larger batch, because the earliest deadline leaves time to wait."},
      {Act::kDrop, Cause::kExpired, "12.345 s: dropped 4 requests, because the deadline was 12 ms ago.",
       "0.000 s: dropped request 17, because its deadline has passed."},
      {Act::kDrop, Cause::kHopeless,
       "12.345 s: dropped 4 requests, because the deadline (in 212 ms) cannot be met even alone and at once (expected 171 ms, planned for "
       "187 ms).",
       "0.000 s: dropped request 17, because its deadline cannot be met even alone and at once."},
      {Act::kDrop, Cause::kQueueFull, "12.345 s: dropped 4 requests, because the queue is full (4 waiting).",
       "0.000 s: dropped request 17, because the queue is full (1 waiting)."},
      {Act::kDrop, Cause::kDraining, "12.345 s: dropped 4 requests, because the server is on its way down.",
       "0.000 s: dropped request 17, because the server is on its way down."},
      {Act::kStep, Cause::kSlack,
       "12.345 s: fine-tuned on 4 items beside a batch, because the risk of a missed deadline, 0.2 %, is within the budget of 1 % "
       "(expected 171 ms, planned for 187 ms); it took 169 ms.",
       "0.000 s: fine-tuned on 1 item, because the risk of a missed deadline is within the budget."},
      {Act::kStep, Cause::kGreedy,
       "12.345 s: fine-tuned on 4 items beside a batch, because this policy always runs fine-tuning at once (expected 171 ms, planned for "
       "187 ms); it took 169 ms.",
       "0.000 s: fine-tuned on 1 item, because this policy always runs fine-tuning at once."},
      {Act::kHoldStep, Cause::kRisk,
       "12.345 s: held fine-tuning back, because the risk of a missed deadline, 2.3 %, would be over the budget of 1 % (expected 171 ms, "
       "planned for 187 ms); looks again by 12.402 s.",
       "0.000 s: held fine-tuning back, because the risk of a missed deadline would be over the budget."},
      {Act::kHoldStep, Cause::kAfterBatch,
       "12.345 s: held fine-tuning back, because a batch runs and gets the device to itself; looks again by 12.402 s.",
       "0.000 s: held fine-tuning back, because a batch runs and gets the device to itself."},
      {Act::kHoldStep, Cause::kNotCalibrated,
       "12.345 s: held fine-tuning back, because no batch beside fine-tuning has been measured yet; looks again by 12.402 s.",
       "0.000 s: held fine-tuning back, because no batch beside fine-tuning has been measured yet."},
      {Act::kHoldStep, Cause::kNeverBeside,
       "12.345 s: held fine-tuning back, because this policy runs no fine-tuning; looks again by 12.402 s.",
       "0.000 s: held fine-tuning back, because this policy runs no fine-tuning."},
      {Act::kHoldStep, Cause::kPaused, "12.345 s: held fine-tuning back, because its owner paused it; looks again by 12.402 s.",
       "0.000 s: held fine-tuning back, because its owner paused it."},
      {Act::kHoldStep, Cause::kBetweenRows,
       "12.345 s: held fine-tuning back, because the configuration is being changed; looks again by 12.402 s.",
       "0.000 s: held fine-tuning back, because the configuration is being changed."},
      {Act::kHoldStep, Cause::kDraining, "12.345 s: held fine-tuning back, because the server is on its way down; looks again by 12.402 s.",
       "0.000 s: held fine-tuning back, because the server is on its way down."},
      {Act::kRow, Cause::kRate,
       "12.345 s: changed to configuration 17, because it serves the present rate for less energy; it took 169 ms.",
       "0.000 s: changed to the reference configuration, because it serves the present rate for less energy."},
      {Act::kRow, Cause::kLoadRose,
       "12.345 s: changed to configuration 17, because the one before does not serve the present rate; it took 169 ms.",
       "0.000 s: changed to the reference configuration, because the one before does not serve the present rate."},
      {Act::kRow, Cause::kJobEnergy,
       "12.345 s: changed to configuration 17, because the pending job ends for less energy there; it took 169 ms.",
       "0.000 s: changed to the reference configuration, because the pending job ends for less energy there."},
      {Act::kRow, Cause::kSloAtRisk,
       "12.345 s: changed to configuration 17, because too many deadlines are missed or at risk; it took 169 ms.",
       "0.000 s: changed to the reference configuration, because too many deadlines are missed or at risk."},
      {Act::kRow, Cause::kDrift,
       "12.345 s: changed to configuration 17, because latency or energy left the band it was measured in; it took 169 ms.",
       "0.000 s: changed to the reference configuration, because latency or energy left the band it was measured in."},
      {Act::kRow, Cause::kHot, "12.345 s: changed to configuration 17, because the device is too hot; it took 169 ms.",
       "0.000 s: changed to the reference configuration, because the device is too hot."},
      {Act::kRow, Cause::kRival, "12.345 s: changed to configuration 17, because another program changed a knob; it took 169 ms.",
       "0.000 s: changed to the reference configuration, because another program changed a knob."},
  };
  std::set<Cause> seen;
  for (const Sentence& expected : sentences) {
    EXPECT_EQ(sentence(told(expected.act, expected.cause)), expected.told);
    EXPECT_EQ(sentence(bare(expected.act, expected.cause)), expected.bare);
    seen.insert(expected.cause);
  }
  EXPECT_EQ(seen.size(), kCauses.size()) << "a cause without its sentence";
}

TEST(Decision, EveryCombinationHasTheFormOfASentence) {
  const std::regex form(R"(\d+\.\d{3} s: [a-z][^\n]* because [a-z][^\n]*[a-z0-9%)]\.)");
  for (Act act : kActs)
    for (Cause cause : kCauses)
      for (const DecisionRecord& record : {told(act, cause), bare(act, cause)}) {
        const std::string text = sentence(record);
        EXPECT_TRUE(std::regex_match(text, form)) << text;
        EXPECT_THAT(text, Not(HasSubstr("  ")));
        EXPECT_THAT(text, Not(HasSubstr("()")));
        EXPECT_THAT(text, Not(HasSubstr("4711"))) << "the record's number says nothing to people";
        EXPECT_EQ(text.find("because"), text.rfind("because")) << text;
      }
}

TEST(Decision, CausesOfOneActAllReadDifferently) {
  for (Act act : kActs) {
    std::set<std::string> all;
    for (Cause cause : kCauses) all.insert(sentence(told(act, cause)));
    EXPECT_EQ(all.size(), kCauses.size()) << to_string(act);
  }
}

TEST(Decision, NumbersThatAreNoneAreLeftOut) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (Act act : kActs)
    for (Cause cause : kCauses)
      for (double nonsense : {nan, infinity, -infinity}) {
        DecisionRecord record = bare(act, cause);
        const std::string without = sentence(record);
        record.predicted = record.bound = record.slack = record.actual = Seconds(nonsense);
        record.until = Time(nonsense);
        record.risk = record.budget = nonsense;
        EXPECT_EQ(sentence(record), without);
      }
}

TEST(Decision, TimesAreReadable) {
  DecisionRecord record = bare(Act::kBatch, Cause::kWorthNoWait);
  const auto took = [&](double seconds) {
    record.actual = Seconds(seconds);
    const std::string text = sentence(record);
    const std::size_t from = text.find("it took ") + 8;
    return text.substr(from, text.size() - from - 1);
  };
  EXPECT_EQ(took(0.0), "0 ms");
  EXPECT_EQ(took(-1e-17), "0 ms");
  EXPECT_EQ(took(0.00042), "0.42 ms");
  EXPECT_EQ(took(0.000994), "0.99 ms");
  EXPECT_EQ(took(0.000996), "1.0 ms");
  EXPECT_EQ(took(0.0042), "4.2 ms");
  EXPECT_EQ(took(0.00996), "10 ms");
  EXPECT_EQ(took(0.2118), "212 ms");
  EXPECT_EQ(took(0.9996), "1.00 s");
  EXPECT_EQ(took(1.254), "1.25 s");
  EXPECT_EQ(took(9.996), "10.0 s");
  EXPECT_EQ(took(99.96), "100 s");
  EXPECT_EQ(took(86400), "86400 s");
}

TEST(Decision, ADeadlineIsAheadNowOrPast) {
  DecisionRecord record = bare(Act::kBatch, Cause::kDeadline);
  record.slack = Seconds(0.0300);
  EXPECT_THAT(sentence(record), HasSubstr("the earliest deadline (in 30 ms) allows"));
  record.slack = Seconds(0);
  EXPECT_THAT(sentence(record), HasSubstr("the earliest deadline (now) allows"));
  record.slack = Seconds(-1.5);
  EXPECT_THAT(sentence(record), HasSubstr("the earliest deadline (1.50 s ago) allows"));
  record = bare(Act::kDrop, Cause::kExpired);
  record.slack = Seconds(0);
  EXPECT_EQ(sentence(record), "0.000 s: dropped request 17, because its deadline was now.");
}

TEST(Decision, SaysHowManyMoreWereWaiting) {
  DecisionRecord record = bare(Act::kBatch, Cause::kFull);
  record.size = 4;
  record.queued = 9;
  EXPECT_EQ(sentence(record), "0.000 s: ran 4 of 9 waiting requests, because this configuration takes no more at once.");
}

TEST(Decision, RiskAndBudgetAreTellable) {
  DecisionRecord record = bare(Act::kHoldStep, Cause::kRisk);
  record.risk = 0.010004;
  record.budget = 0.01;
  EXPECT_THAT(sentence(record), HasSubstr(", 1.0004 %, would be over the budget of 1 %"));
  record.risk = 1.0;
  EXPECT_THAT(sentence(record), HasSubstr(", 100 %, would be over the budget of 1 %"));
  record = bare(Act::kStep, Cause::kSlack);
  record.risk = 1e-9;
  record.budget = 0.01;
  EXPECT_THAT(sentence(record), HasSubstr(", below 0.001 %, is within the budget of 1 %"));
  record.risk = 0.0;
  EXPECT_THAT(sentence(record), HasSubstr(", 0 %, is within"));
  record.risk = 0.01;
  EXPECT_THAT(sentence(record), HasSubstr(", 1 %, is within the budget of 1 %"));
}

TEST(Decision, OneExpectationIfTheBoundIsTheSame) {
  DecisionRecord record = bare(Act::kBatch, Cause::kFull);
  record.predicted = Seconds(0.1711);
  record.bound = Seconds(0.1712);
  EXPECT_THAT(sentence(record), HasSubstr(" (expected 171 ms)."));
  record.predicted.reset();
  EXPECT_THAT(sentence(record), HasSubstr(" (planned for 171 ms)."));
}

TEST(Decision, WordsAreDistinct) {
  std::set<std::string> words;
  for (Act act : kActs) words.insert(to_string(act));
  for (Cause cause : kCauses) words.insert(to_string(cause));
  EXPECT_EQ(words.size(), kActs.size() + kCauses.size());
  EXPECT_THAT(words, Not(testing::Contains("unknown")));
}

}  // namespace
}  // namespace polythrottle::serving
