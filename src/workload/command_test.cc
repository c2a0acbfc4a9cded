#include "workload/command.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake_launcher.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Exit kCode7{.code = 7}, kCode0{.code = 0}, kCode3{.code = kExitNotSupported}, kSegfault{.signal = 11};

/// A program that takes 10 ms for each of its batches.
FakeRun steady(std::string report = R"({"latency_seconds": 0.01})") { return {.again = FakeRun::Line{Seconds(0.01), std::move(report)}}; }

Budget budget(double at_least, double at_most, std::size_t samples) {
  return {.at_least = Seconds(at_least), .at_most = Seconds(at_most), .samples = samples};
}

class CommandWork : public ::testing::Test {
 protected:
  void make(const std::string& command, FakeRun behaviour, CommandOptions options = {}) {
    options.line = CommandLine::parse(command).value();
    options.parameters = {{"batch", "", Role::kBatch, {1.0, 4.0}, ""},
                          {"mode", "", Role::kCategory, {std::string("a"), std::string("b")}, ""}};
    work.reset();  // before the launcher of its programs
    launcher = std::make_unique<FakeLauncher>(clock, [behaviour](const Program&) { return behaviour; });
    work = command_workload(clock, *launcher, std::move(options));
  }
  static Config setting(double batch = 4.0) { return {{"batch", batch}, {"mode", std::string("b")}, {"cpu_hz", 2e9}}; }
  Status warm(double batch = 4.0) {
    TRY_STATUS(work->configure(setting(batch)));
    return work->warm_up({});
  }
  double seconds() const { return clock.now().time_since_epoch().count(); }

  FakeClock clock;
  std::unique_ptr<FakeLauncher> launcher;
  std::unique_ptr<Workload> work;
};

TEST_F(CommandWork, CountsTheBatchesOfTheWindow) {
  make("run", steady(R"({"latency_seconds": 0.01, "inferences": 5, "other": [1, {}]})"));
  ASSERT_TRUE(warm().has_value());
  const auto did = work->run(budget(1, 20, 30), {});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(did->completions.size(), 100u);
  EXPECT_EQ(did->inferences, 500u);
  EXPECT_NEAR((did->ended - did->began).count(), 1.0, 1e-9);
  EXPECT_EQ(did->completions.front().latency, Seconds(0.01));
  EXPECT_NEAR((did->completions.front().at - did->began).count(), 0.01, 1e-9);
  EXPECT_THAT(did->notes, IsEmpty());
  EXPECT_FALSE(did->cut_short);
}

TEST_F(CommandWork, TakesTheLevelOfBatchWhereTheReportIsSilent) {
  make("run", steady());
  ASSERT_TRUE(warm(4.0).has_value());
  EXPECT_EQ(work->run(budget(0.1, 1, 1), {})->inferences, 40u);
  ASSERT_TRUE(warm(1.0).has_value());
  EXPECT_EQ(work->run(budget(0.1, 1, 1), {})->inferences, 10u);
}

TEST_F(CommandWork, TellsTheProgramItsSetting) {
  make("run --n={batch} {cpu_hz}", steady());
  ASSERT_TRUE(warm().has_value());
  ASSERT_EQ(launcher->started.size(), 1u);
  EXPECT_THAT(launcher->started[0].words, ElementsAre("run", "--n=4", "2000000000"));
  EXPECT_THAT(launcher->started[0].environment,
              ElementsAre(std::pair("POLYTHROTTLE_BATCH", "4"), std::pair("POLYTHROTTLE_CPU_HZ", "2000000000"),
                          std::pair("POLYTHROTTLE_MODE", "b"), std::pair("POLYTHROTTLE_WINDOW_SECONDS", "1")));
}

TEST_F(CommandWork, StartsAnewForEachTrialAndEndsWithIt) {
  make("run", steady());
  EXPECT_EQ(work->configure({{"batch", 3.0}, {"mode", std::string("b")}}).error().code, Errc::kOutOfRange);
  EXPECT_EQ(work->configure({{"batch", 4.0}}).error().code, Errc::kOutOfRange);
  EXPECT_EQ(work->warm_up({}).error().code, Errc::kInvalid);
  EXPECT_EQ(work->run(budget(1, 1, 1), {}).error().code, Errc::kInvalid);
  for (std::size_t trial = 1; trial <= 3; ++trial) {
    ASSERT_TRUE(warm().has_value());
    EXPECT_EQ(launcher->running, 1);
    ASSERT_TRUE(work->run(budget(0.1, 1, 1), {}).has_value());
    EXPECT_EQ(launcher->running, 1);  // the window is still open
    work->finish();
    EXPECT_EQ(launcher->running, 0);
    EXPECT_EQ(launcher->started.size(), trial);
  }
  ASSERT_TRUE(warm().has_value());
  work.reset();
  EXPECT_EQ(launcher->running, 0);
}

TEST_F(CommandWork, WarmsUpUntilLatencyIsSteady) {
  FakeRun run = steady();
  run.lines = {{Seconds(3), "loading"}, {Seconds(4), R"({"latency_seconds": 0.5})"}};  // loading a network is not warm-up
  make("run", run);
  ASSERT_TRUE(warm().has_value());
  EXPECT_NEAR(seconds(), 7.0 + 0.2, 0.0101);
  EXPECT_THAT(work->run(budget(0.1, 1, 1), {})->notes, IsEmpty());
}

