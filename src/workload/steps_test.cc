// The step protocol: its lines, and a program that speaks it in fake time.
#include "workload/steps.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake_launcher.h"
#include "workload/command.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = StepAnswer::Kind;

TEST(StepProtocol, SaysOneObjectALine) {
  EXPECT_EQ(say_hello(), R"({"polythrottle":1})");
  EXPECT_EQ(say_configure({{"batch", 4.0}, {"mode", std::string("a\"b")}}), R"({"configure":{"batch":4,"mode":"a\"b"}})");
  EXPECT_EQ(say_begin(7, Seconds(1.5)), R"({"begin":7,"seconds":1.5})");
  EXPECT_EQ(say_end(7), R"({"end":7})");
}

TEST(StepProtocol, ReadsAnswers) {
  EXPECT_EQ(parse_step_answer(R"({"polythrottle": 1})")->number, 1);
  EXPECT_EQ(parse_step_answer(R"({"configured": true})")->kind, Kind::kConfigured);
  EXPECT_EQ(parse_step_answer(R"({"refused": "too large"})")->why, "too large");
  EXPECT_EQ(parse_step_answer(R"({"failed": "out of memory"})")->kind, Kind::kFailed);
  const auto batch = parse_step_answer(R"({"latency_seconds": 0.5, "inferences": 4})");
  EXPECT_EQ(batch->kind, Kind::kBatch);
  EXPECT_EQ(batch->inferences, 4.0);
  const auto ended = parse_step_answer(R"({"ended": 7, "inferences": 12, "latencies_seconds": [0.25, 0.5]})");
  EXPECT_EQ(ended->kind, Kind::kEnded);
  EXPECT_EQ(ended->number, 7);
  EXPECT_EQ(ended->inferences, 12.0);
  EXPECT_THAT(ended->latencies, ElementsAre(Seconds(0.25), Seconds(0.5)));
  for (const char* line : {"", "loading", "{}", "{\"ended\": 7", "[1]", R"({"level": "info"})", "\xff{"}) {
    EXPECT_EQ(parse_step_answer(line)->kind, Kind::kNone) << line;
  }
  for (const char* line :
       {R"({"ended": "7"})", R"({"ended": 1.5})", R"({"ended": -1})", R"({"ended": 1e30})", R"({"ended": 7, "inferences": -1})",
        R"({"ended": 7, "latencies_seconds": 3})", R"({"ended": 7, "latencies_seconds": [0]})", R"({"configured": false})",
        R"({"refused": 7})", R"({"latency_seconds": 0})", R"({"polythrottle": "1"})"}) {
    const auto answer = parse_step_answer(line);
    ASSERT_FALSE(answer.has_value()) << line;
    EXPECT_EQ(answer.error().code, Errc::kCorrupt) << line;
  }
  EXPECT_THAT(parse_step_answer('{' + std::string(Process::kLongestLine, ' ')).error().text(), HasSubstr("longer than 64 KiB"));
}

using Lines = std::vector<FakeRun::Line>;

/// Needs 20 s to load; batches of 10 ms.
class StepProgram {
 public:
  enum class Manner { kByItself, kBatches };
  explicit StepProgram(Manner manner) : manner_(manner) {}
  FakeRun run() {
    return {.answer = [this](const std::string& told) { return answer(told); }};
  }
  std::function<std::optional<Lines>(const std::string& told)> instead;  ///< of what it would say

 private:
  Lines answer(const std::string& told) {
    if (instead) {
      if (auto other = instead(told)) return *other;
    }
    if (told.starts_with("{\"polythrottle\"")) return {{Seconds(20), "loaded"}, {Seconds(0), R"({"polythrottle":1})"}};
    if (told.starts_with("{\"configure\"")) return {{Seconds(0.1), R"({"configured":true})"}};
    int number = 0;
    double seconds = 0.0;
    if (std::sscanf(told.c_str(), "{\"begin\":%d,\"seconds\":%lf}", &number, &seconds) == 2) {
      Lines out;
      if (manner_ == Manner::kByItself) {
        std::string latencies;
        const int count = static_cast<int>(seconds / 0.01);
        for (int i = 0; i < count; ++i) latencies += i > 0 ? ",0.01" : "0.01";
        out.push_back({Seconds(seconds), fmt::format(R"({{"ended":{},"latencies_seconds":[{}]}})", number, latencies)});
      } else {
        // As many as fit before it could be told anything: a fake cannot be interrupted.
        for (int i = 0; i < 100; ++i) out.push_back({Seconds(0.01), R"({"latency_seconds":0.01})"});
      }
      return out;
    }
    if (manner_ == Manner::kBatches && std::sscanf(told.c_str(), "{\"end\":%d}", &number) == 1) {
      return {{Seconds(0), fmt::format(R"({{"ended":{}}})", number)}};
    }
    return {};
  }
  Manner manner_;
};

