// Programs that do one timed part and end, in fake time.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake_launcher.h"
#include "workload/command.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Exit kCode0{.code = 0}, kCode1{.code = 1}, kCode3{.code = kExitNotSupported};

Budget budget(double at_least, double at_most, std::size_t samples) {
  return {.at_least = Seconds(at_least), .at_most = Seconds(at_most), .samples = samples};
}

/// Loads for 5 s, works for 2 s: 200 batches, of which the first 0.2 s are its own warm-up; takes 0.5 s to go.
FakeRun trtexec() {
  return {.lines = {{Seconds(1), "[I] Loaded engine"},
                    {Seconds(4), "[I] Starting inference"},
                    {Seconds(2.2), "[I] Timing trace has 200 queries over 2 s"},
                    {Seconds(0.1), "[I] Latency: min = 9 ms, max = 14 ms, mean = 10 ms, median = 9.5 ms, percentile(95%) = 12 ms"},
                    {Seconds(0.5), "&&&& PASSED"}},
          .exit = kCode0};
}

class Executions : public ::testing::Test {
 protected:
  void make(FakeRun behaviour, Reading reading, CommandOptions options = {}) {
    options.line = CommandLine::parse("run {batch}").value();
    options.parameters = {{"batch", "", Role::kBatch, {1.0, 4.0}, ""}};
    options.reading = std::move(reading);
    work.reset();  // before the launcher of its programs
    launcher = std::make_unique<FakeLauncher>(clock, [behaviour](const Program&) { return behaviour; });
    work = command_workload(clock, *launcher, std::move(options));
  }
  Result<Work> all(const Budget& wanted) {
    TRY_STATUS(work->configure({{"batch", 4.0}}));
    TRY_STATUS(work->warm_up({}));
    return work->run(wanted, {});
  }
  double now() const { return clock.now().time_since_epoch().count(); }
  static double seconds(const Stretch& stretch) { return (stretch.ended - stretch.began).count(); }

  FakeClock clock;
  std::unique_ptr<FakeLauncher> launcher;
  std::unique_ptr<Workload> work;
};

TEST_F(Executions, OnlyTheTimedPartCounts) {
  make(trtexec(), reading_of("trtexec").value(), {.wanted = {std::string(kLatencyP95)}});
  ASSERT_TRUE(work->configure({{"batch", 4.0}}).has_value());
  ASSERT_TRUE(work->warm_up({}).has_value());
  EXPECT_NEAR(now(), 5.0, 1e-9);  // loading is warm-up
  const auto did = work->run(budget(1, 20, 30), {});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  ASSERT_EQ(did->counted.size(), 1u);
  EXPECT_NEAR(seconds(did->counted[0]), 2.0, 1e-9);  // as long as it says itself
  EXPECT_NEAR(did->counted[0].ended.time_since_epoch().count(), 7.2, 1e-9);
  EXPECT_EQ(did->inferences, 800u);  // queries of a batch of 4
  EXPECT_THAT(did->completions, IsEmpty());
  const Estimate& p95 = did->summary.at(std::string(kLatencyP95));
  EXPECT_NEAR(p95.value, 0.012, 1e-12);
  EXPECT_EQ(p95.samples, 200u);
  EXPECT_FALSE(p95.std_error.has_value());
  EXPECT_THAT(did->notes, ElementsAre(HasSubstr("nothing that matches p99_ms")));
  EXPECT_EQ(launcher->running, 1);  // the window is still open
  work->finish();
  EXPECT_EQ(launcher->running, 0);
  EXPECT_THAT(work->take_printed(), HasSubstr("&&&& PASSED\n[polythrottle: exit code 0]"));
}

TEST_F(Executions, IsStartedAgainUntilTheBudgetIsMet) {
  make(trtexec(), reading_of("trtexec").value());
  const auto did = all(budget(5, 60, 500));
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(launcher->started.size(), 3u);
  ASSERT_EQ(did->counted.size(), 3u);
  for (const auto& part : did->counted) EXPECT_NEAR(seconds(part), 2.0, 1e-9);
  EXPECT_GT((did->counted[1].began - did->counted[0].ended).count(), 5.0);  // loading lies between
  EXPECT_EQ(did->inferences, 2400u);
  EXPECT_EQ(did->summary.at(std::string(kLatencyMean)).samples, 600u);
  EXPECT_EQ(did->summary.at(std::string(kLatencyMean)).std_error, 0.0);
  // `enough` has the last word, the limit the very last.
  Budget more = budget(1, 60, 1);
  int asked = 0;
  more.enough = [&](const Work&) { return ++asked == 2; };
  EXPECT_EQ(all(more)->counted.size(), 2u);
  more.enough = [](const Work&) { return false; };
  more.at_most = Seconds(3);
  EXPECT_EQ(all(more)->counted.size(), 2u);
}

TEST_F(Executions, ThroughputTimesTheTimedPartIsTheCount) {
  FakeRun run{.lines = {{Seconds(3), "Request concurrency: 1"},
                        {Seconds(6), "  Client: "},
                        {Seconds(0), "    Throughput: 100 infer/sec"},
                        {Seconds(0), "    Avg latency: 40000 usec (standard deviation 9 usec)"},
                        {Seconds(0), "    p50 latency: 39000 usec"},
                        {Seconds(0), "    p95 latency: 45000 usec"},
                        {Seconds(0), "    p99 latency: 50000 usec"}},
              .exit = kCode0};
  make(run, reading_of("perf_analyzer").value());
  const auto did = all(budget(1, 20, 30));
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(did->inferences, 600u);
  EXPECT_NEAR(seconds(did->counted.at(0)), 6.0, 1e-9);
  EXPECT_EQ(did->summary.at(std::string(kLatencyP99)).samples, 150u);  // requests of 4
}