TEST_F(CommandWork, SaysThatLatencyWasNotSteady) {
  FakeRun run;
  for (double latency = 1e-5; run.lines.size() < 600; latency *= 1.02) {
    run.lines.push_back({Seconds(0.01), fmt::format(R"({{"latency_seconds": {}}})", latency)});
  }
  make("run", run);
  ASSERT_TRUE(warm().has_value());
  EXPECT_NEAR(seconds(), 5.01, 0.011);
  EXPECT_THAT(work->run(budget(0.1, 1, 1), {})->notes, ElementsAre(HasSubstr("not steady after 5 s")));

  make("run", run, {.longest_warm_up = Seconds(0)});
  const double before = seconds();
  ASSERT_TRUE(warm().has_value());
  EXPECT_NEAR(seconds() - before, 0.01, 1e-9);
  EXPECT_THAT(work->run(budget(0.1, 1, 1), {})->notes, IsEmpty());
}

TEST_F(CommandWork, DropsBatchesThatEndedBeforeTheWindow) {
  make("run", steady());
  ASSERT_TRUE(warm().has_value());
  clock.advance(Seconds(0.5));
  const auto did = work->run(budget(1, 20, 30), {});
  ASSERT_TRUE(did.has_value());
  EXPECT_GE(did->completions.front().at, did->began);
  EXPECT_NEAR(static_cast<double>(did->completions.size()), 100.0, 1.0);
}

TEST_F(CommandWork, GoesOnUntilTheSampleIsThereAndNoLonger) {
  make("run", steady());
  ASSERT_TRUE(warm().has_value());
  EXPECT_EQ(work->run(budget(0.1, 20, 300), {})->completions.size(), 300u);
  ASSERT_TRUE(warm().has_value());
  EXPECT_NEAR(static_cast<double>(work->run(budget(0.1, 2, 300), {})->completions.size()), 200.0, 1.0);
}

TEST_F(CommandWork, GoesOnUntilThereIsEnough) {
  make("run", steady());
  ASSERT_TRUE(warm().has_value());
  Budget more = budget(0.1, 20, 10);
  more.enough = [](const Work& done) { return done.completions.size() >= 500; };
  EXPECT_EQ(work->run(more, {})->completions.size(), 500u);
  more.enough = [](const Work&) { return false; };
  more.at_most = Seconds(2);
  ASSERT_TRUE(warm().has_value());
  EXPECT_NEAR(static_cast<double>(work->run(more, {})->completions.size()), 200.0, 1.0);
}

TEST_F(CommandWork, HasVariablesOfItsOwn) {
  CommandOptions options;
  options.environment.emplace("SIZE", CommandLine::one_word("{batch} x 'a' for {window.milliseconds}").value());
  options.window = Seconds(2.5);
  make("run -t {window.seconds} {{window.seconds}}", steady(), options);
  ASSERT_TRUE(warm().has_value());
  EXPECT_THAT(launcher->started[0].words, ElementsAre("run", "-t", "2.5", "{window.seconds}"));
  EXPECT_EQ(launcher->started[0].environment.at("SIZE"), "4 x 'a' for 2500");
}

TEST_F(CommandWork, KeepsWhatItPrintedUntilThatIsAskedFor) {
  make("run {batch}", {.lines = {{Seconds(0), "loading"}}, .exit = kCode7});
  EXPECT_FALSE(warm().has_value());
  work->finish();
  EXPECT_EQ(work->take_printed(), "[polythrottle: started: run 4]\nloading\n[polythrottle: exit code 7]\n");
  EXPECT_EQ(work->take_printed(), "");
}

TEST_F(CommandWork, WaitsForTheBatchUnderWay) {
  make("run", {.again = FakeRun::Line{Seconds(7), R"({"latency_seconds": 7})"}});
  ASSERT_TRUE(warm().has_value());
  const auto did = work->run(budget(1, 2, 30), {});
  ASSERT_TRUE(did.has_value());
  EXPECT_EQ(did->completions.size(), 1u);
  EXPECT_NEAR((did->ended - did->began).count(), 7.0, 1e-9);
}

TEST_F(CommandWork, EndsEarlyWhenTheLimitIsCertainlyBroken) {
  make("run", steady());
  ASSERT_TRUE(warm().has_value());
  Budget limited = budget(1, 20, 30);
  limited.limit = Seconds(0.005);
  const auto did = work->run(limited, {});
  ASSERT_TRUE(did.has_value());
  EXPECT_TRUE(did->cut_short);
  EXPECT_EQ(did->completions.size(), 10u);
}

TEST_F(CommandWork, IgnoresEverythingThatIsNoReport) {
  FakeRun run = steady();
  for (const char* line :
       {"", "loss 0.3", "{}", "{\"latency\": 3}", "[0.1]", "{\"latency_seconds\": 0.1", "\xff\x01{", "\"latency_seconds\""}) {
    run.lines.push_back({Seconds(0), line});
  }
  make("run", run);
  EXPECT_TRUE(warm().has_value());
}