class Steps : public ::testing::Test {
 protected:
  void make(StepProgram& program, const std::string& command = "run", CommandOptions options = {}) {
    options.line = CommandLine::parse(command).value();
    options.parameters = {{"batch", "", Role::kBatch, {1.0, 4.0}, ""}};
    options.reading = reading_of("steps").value();
    options.longest_warm_up = Seconds(0.5);
    work.reset();
    launcher = std::make_unique<FakeLauncher>(clock, [&program](const Program&) { return program.run(); });
    work = command_workload(clock, *launcher, std::move(options));
  }
  Result<Work> trial(double batch = 4.0, Budget budget = {.at_least = Seconds(1), .at_most = Seconds(20), .samples = 30}) {
    TRY_STATUS(work->configure({{"batch", batch}, {"cpu_hz", 2e9}}));
    TRY_STATUS(work->warm_up({}));
    auto did = work->run(budget, {});
    work->finish();
    return did;
  }
  std::string failure() {
    const auto did = trial();
    EXPECT_FALSE(did.has_value());
    work->finish();
    return did ? std::string() : did.error().text();
  }

  FakeClock clock;
  std::unique_ptr<FakeLauncher> launcher;
  std::unique_ptr<Workload> work;
};

TEST_F(Steps, LoadsOnceForAllTrials) {
  StepProgram program(StepProgram::Manner::kByItself);
  make(program);
  for (const double batch : {1.0, 4.0, 4.0}) {
    const auto did = trial(batch);
    ASSERT_TRUE(did.has_value()) << did.error().text();
    EXPECT_EQ(did->inferences, static_cast<std::size_t>(100 * batch));
    EXPECT_EQ(did->completions.size(), 100u);
    ASSERT_EQ(did->counted.size(), 1u);
    EXPECT_NEAR((did->counted[0].ended - did->counted[0].began).count(), 1.0, 1e-9);
    EXPECT_EQ(launcher->running, 1);  // it stays
  }
  EXPECT_EQ(launcher->started.size(), 1u);
  EXPECT_EQ(launcher->started[0].environment.count("POLYTHROTTLE_BATCH"), 0u);
  EXPECT_NEAR(clock.now().time_since_epoch().count(), 20.0 + 3 * (0.1 + 0.5 + 1.0), 1e-6);
  EXPECT_THAT(std::vector<std::string>(launcher->said.begin(), launcher->said.begin() + 4),
              ElementsAre(say_hello(), R"({"configure":{"batch":1,"cpu_hz":2000000000}})", R"({"begin":1,"seconds":0.5})",
                          R"({"begin":2,"seconds":1.0})"));
  work->close();
  EXPECT_EQ(launcher->running, 0);
}

TEST_F(Steps, IsToldWhenAWindowEnds) {
  StepProgram program(StepProgram::Manner::kBatches);
  make(program);
  const auto did = trial(4.0, {.at_least = Seconds(0.5), .at_most = Seconds(20), .samples = 30});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(launcher->said.back(), R"({"end":2})");
  EXPECT_EQ(did->completions.size(), 100u);  // those printed before it read that it is over count too
  EXPECT_EQ(did->inferences, 400u);
}

TEST_F(Steps, BeginsAnotherWindowWhereOneIsNotEnough) {
  StepProgram program(StepProgram::Manner::kByItself);
  make(program);
  const auto did = trial(1.0, {.at_least = Seconds(1), .at_most = Seconds(20), .samples = 250});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(did->counted.size(), 3u);
  EXPECT_EQ(did->completions.size(), 300u);
}