TEST_F(Executions, RepetitionsAreBatchesAndTokensInferences) {
  FakeRun run{.lines = {{Seconds(2), "llama-bench: benchmark 1/1: generation run 1/2"},
                        {Seconds(2.1), R"({"n_prompt": 0, "n_gen": 128, "samples_ns": [ 1000000000, 1100000000 ]})"}},
              .exit = kCode0};
  make(run, reading_of("llama-bench").value(), {.wanted = {std::string(kLatencyP95)}});
  const auto did = all(budget(1, 1, 59));
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(did->inferences, 256u);
  EXPECT_EQ(did->completions.size(), 2u);
  EXPECT_THAT(did->notes, ElementsAre(HasSubstr("2 latencies within the window's limit, 59 are wanted")));
}

TEST_F(Executions, WithoutABeginningAllOfItCounts) {
  FakeRun run{.lines = {{Seconds(3), "mean 10 ms, 300 done"}}, .exit = kCode0};
  make(run, reading_by_patterns({"mean_ms=mean (\\d+)", "batches=(\\d+) done"}).value());
  auto did = all(budget(1, 20, 30));
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(launcher->started.size(), 1u);
  EXPECT_NEAR(seconds(did->counted.at(0)), 3.0, 1e-9);
  EXPECT_THAT(did->notes, ElementsAre(HasSubstr("never said when its timed part begins")));
  // One that should have said, and did not, is done again within the window.
  make(run, reading_by_patterns({"begin=^go", "mean_ms=mean (\\d+)", "batches=(\\d+) done"}).value());
  did = all(budget(1, 20, 30));
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_EQ(launcher->started.size(), 2u);
  EXPECT_NEAR(seconds(did->counted.at(0)), 3.0, 1e-9);
  EXPECT_THAT(did->notes, ElementsAre(HasSubstr("never said when its timed part begins")));
}

TEST_F(Executions, SaysWhatNeverCame) {
  const auto error = [&](FakeRun run, std::vector<std::string> patterns, std::vector<std::string> wanted = {}) {
    make(std::move(run), reading_by_patterns(patterns).value(), {.wanted = std::move(wanted), .patience = Seconds(8)});
    const auto did = all(budget(1, 20, 30));
    EXPECT_FALSE(did.has_value());
    return did ? std::string() : did.error().text();
  };
  const FakeRun run{.lines = {{Seconds(1), "go"}, {Seconds(1), "mean 10 ms"}, {Seconds(0), "bye"}}, .exit = kCode0};
  EXPECT_THAT(
      error(run, {"begin=^go", "mean_ms=mean (\\d+)", "batches=(\\d+) done"}),
      HasSubstr(
          "ended without saying how much it did: no line of 3 matches batches=(\\d+) done; it printed: go | mean 10 ms | bye; it must "
          "print lines that match begin=^go, mean_ms=mean (\\d+), batches=(\\d+) done"));
  EXPECT_THAT(error(run, {"begin=^go", "mean_ms=mean (\\d+)", "batches=(\\d+) ms"}, {std::string(kLatencyP95)}),
              HasSubstr("the command printed no p95 latency, which the SLO is about"));
  FakeRun broken = run;
  broken.exit = kCode1;
  EXPECT_THAT(error(broken, {"begin=^go", "mean_ms=mean (\\d+)", "batches=(\\d+) ms", "end=never"}),
              HasSubstr("failed in its timed part with exit code 1; it printed: go | mean 10 ms | bye"));
  broken.exit = kCode3;
  EXPECT_THAT(error(broken, {"begin=never", "mean_ms=mean (\\d+)", "batches=(\\d+) ms"}), HasSubstr("does not support this setting"));
  FakeRun hung = run;
  hung.exit.reset();
  EXPECT_THAT(error(hung, {"begin=^go", "mean_ms=mean (\\d+)", "batches=(\\d+) done"}),
              HasSubstr("said nothing of its work for 8 s: no line of 3"));
  FakeRun talks{.again = FakeRun::Line{Seconds(0.01), "thinking"}};
  EXPECT_THAT(error(talks, {"begin=^go", "mean_ms=mean (\\d+)", "batches=(\\d+) done"}), HasSubstr("said nothing of its work for 8"));
}

TEST_F(Executions, MarksThatComeAtOnceAreNoTimedPart) {
  const FakeRun run{.lines = {{Seconds(5), "go"}, {Seconds(0), "done"}, {Seconds(0), "mean 10 ms, 300 batches"}}, .exit = kCode0};
  make(run, reading_by_patterns({"begin=^go", "end=^done", "mean_ms=mean (\\d+)", "batches=(\\d+) batches"}).value());
  EXPECT_THAT(all(budget(1, 20, 30)).error().text(), HasSubstr("were printed at once; does it flush"));
}

TEST_F(Executions, AStopIsNoticedSoon) {
  make({.lines = {{Seconds(0.1), "[I] Starting inference"}}}, reading_of("trtexec").value());
  std::stop_source stop;
  const auto ticker = clock.every(Seconds(1.0), [&] { stop.request_stop(); });
  ASSERT_TRUE(work->configure({{"batch", 4.0}}).has_value());
  EXPECT_TRUE(work->warm_up(stop.get_token()).has_value());
  EXPECT_TRUE(work->run(budget(1, 20, 30), stop.get_token()).has_value());
  EXPECT_LT(now(), 1.2);
}

}  // namespace
}  // namespace polythrottle
