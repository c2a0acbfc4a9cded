#include "workload/reading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "trial/metric.h"
#include "workload/presets.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

Said said(const Reading& reading, const std::string& line) {
  const auto out = reading.read(line);
  EXPECT_TRUE(out.has_value()) << line << ": " << out.error().text();
  return out.value_or(Said{});
}
std::string complaint(const std::vector<std::string>& patterns) {
  const auto out = reading_by_patterns(patterns);
  return out ? "none" : out.error().text();
}

TEST(Reading, JsonIsOneObjectForEachBatch) {
  const Reading json = reading_of("").value();
  EXPECT_EQ(json.name, "json");
  EXPECT_FALSE(json.ends_by_itself);
  const Said batch = said(json, R"(  {"inferences": 8, "latency_seconds": 1e-3})");
  EXPECT_THAT(batch.latencies, ElementsAre(Seconds(1e-3)));
  EXPECT_EQ(batch.inferences, 8.0);
  EXPECT_FALSE(said(json, R"({"latency_seconds": 2})").inferences.has_value());
  for (const char* line : {"", "loss 0.3", "{}", R"({"latency": 3})", "[0.1]"}) EXPECT_FALSE(said(json, line).anything()) << line;
  EXPECT_FALSE(said(json, std::string(1 << 16, '{')).anything());
  EXPECT_EQ(json.read(R"({"latency_seconds": -2})").error().code, Errc::kCorrupt);
}

TEST(Reading, PatternsHaveMeaningsAndUnits) {
  const Reading reading = reading_by_patterns({"latency_us=took ([0-9.]+)us", "inferences=took .* n=(\\d+)"}).value();
  EXPECT_FALSE(reading.ends_by_itself);
  const Said batch = said(reading, "12:00 took 250.5us, n=4");
  ASSERT_EQ(batch.latencies.size(), 1u);
  EXPECT_NEAR(batch.latencies[0].count(), 250.5e-6, 1e-15);
  EXPECT_EQ(batch.inferences, 4.0);
  EXPECT_THAT(batch.matched, ElementsAre(0, 1));
  EXPECT_FALSE(said(reading, "took long").anything());

  const Reading summed = reading_by_patterns({"begin=^go$", "end=^done", "p95_ms=p95 (\\S+)", "mean_seconds=mean (\\S+)",
                                              "batches=(\\d+) batches", "timed_seconds=in ([0-9.]+) s"})
                             .value();
  EXPECT_TRUE(summed.ends_by_itself);
  EXPECT_TRUE(said(summed, "go").begins);
  const Said end = said(summed, "done 120 batches in 3.5 s: mean 0.029 p95 31.5");
  EXPECT_TRUE(end.ends);
  EXPECT_EQ(end.batches, 120.0);
  EXPECT_EQ(end.timed, Seconds(3.5));
  EXPECT_THAT(end.summary, UnorderedElementsAre(Pair(kLatencyMean, Seconds(0.029)), Pair(kLatencyP95, Seconds(0.0315))));
}

TEST(Reading, WhatIsNoSuchNumberIsCorrupt) {
  const Reading reading = reading_by_patterns({"latency_ms=took (.*)", "inferences=n=(\\S+)"}).value();
  for (const char* line : {"took long", "took 0", "took -1", "took 1e300", "took nan", "took 1,5", "took ", "n=-1 ", "took 1 n=0"}) {
    const auto out = reading.read(line);
    ASSERT_FALSE(out.has_value()) << line;
    EXPECT_EQ(out.error().code, Errc::kCorrupt);
  }
}