TEST_F(Steps, StartsAnewWhereItsWordsChange) {
  StepProgram program(StepProgram::Manner::kByItself);
  make(program, "run {batch}");
  ASSERT_TRUE(trial(1.0).has_value());
  ASSERT_TRUE(trial(1.0).has_value());
  ASSERT_TRUE(trial(4.0).has_value());
  EXPECT_EQ(launcher->started.size(), 2u);
  EXPECT_EQ(launcher->running, 1);
}

TEST_F(Steps, EndsEarlyWhenTheLimitIsCertainlyBroken) {
  StepProgram program(StepProgram::Manner::kBatches);
  make(program);
  const auto did = trial(1.0, {.at_least = Seconds(2), .at_most = Seconds(20), .samples = 30, .limit = Seconds(0.005)});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_TRUE(did->cut_short);
}

TEST_F(Steps, ARefusalLeavesItRunning) {
  StepProgram program(StepProgram::Manner::kByItself);
  program.instead = [](const std::string& told) -> std::optional<Lines> {
    if (told.find("\"batch\":4") != std::string::npos) return Lines{{Seconds(0), R"({"refused":"4 does not fit"})"}};
    return std::nullopt;
  };
  make(program);
  ASSERT_TRUE(trial(1.0).has_value());
  const auto refused = trial(4.0);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_EQ(refused.error().what, "the command refuses this setting: 4 does not fit");
  work->finish();
  ASSERT_TRUE(trial(1.0).has_value());
  EXPECT_EQ(launcher->started.size(), 1u);
}

TEST_F(Steps, WhateverGoesWrongEndsTheTrialAndTheProgram) {
  const auto error = [&](const std::string& when, Lines instead, CommandOptions options = {}, int left = 0) {
    StepProgram program(StepProgram::Manner::kByItself);
    program.instead = [&](const std::string& told) { return told.starts_with("{\"" + when) ? std::optional(instead) : std::nullopt; };
    make(program, "run", std::move(options));
    const std::string text = failure();
    EXPECT_EQ(launcher->running, left) << text;
    return text;
  };
  EXPECT_THAT(error("polythrottle", {{Seconds(1), "loading"}}),
              HasSubstr("was to be ready and did not answer for 30 s; it printed: loading; it must"));
  EXPECT_THAT(error("polythrottle", {{Seconds(1), R"({"polythrottle":2})"}}), HasSubstr("speaks version 2 of the step protocol"));
  EXPECT_THAT(error("configure", {}), HasSubstr("was to be configured and did not answer"));
  EXPECT_THAT(error("configure", {{Seconds(0), R"({"ended":1})"}}),
              HasSubstr("was to be configured and answered something else: {\"ended\":1}"));
  EXPECT_THAT(error("begin", {}), HasSubstr("did not end window 1"));
  EXPECT_THAT(error("begin", {{Seconds(0), R"({"ended":5})"}}), HasSubstr("answered something else in window 1: {\"ended\":5}"));
  EXPECT_THAT(error("begin", {{Seconds(0), R"({"ended":true})"}}), HasSubstr("answers ended true"));
  // These are at rest, and may stay.
  EXPECT_THAT(error("begin\":2", {{Seconds(1), R"({"ended":2})"}}, {}, 1), HasSubstr("did nothing in window 2"));
  EXPECT_THAT(error("begin\":2", {{Seconds(1), R"({"ended":2,"inferences":9})"}}, {.wanted = {std::string(kLatencyP95)}}, 1),
              HasSubstr("told no latency in window 2"));
}

TEST_F(Steps, OneThatDiesIsStartedAnewForTheNextTrial) {
  FakeRun dies{.lines = {{Seconds(0), "out of luck"}}, .exit = Exit{.code = 9}};
  StepProgram program(StepProgram::Manner::kByItself);
  make(program);
  launcher = nullptr;
  work.reset();
  int starts = 0;
  launcher = std::make_unique<FakeLauncher>(clock, [&](const Program&) { return ++starts == 1 ? dies : program.run(); });
  CommandOptions options{.line = CommandLine::parse("run").value(), .reading = reading_of("steps").value()};
  work = command_workload(clock, *launcher, std::move(options));
  EXPECT_FALSE(trial().has_value());
  work->finish();
  const auto did = trial();
  EXPECT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(starts, 2);
}

}  // namespace
}  // namespace polythrottle