TEST_F(CommandWork, AnEndIsAFailureWithWhatItSaid) {
  const FakeRun::Line batch{Seconds(0.01), R"({"latency_seconds": 0.01})"}, words{Seconds(0), "no \xff memory\t!"};
  const auto error = [&](Exit exit) {
    make("run", {.lines = {{Seconds(0), "first"}, batch, batch, words, {Seconds(0), ""}}, .exit = exit});
    const auto warmed = warm();
    EXPECT_FALSE(warmed.has_value());
    return warmed ? Error{} : warmed.error();
  };
  EXPECT_EQ(error(kCode7).code, Errc::kIo);
  EXPECT_EQ(error(kCode7).what, "the command failed after 2 batches with exit code 7; it printed: first | no \uFFFD memory !");
  EXPECT_THAT(error(kSegfault).what, HasSubstr("killed after 2 batches by signal 11 (Segmentation fault); it printed: first"));
  EXPECT_THAT(error(kCode0).text(), HasSubstr("ended after 2 batches"));
  EXPECT_THAT(error(kCode0).text(), HasSubstr("must go on until it is stopped"));
  EXPECT_EQ(error(kCode3).code, Errc::kUnsupported);
}

TEST_F(CommandWork, AnEndInTheWindowIsNoShorterWindow) {
  FakeRun run{.lines = {}, .exit = kCode0};
  for (int i = 0; i < 100; ++i) run.lines.push_back({Seconds(0.01), R"({"latency_seconds": 0.01})"});
  make("run", run);
  ASSERT_TRUE(warm().has_value());
  const auto did = work->run(budget(1, 20, 30), {});
  ASSERT_FALSE(did.has_value());
  EXPECT_EQ(did.error().what, "the command ended after 100 batches");
}

TEST_F(CommandWork, SilenceIsAFailure) {
  make("run", {.lines = {{Seconds(1), "thinking"}}}, {.patience = Seconds(8)});
  auto warmed = warm();
  ASSERT_FALSE(warmed.has_value());
  EXPECT_EQ(warmed.error().code, Errc::kTimeout);
  EXPECT_EQ(warmed.error().what, "the command reported no batch for 8 s; it printed: thinking");
  EXPECT_NEAR(seconds(), 8.0, 1e-9);
  // However much it prints besides.
  make("run", {.again = FakeRun::Line{Seconds(0.001), "thinking"}}, {.patience = Seconds(8)});
  warmed = warm();
  ASSERT_FALSE(warmed.has_value());
  EXPECT_EQ(warmed.error().code, Errc::kTimeout);
  // And in the window as well.
  FakeRun run;
  for (int i = 0; i < 30; ++i) run.lines.push_back({Seconds(0.01), R"({"latency_seconds": 0.01})"});
  make("run", run);
  ASSERT_TRUE(warm().has_value());
  EXPECT_EQ(work->run(budget(1, 20, 30), {}).error().code, Errc::kTimeout);
}

TEST_F(CommandWork, AReportThatCannotBeRightIsAFailure) {
  for (const char* line : {R"({"latency_seconds": 12.5})", R"({"latency_seconds": 0})", R"({"latency_seconds": -0.01})",
                           R"({"latency_seconds": "fast"})", R"({"latency_seconds": null})", R"({"latency_seconds": 1e300})",
                           R"({"latency_seconds": 0.01, "inferences": 0})", R"({"latency_seconds": 0.01, "inferences": 1.5})",
                           R"({"latency_seconds": 0.01, "inferences": 1e30})", R"({"latency_seconds": 0.01, "inferences": "4"})"}) {
    make("run", steady(line));
    const auto warmed = warm();
    ASSERT_FALSE(warmed.has_value()) << line;
    EXPECT_EQ(warmed.error().code, Errc::kCorrupt) << line;
  }
  make("run", steady(R"({"latency_seconds": 12.5})"));
  EXPECT_THAT(warm().error().text(), HasSubstr("a batch of 12.5 s, 0.01 s after its start; latency_seconds is in seconds"));
}

TEST_F(CommandWork, AStopIsNoticedSoon) {
  make("run", {.lines = {{Seconds(0.01), R"({"latency_seconds": 0.01})"}}});
  std::stop_source stop;
  const auto ticker = clock.every(Seconds(1.0), [&] { stop.request_stop(); });
  ASSERT_TRUE(work->configure(setting()).has_value());
  EXPECT_TRUE(work->warm_up(stop.get_token()).has_value());
  EXPECT_LT(seconds(), 1.2);
  const auto did = work->run(budget(1, 20, 30), stop.get_token());
  EXPECT_TRUE(did.has_value());
  EXPECT_LT(seconds(), 1.2);
}

TEST_F(CommandWork, AProgramThatCannotBeStartedIsAFailure) {
  make("run", steady());
  launcher->refusal = Error{Errc::kNotFound, "start run: gone", {}};
  EXPECT_EQ(warm().error().what, "start run: gone");
}

}  // namespace
}  // namespace polythrottle