TEST(Reading, SaysWhereAPatternIsWrong) {
  EXPECT_THAT(complaint({"latency_ms"}), HasSubstr("NAME=REGEX is wanted"));
  EXPECT_THAT(complaint({"latency=(.*)"}), HasSubstr("'latency' means nothing; one of begin, end, inferences, "));
  EXPECT_THAT(complaint({"latency_ms=took [0-9"}), HasSubstr("latency_ms=took [0-9: it does not compile at character 6: missing ]"));
  EXPECT_THAT(complaint({"latency_ms=took (\\d+"}), HasSubstr("it does not compile"));
  EXPECT_THAT(complaint({"latency_ms=took \\d+"}), HasSubstr("it has 0 pairs of ( ), and latency_ms must have 1"));
  EXPECT_THAT(complaint({"latency_ms=(took) (\\d+)"}), HasSubstr("it has 2 pairs"));
  EXPECT_THAT(complaint({"begin=(go)"}), HasSubstr("begin must have 0"));
  EXPECT_THAT(complaint({"latency_ms="}), HasSubstr("1 to 1000 characters"));
  EXPECT_THAT(complaint({"latency_ms=" + std::string(2000, 'a')}), HasSubstr("1 to 1000 characters"));
  EXPECT_THAT(complaint({"latency_ms=((((a{100}){100}){100}){100})"}), HasSubstr("it does not compile"));
  EXPECT_THAT(complaint({"batches=(\\d+)"}), HasSubstr("no latency can come from these patterns"));
  EXPECT_THAT(complaint({"p95_ms=(\\d+)"}), HasSubstr("no count of the work"));
  EXPECT_THAT(reading_of("trtexecc").error().text(),
              HasSubstr("one of json, steps, trtexec, perf_analyzer, llama-bench, latency_ms; or --pattern"));
}

/// An expression that a backtracking engine takes exponential time for, and a line as long as they come.
TEST(Reading, NoExpressionHangs) {
  const Reading reading = reading_by_patterns({"latency_ms=(?:a*)*b((?:a|aa)+)$"}).value();
  EXPECT_FALSE(said(reading, std::string(64 * 1024, 'a')).anything());
}

TEST(Presets, EachCompilesAndSaysWhatItWants) {
  for (const auto& preset : presets()) {
    SCOPED_TRACE(preset.name);
    const auto reading = reading_of(preset.name);
    ASSERT_TRUE(reading.has_value()) << reading.error().text();
    EXPECT_EQ(reading->name, preset.name);
    EXPECT_EQ(reading->ends_by_itself, preset.name != "latency_ms");
    EXPECT_TRUE(reading->errors_too);
    EXPECT_FALSE(reading->wants.empty());
    EXPECT_FALSE(said(*reading, "").anything());
  }
}

// The forms of the lines: see presets.cc for their sources. The numbers are made up.
TEST(Presets, Trtexec) {
  const Reading reading = reading_of("trtexec").value();
  EXPECT_TRUE(said(reading, "[11/23/2026-10:00:00] [I] Starting inference").begins);
  EXPECT_TRUE(said(reading, "[I] Starting inference threads").begins);  // 7.2
  const Said trace = said(reading, "[11/23/2026-10:00:00] [I] Timing trace has 300 queries over 3.0012 s");
  EXPECT_TRUE(trace.ends);
  EXPECT_EQ(trace.batches, 300.0);
  EXPECT_EQ(trace.timed, Seconds(3.0012));
  const Said latency = said(reading,
                            "[11/23/2026-10:00:00] [I] Latency: min = 9.5 ms, max = 12.25 ms, mean = 10 ms, median = 9.75 ms, "
                            "percentile(90%) = 11 ms, percentile(95%) = 11.5 ms, percentile(99%) = 12 ms");
  EXPECT_THAT(latency.summary, UnorderedElementsAre(Pair(kLatencyMean, Seconds(0.01)), Pair(kLatencyP50, Seconds(0.00975)),
                                                    Pair(kLatencyP95, Seconds(0.0115)), Pair(kLatencyP99, Seconds(0.012))));
  for (const char* line : {"[I] H2D Latency: min = 1 ms, max = 1 ms, mean = 1 ms, median = 1 ms, percentile(99%) = 1 ms",
                           "[I] End-to-End Host Latency: min = 1 ms, max = 1 ms, mean = 1 ms, median = 1 ms, percentile(99%) = 1 ms",
                           "[I] GPU Compute Time: min = 1 ms, max = 1 ms, mean = 1 ms, median = 1 ms, percentile(99%) = 1 ms",
                           "[I] Warmup completed 9 queries over 200 ms", "[I] Throughput: 100 qps",
                           "[V] Latency: the summation of H2D Latency, GPU Compute Time, and D2H Latency."}) {
    EXPECT_FALSE(said(reading, line).anything()) << line;
  }
}

TEST(Presets, PerfAnalyzer) {
  const Reading reading = reading_of("perf_analyzer").value();
  EXPECT_TRUE(said(reading, "Request concurrency: 1").begins);
  EXPECT_TRUE(said(reading, "Request Rate: 20 inference requests per seconds").begins);
  EXPECT_TRUE(said(reading, "  Client: ").ends);
  EXPECT_EQ(said(reading, "    Throughput: 153.5 infer/sec").inferences_per_second, 153.5);
  EXPECT_NEAR(said(reading, "    Avg latency: 6459 usec (standard deviation 93 usec)").summary.at(kLatencyMean).count(), 6459e-6, 1e-12);
  EXPECT_NEAR(said(reading, "    p99 latency: 6587 usec").summary.at(kLatencyP99).count(), 6587e-6, 1e-12);
  for (const char* line :
       {"  Server: ", "    Inference count: 7115", "    Avg request latency: 422 usec (overhead 155 usec + queue 51 usec)",
        "    p90 latency: 9 usec", "Concurrency: 1, throughput: 1200 infer/sec, latency 832 usec",
        "  Pass [1] throughput: 7 infer/sec. Avg latency: 8 usec"}) {
    EXPECT_FALSE(said(reading, line).anything()) << line;
  }
}

TEST(Presets, LlamaBench) {
  const Reading reading = reading_of("llama-bench").value();
  EXPECT_TRUE(said(reading, "llama-bench: benchmark 1/1: prompt run 1/5").begins);
  EXPECT_TRUE(said(reading, "llama-bench: benchmark 1/1: generation run 1/5").begins);
  for (const char* line : {"llama-bench: benchmark 1/1: starting", "llama-bench: benchmark 1/1: warmup prompt run",
                           "llama-bench: benchmark 1/1: prompt run 2/5", "| llama 7B | tg128 | 119.92 ± 0.43 |", "{\"samples\": [1]}"}) {
    EXPECT_FALSE(said(reading, line).anything()) << line;
  }
  const Said result = said(
      reading,
      R"({"build_number": 1, "n_prompt": 512, "n_gen": 0, "n_depth": 0, "samples_ns": [ 70000000, 80000000 ],"samples_ts": [ 1, 1 ]})");
  EXPECT_TRUE(result.ends);
  EXPECT_EQ(result.inferences, 512.0);
  ASSERT_EQ(result.latencies.size(), 2u);
  EXPECT_NEAR(result.latencies[1].count(), 0.08, 1e-15);
  EXPECT_THAT(reading.read("llama-bench: benchmark 1/2: prompt run 1/5").error().text(), HasSubstr("makes 2 tests"));
  EXPECT_THAT(reading.read(R"({"n_prompt": 1, "n_depth": 512, "samples_ns": [1]})").error().text(), HasSubstr("leave -d out"));
  for (const char* line : {R"({"n_prompt": 512, "samples_ns": []})", R"({"samples_ns": [1]})", R"({"n_gen": 1, "samples_ns": [0]})",
                           R"({"n_gen": 1, "samples_ns": 7})", R"({"n_gen": 1, "samples_ns": ["a"]})"}) {
    EXPECT_FALSE(reading.read(line).has_value()) << line;
  }
}

TEST(Presets, LatencyMs) {
  const Reading reading = reading_of("latency_ms").value();
  for (const char* line : {"latency_ms: 12.5 inferences: 4", "latency_ms=12.5, inferences=4", "i=1 latency_ms 12.5 inferences 4",
                           "'latency_ms': 12.5, 'inferences': 4"}) {
    const Said batch = said(reading, line);
    EXPECT_THAT(batch.latencies, ElementsAre(Seconds(0.0125))) << line;
    EXPECT_EQ(batch.inferences, 4.0) << line;
  }
  EXPECT_THAT(said(reading, "inferences: 4").latencies, IsEmpty());
  EXPECT_FALSE(said(reading, "mean_latency_ms: 12.5").anything());
}

}  // namespace
}  // namespace polythrottle
